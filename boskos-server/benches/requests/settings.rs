//! What a run is to be, from the environment.

use std::env;

use anyhow::{Context as _, ensure};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether this is a try only: fewer rounds, fewer resources.
    pub(crate) quick: bool,
    /// How long each load lasts.
    pub(crate) seconds: u64,
    /// Loads per server and comparison.
    pub(crate) rounds: usize,
    /// How many resources are many.
    pub(crate) crowd: usize,
    /// How many callers wait.
    pub(crate) waiters: usize,
    /// Handovers to a waiter that are timed.
    pub(crate) handovers: usize,
    /// The parts that run; all where empty.
    only: Vec<String>,
}

/// The parts that `BENCH_ONLY` may name.
const PARTS: [&str; 6] = ["memory", "durable", "waiters", "crowd", "calm", "kube"];

impl Settings {
    /// Reads `BENCH_QUICK`, `BENCH_SECONDS`, `BENCH_ROUNDS` and `BENCH_ONLY`.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let quick = env::var("BENCH_QUICK").is_ok_and(|value| !matches!(&*value, "" | "0"));
        let only = env::var("BENCH_ONLY").unwrap_or_default();
        let only: Vec<String> = only.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
            anyhow::bail!("BENCH_ONLY takes any of {}, not {unknown}", PARTS.join(" "));
        }
        let settings = Self {
            quick,
            seconds: number("BENCH_SECONDS", if quick { 1 } else { 3 })?,
            rounds: usize::try_from(number("BENCH_ROUNDS", if quick { 1 } else { 5 })?)?,
            crowd: if quick { 100_000 } else { 1_000_000 },
            waiters: 10_000,
            handovers: if quick { 200 } else { 1_000 },
            only,
        };
        ensure!(settings.seconds > 0 && settings.rounds > 0, "BENCH_SECONDS and BENCH_ROUNDS must be more than 0");
        Ok(settings)
    }

    /// Whether this part is to run.
    pub(crate) fn part(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| part == name)
    }
}

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    match env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name} must be a whole number, not {value:?}")),
        Err(_) => Ok(default),
    }
}
