//! One client's acquires while something large goes on beside them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};

use crate::{http::Client, numbers::percentile, server::Server};

/// A client that acquires and releases, one resource at a time, until told to stop.
#[derive(Debug)]
pub(crate) struct Lone {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<Acquire>>>,
}

/// One acquire.
#[derive(Clone, Copy, Debug)]
struct Acquire {
    begin: Instant,
    end: Instant,
}

/// A time in which something went on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    begin: Instant,
    end: Instant,
}

/// How long acquires took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) acquires: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) worst: Duration,
    /// How often the other thing was done, and how long it took.
    pub(crate) windows: usize,
    pub(crate) window: Duration,
}

impl Lone {
    pub(crate) fn start(server: &Server) -> anyhow::Result<Self> {
        let mut client = server.client()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut acquires = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                acquires.push(cycle(&mut client)?);
            }
            Ok(acquires)
        });
        Ok(Self { stop, thread })
    }

    /// Stops, and looks at the acquires that overlapped any of the windows.
    pub(crate) fn during(self, windows: &[Window]) -> anyhow::Result<Latency> {
        self.stop.store(true, Ordering::Relaxed);
        let acquires = self.thread.join().map_err(|_| anyhow!("the lone client panicked"))??;
        let within = |acquire: &&Acquire| windows.iter().any(|window| window.overlaps(acquire));
        let mut taken: Vec<Duration> =
            acquires.iter().filter(within).map(|acquire| acquire.end - acquire.begin).collect();
        taken.sort_unstable();
        let worst = taken.last().copied().context("no acquire fell into the time looked at")?;
        let mut lengths: Vec<Duration> = windows.iter().map(|window| window.end - window.begin).collect();
        lengths.sort_unstable();
        Ok(Latency {
            acquires: taken.len(),
            p50: percentile(&taken, 50),
            p99: percentile(&taken, 99),
            worst,
            windows: windows.len(),
            window: percentile(&lengths, 50),
        })
    }
}

impl Window {
    /// How long `work` took.
    pub(crate) fn of(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let begin = Instant::now();
        work()?;
        Ok(Self { begin, end: Instant::now() })
    }

    fn overlaps(&self, acquire: &Acquire) -> bool {
        acquire.begin < self.end && acquire.end > self.begin
    }
}

fn cycle(client: &mut Client) -> anyhow::Result<Acquire> {
    let begin = Instant::now();
    let answer = client.post("/acquire?type=gce-project&state=free&dest=busy&owner=lone", "")?;
    let end = Instant::now();
    ensure!(answer.status == 200, "the lone client's acquire was answered {}", answer.status);
    let resource: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let name = resource["name"].as_str().context("what was acquired has no name")?;
    client.must_post(&format!("/release?name={name}&dest=free&owner=lone"))?;
    Ok(Acquire { begin, end })
}
