//! What a daemon tells Prometheus of its work.

use std::collections::BTreeMap;

use boskos_core::state;
use prometheus::{
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::Client;

/// Counters of what was done and what failed, by type. Clones are the same.
#[derive(Clone, Debug)]
pub struct Work {
    done: IntCounterVec,
    failed: IntCounterVec,
    reached: IntGauge,
}

/// What the client holds, counted at each scrape.
struct HeldGauge {
    client: Client,
    gauge: IntGaugeVec,
}

// === impl Work ===

impl Work {
    /// Registers `boskos_COMPONENT_done_total{type}`, `boskos_COMPONENT_failed_total{type,reason}`,
    /// `boskos_COMPONENT_held{type,state}` and `boskos_COMPONENT_server_reached`.
    ///
    /// # Errors
    ///
    /// If one of the names is taken.
    pub fn register(registry: &Registry, component: &str, client: &Client) -> Result<Self, prometheus::Error> {
        let component = component.trim_start_matches("boskos-").replace('-', "_");
        let opts = |what: &str, help: &str| Opts::new(format!("boskos_{component}_{what}"), help);
        let work = Self {
            done: IntCounterVec::new(opts("done_total", "Resources that were done with."), &["type"])?,
            failed: IntCounterVec::new(opts("failed_total", "Resources that failed, by reason."), &["type", "reason"])?,
            reached: IntGauge::with_opts(opts("server_reached", "Whether the last call reached the server."))?,
        };
        let gauge = IntGaugeVec::new(opts("held", "Resources that this process holds."), &["type", "state"])?;
        registry.register(Box::new(work.done.clone()))?;
        registry.register(Box::new(work.failed.clone()))?;
        registry.register(Box::new(work.reached.clone()))?;
        registry.register(Box::new(HeldGauge { client: client.clone(), gauge }))?;
        Ok(work)
    }

    /// `count` resources of `type` were done with.
    pub fn did(&self, r#type: &str, count: u64) {
        self.done.with_label_values(&[r#type]).inc_by(count);
    }

    /// One resource of `type` failed; reasons are words of the program, so that there are few.
    pub fn failed(&self, r#type: &str, reason: &'static str) {
        self.failed.with_label_values(&[r#type, reason]).inc();
    }

    /// How many of `type` were done with so far.
    #[must_use]
    pub fn done(&self, r#type: &str) -> u64 {
        self.done.with_label_values(&[r#type]).get()
    }

    /// How many of `type` failed for `reason` so far.
    #[must_use]
    pub fn failures(&self, r#type: &str, reason: &str) -> u64 {
        self.failed.with_label_values(&[r#type, reason]).get()
    }

    pub(super) fn reached(&self, is_reached: bool) {
        self.reached.set(is_reached.into());
    }
}

// === impl HeldGauge ===

impl Collector for HeldGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut counts: BTreeMap<(String, &str), i64> = BTreeMap::new();
        for resource in self.client.held() {
            // Any text is a state, and label values are bounded.
            let known = state::KNOWN.iter().find(|known| **known == resource.state.as_str());
            let label = known.copied().unwrap_or(state::OTHER);
            *counts.entry((resource.r#type.as_str().to_owned(), label)).or_insert(0) += 1;
        }
        self.gauge.reset();
        for ((r#type, state), count) in counts {
            self.gauge.with_label_values(&[&*r#type, state]).set(count);
        }
        self.gauge.collect()
    }
}
