//! The load generator: wrk, with a script that acquires and releases in turn.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/requests/cycle.lua");

/// How long wrk may take beyond the time that it was given.
const GRACE: Duration = Duration::from_secs(20);

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Tally {
    /// Answers with status 200.
    pub(crate) ok: u64,
    /// Other answers, and requests without one.
    pub(crate) other: u64,
    /// How long it took, in microseconds.
    pub(crate) micros: u64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
}

/// Makes sure that there is a wrk.
///
/// # Errors
///
/// If there is none; the text says how to get it.
pub(crate) fn find() -> anyhow::Result<()> {
    // Asked for its version it exits with 1, but it runs.
    let run = Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match run {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("wrk, which makes the load, is not installed: apt-get install wrk (or brew install wrk)")
        }
        Err(error) => Err(error).context("cannot run wrk"),
    }
}

impl Load {
    /// Loads the server at `to`.
    pub(crate) fn run(self, to: SocketAddr) -> anyhow::Result<Tally> {
        // With fewer threads than cores the generator would be what is measured.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("wrk");
        command
            .arg(format!("-t{}", cores.min(self.connections)))
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.seconds))
            .args(["--timeout", "10s", "-s", SCRIPT])
            .arg(format!("http://{to}"));
        let output = bounded(&mut command, Duration::from_secs(self.seconds) + GRACE)?;
        let line = output.lines().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("wrk said nothing of use: {output}"))?;
        let tally: Tally = serde_json::from_str(line).with_context(|| format!("wrk said {line}"))?;
        ensure!(tally.ok + tally.other > 0, "nothing was answered: {output}");
        Ok(tally)
    }
}

/// What a command writes, if it ends in time.
fn bounded(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("cannot run wrk")?;
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill()?;
                child.wait()?;
                bail!("wrk did not end within {} s", limit.as_secs());
            }
        }
    };
    let mut output = String::new();
    child.stdout.take().context("wrk has no output")?.read_to_string(&mut output)?;
    ensure!(status.success(), "wrk failed ({status}): {output}");
    Ok(output)
}
