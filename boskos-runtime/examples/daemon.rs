//! A whole daemon but for its work: what the tests of this crate start, stop and stall.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use boskos_runtime::{
    exit,
    flags::{self, IgnoredFlags, ListenFlags, LogFlags},
    health::{self, Readiness},
    listen, log, metrics,
    signal::{self, Shutdown},
    stdout,
};
use clap::Parser;

/// Does nothing, in an orderly way
#[derive(Parser)]
#[command(name = "daemon")]
struct Flags {
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    listen: ListenFlags,
    #[command(flatten)]
    ignored: IgnoredFlags,
    /// Log this many lines at once
    #[arg(long, default_value_t = 0)]
    chatter: u64,
    /// Fail at once with this error
    #[arg(long)]
    fail: Option<String>,
    /// Fail so before logging starts
    #[arg(long)]
    early: bool,
    /// Panic at once with this message
    #[arg(long)]
    panic: Option<String>,
    /// Print lines until nobody reads them
    #[arg(long)]
    print: bool,
    /// Do not stop when told to
    #[arg(long)]
    stuck: bool,
    /// Take half a second to stop
    #[arg(long)]
    linger: bool,
}

fn main() -> ExitCode {
    let flags = flags::parse::<Flags>();
    exit::run("daemon", || daemon(flags))
}

async fn daemon(flags: Flags) -> anyhow::Result<ExitCode> {
    if let (Some(error), true) = (&flags.fail, flags.early) {
        return Err(anyhow::anyhow!("{error}").context("cannot start"));
    }
    log::init("daemon", flags.log.log_level)?;
    if let Some(error) = flags.fail {
        return Err(anyhow::anyhow!("{error}").context("cannot start"));
    }
    if let Some(message) = flags.panic {
        panic!("{message}");
    }
    if flags.print {
        loop {
            stdout::print_line("line").context("printing")?;
        }
    }
    let shutdown = signal::install()?;
    let mut hangups = signal::hangups()?;
    let ports = listen_on(&flags.listen, &shutdown)?;
    for line in 0..flags.chatter {
        tracing::info!(line, "chatter");
    }
    stdout::print_line("started")?;
    tokio::spawn(async move {
        loop {
            hangups.next().await;
            stdout::print_line("hangup").ok();
        }
    });
    let cause = shutdown.triggered().await;
    stdout::print_line(&format!("{cause:?}"))?;
    if flags.stuck {
        // What no signal task on this runtime could interrupt.
        std::thread::sleep(Duration::from_secs(3600));
    }
    if flags.linger {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    signal::drain(Duration::from_secs(5), ports).await??;
    Ok(ExitCode::SUCCESS)
}

fn listen_on(flags: &ListenFlags, shutdown: &Shutdown) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let health_port = listen::bind(flags.listen_address, flags.health_port, "health-port")?;
    let metrics_port = listen::bind(flags.listen_address, flags.metrics_port, "metrics-port")?;
    stdout::print_line(&health_port.local_addr()?.to_string())?;
    stdout::print_line(&metrics_port.local_addr()?.to_string())?;
    let (registry, readiness) = (metrics::registry()?, Readiness::not_ready("starting"));
    readiness.set_ready();
    let (one, two) = (shutdown.clone(), shutdown.clone());
    let stop = |token: Shutdown| async move {
        token.triggered().await;
    };
    let health = health::serve(health_port, readiness, stop(one));
    let metrics = metrics::serve(metrics_port, registry, stop(two));
    Ok(tokio::spawn(async move {
        tokio::join!(health, metrics);
    }))
}
