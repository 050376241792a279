//! The machine that all of it runs on.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::numbers::{millis, percentile};

/// Bytes appended before each sync: about what one small commit is.
const RECORD_BYTES: usize = 200;

/// Appends that one look at the disk takes.
const APPENDS: usize = 300;

/// `statfs`'s mark of a file system in memory.
const TMPFS: u64 = 0x0102_1994;

/// What an append and an `fdatasync` cost, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Vec<Duration>);

impl Disk {
    /// Looks at the disk once more.
    pub(crate) fn look(&mut self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("appended");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        for _ in 0..APPENDS {
            self.0.push(append(&mut file)?);
        }
        fs::remove_file(&path)?;
        self.0.sort_unstable();
        Ok(())
    }

    pub(crate) fn p50(&self) -> Duration {
        percentile(&self.0, 50)
    }

    pub(crate) fn p99(&self) -> Duration {
        percentile(&self.0, 99)
    }
}

/// Processor time up to some moment: of the whole machine, and of what is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    at: Instant,
    machine: Duration,
    measured: Duration,
}

impl Usage {
    /// Up to now. Measured are this process and those that it ran: none may run now.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // user nice system idle iowait irq softirq steal; what follows is counted in user already.
        let fields: Vec<u64> = fields.take(8).map(|field| field.parse().unwrap_or(0)).collect();
        let idle: u64 = fields.iter().skip(3).take(2).sum();
        let machine = ticks(fields.iter().sum::<u64>() - idle);
        Ok(Self { at: Instant::now(), machine, measured: cpu(std::process::id(), 4)? })
    }

    /// The share of the machine that others took since `before`.
    pub(crate) fn others_since(self, before: Self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let others = (self.machine - before.machine).saturating_sub(self.measured.saturating_sub(before.measured));
        others.as_secs_f64() / ((self.at - before.at).as_secs_f64() * cores as f64)
    }
}

/// The processor time of a process: user and system, and where `fields` is 4 that of the children it has waited for.
pub(crate) fn cpu(process: u32, fields: usize) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The command's name, in brackets, may hold blanks; utime, stime, cutime and cstime are the 12th to 15th after it.
    let (_, rest) = stat.rsplit_once(')').context("stat has no command")?;
    Ok(ticks(rest.split_whitespace().skip(11).take(fields).map(|field| field.parse().unwrap_or(0_u64)).sum()))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs(count).div_f64(rustix::param::clock_ticks_per_second() as f64)
}

fn append(file: &mut File) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    file.write_all(&[b'x'; RECORD_BYTES])?;
    file.sync_data()?;
    Ok(begin.elapsed())
}

/// Refuses a folder that no disk is behind.
pub(crate) fn insist_on_disk(folder: &Path) -> anyhow::Result<()> {
    let kind = rustix::fs::statfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?.f_type;
    ensure!(
        u64::try_from(kind).ok() != Some(TMPFS),
        "{} is in memory (tmpfs), where syncing costs nothing: set CARGO_TARGET_DIR to a folder on a disk",
        folder.display()
    );
    Ok(())
}

/// One line about the machine.
pub(crate) fn facts(disk: &Disk) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal:").unwrap_or_default();
    let memory_kb: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores ({model}), {:.0} GB, Linux {}, append of {RECORD_BYTES} bytes + fdatasync: p50 {}, p99 {}",
        memory_kb / 1e6,
        kernel.trim(),
        millis(disk.p50()),
        millis(disk.p99()),
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([':', ' ', '\t']).trim().to_owned())
}
