//! What the system tells of this process, under the names that dashboards expect.

use std::fs;

use prometheus::{
    Counter, IntCounter, IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use rustix::process::{Resource, getrlimit};

use crate::log;

/// `process_*` and `boskos_log_lines_dropped_total`, read anew at each scrape.
pub(crate) struct ProcessMetrics {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    dropped_lines: IntCounter,
}

/// CPU time and memory as `/proc/self/stat` tells them.
struct Stat {
    cpu_seconds: f64,
    resident_bytes: u64,
}

// === impl ProcessMetrics ===

impl ProcessMetrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "CPU time of user and system, in seconds.")?,
            resident_bytes: IntGauge::new("process_resident_memory_bytes", "Memory in RAM, in bytes.")?,
            open_fds: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            max_fds: IntGauge::new("process_max_fds", "The soft limit of open file descriptors.")?,
            dropped_lines: IntCounter::new(
                "boskos_log_lines_dropped_total",
                "Log lines dropped because nobody read them in time.",
            )?,
        })
    }

    fn parts(&self) -> [&dyn Collector; 5] {
        [&self.cpu_seconds, &self.resident_bytes, &self.open_fds, &self.max_fds, &self.dropped_lines]
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text)) {
            self.cpu_seconds.inc_by((stat.cpu_seconds - self.cpu_seconds.get()).max(0.0));
            self.resident_bytes.set(stat.resident_bytes.try_into().unwrap_or(i64::MAX));
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory that is being read.
            self.open_fds.set(i64::try_from(open.count()).unwrap_or(i64::MAX).saturating_sub(1));
        }
        self.max_fds.set(getrlimit(Resource::Nofile).current.and_then(|max| max.try_into().ok()).unwrap_or(i64::MAX));
        self.dropped_lines.inc_by(log::dropped_lines().saturating_sub(self.dropped_lines.get()));
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

// === impl Stat ===

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name in parentheses may hold spaces and parentheses itself; what follows starts with field 3.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let ticks = number(14)? + number(15)?;
        let pages = number(24)?;
        #[allow(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
        let cpu_seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Some(Self { cpu_seconds, resident_bytes: pages * u64::try_from(rustix::param::page_size()).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_parentheses() {
        let text = "1 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 200 100 0 0 20 0 9 0 1 1000 25 18446744073709551615";
        let stat = Stat::read(text).unwrap();
        assert_eq!(stat.resident_bytes, 25 * rustix::param::page_size() as u64);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((stat.cpu_seconds * ticks - 300.0).abs() < 1e-6);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let metrics = ProcessMetrics::new().unwrap();
        assert_eq!(metrics.collect().len(), metrics.desc().len());
        assert!(metrics.resident_bytes.get() > 1 << 20 && metrics.open_fds.get() > 2 && metrics.max_fds.get() > 2);
    }
}
