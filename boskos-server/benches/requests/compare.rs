//! Two servers under the same load, in turn.

use std::time::Duration;

use crate::{
    numbers::median,
    server::Server,
    settings::Settings,
    wrk::{Load, Tally},
};

/// The share of answers other than 200 above which a run does not count.
const OTHERS_ALLOWED: f64 = 0.01;

/// How one server did under one load.
#[derive(Clone, Copy, Debug)]
struct Sample {
    tally: Tally,
    cpu: Duration,
}

/// What came of a comparison, each number the median of all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) subject: Figures,
    pub(crate) yardstick: Figures,
    /// The subject's requests per second as a share of the yardstick's: lowest, median, highest.
    pub(crate) share: [f64; 3],
    /// The subject's processor time per request as a multiple of the yardstick's.
    pub(crate) cpu_ratio: f64,
    /// The largest share of answers other than 200 in any round.
    pub(crate) others: f64,
}

/// One server's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) cpu_micros: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Loads both in turn, so that what the machine does besides falls on both. `between` is called before each round.
pub(crate) fn compare(
    settings: &Settings,
    yardstick: &Server,
    subject: &Server,
    connections: usize,
    mut between: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let load = Load { connections, seconds: settings.seconds };
    // The first requests fill caches and pools.
    for server in [yardstick, subject] {
        Sample::take(server, Load { seconds: 1, ..load })?;
    }
    let mut rounds = Vec::with_capacity(settings.rounds);
    for _ in 0..settings.rounds {
        between()?;
        rounds.push((Sample::take(yardstick, load)?, Sample::take(subject, load)?));
    }
    Ok(Outcome::of(&rounds))
}

impl Sample {
    fn take(server: &Server, load: Load) -> anyhow::Result<Self> {
        let before = server.cpu()?;
        let tally = load.run(server.http)?;
        let cpu = server.cpu()?.saturating_sub(before);
        // The generator ends in the middle of things and keeps what it holds.
        if server.metrics.is_some() {
            server.client()?.must_post("/reset?type=gce-project&state=busy&expire=0&dest=free")?;
        }
        Ok(Self { tally, cpu })
    }

    fn per_second(&self) -> f64 {
        self.tally.ok as f64 / (self.tally.micros as f64 / 1e6)
    }

    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.ok as f64
    }

    fn others(&self) -> f64 {
        self.tally.other as f64 / (self.tally.ok + self.tally.other) as f64
    }
}

impl Outcome {
    fn of(rounds: &[(Sample, Sample)]) -> Self {
        let shares: Vec<f64> = rounds.iter().map(|(bare, ours)| ours.per_second() / bare.per_second()).collect();
        let lowest = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = shares.iter().copied().fold(0.0, f64::max);
        Self {
            subject: Figures::of(rounds.iter().map(|(_, ours)| ours)),
            yardstick: Figures::of(rounds.iter().map(|(bare, _)| bare)),
            share: [lowest, median(shares), highest],
            cpu_ratio: median(rounds.iter().map(|(bare, ours)| ours.cpu_micros() / bare.cpu_micros())),
            others: rounds.iter().flat_map(|(bare, ours)| [bare.others(), ours.others()]).fold(0.0, f64::max),
        }
    }

    /// Why this does not count, where it does not.
    pub(crate) fn void(&self) -> Option<String> {
        // Written so that a share that is not a number does not count either.
        let counts = self.others <= OTHERS_ALLOWED;
        (!counts).then(|| format!("does not count: {:.1} % of the answers were not 200", self.others * 100.0))
    }

    /// The share and how far the rounds lay apart.
    pub(crate) fn shown_share(&self) -> String {
        let [lowest, median, highest] = self.share;
        format!("{median:.2} ({lowest:.2}–{highest:.2})")
    }
}

impl Figures {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> Self {
        let micros = |of: fn(&Tally) -> f64| {
            Duration::from_secs_f64(median(samples.clone().map(|sample| of(&sample.tally))) / 1e6)
        };
        Self {
            per_second: median(samples.clone().map(Sample::per_second)),
            cpu_micros: median(samples.clone().map(Sample::cpu_micros)),
            p50: micros(|tally| tally.p50_micros),
            p99: micros(|tally| tally.p99_micros),
        }
    }
}
