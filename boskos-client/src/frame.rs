//! What every daemon is around its pass: start, the pass loop, an orderly stop.

mod away;
mod pass;
mod pool;
mod pulse;
mod work;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use boskos_runtime::{
    flags::ListenFlags,
    health::{self, Readiness},
    listen, log, metrics,
    signal::{self, Cause, Shutdown},
};
use prometheus::Registry;
use tokio::task::JoinHandle;

use self::pass::Loop;
pub use self::{
    pass::{Pass, Progress},
    pool::Pool,
    work::Work,
};
use crate::{Client, flags::DaemonFlags, process};

/// From the stop to the end of what runs in the pool: commands are given 10 s to end, and their resources go back.
const POOL_WAIT: Duration = Duration::from_secs(20);

/// Then for what was dropped to be given back.
const SETTLE_WAIT: Duration = Duration::from_secs(3);

/// Then for the ports to close.
const PORTS_WAIT: Duration = Duration::from_secs(1);

/// A daemon that has started: ports are open, signals are taken over.
#[derive(Debug)]
pub struct Frame {
    /// Speaks to the server.
    pub client: Client,
    /// Triggered when the process is to stop.
    pub shutdown: Shutdown,
    /// What the metrics port shows.
    pub registry: Registry,
    /// Counts what was done, what failed, and what is held.
    pub work: Work,
    /// What the health port tells; the loop keeps it.
    pub readiness: Readiness,
    /// Ends the ports, later than the work.
    ports_stop: Shutdown,
    ports: Option<JoinHandle<()>>,
}

// === impl Frame ===

impl Frame {
    /// Starts a daemon called `component`, which acquires for `owner`: logs, credentials, ports, signals.
    ///
    /// # Errors
    ///
    /// If a flag is of no use or a port cannot be had; one line says it all.
    pub async fn start(component: &'static str, owner: &str, flags: &DaemonFlags) -> anyhow::Result<Self> {
        log::init(component, flags.client.log.log_level)?;
        let client = flags.client.client(owner)?;
        let shutdown = signal::install_with(process::kill_all).context("cannot install signal handlers")?;
        let mut frame = Self::assemble(component, client, shutdown)?;
        frame.listen(&flags.listen)?;
        Ok(frame)
    }

    /// A frame around `client` without ports, logs and signals: what tests run passes in.
    ///
    /// # Errors
    ///
    /// If a metric cannot be had.
    pub fn assemble(component: &'static str, client: Client, shutdown: Shutdown) -> Result<Self, prometheus::Error> {
        let registry = metrics::registry()?;
        let work = Work::register(&registry, component, &client)?;
        let readiness = Readiness::not_ready(&format!("{} was not reached yet", client.url()));
        Ok(Self { client, shutdown, registry, work, readiness, ports_stop: Shutdown::new(), ports: None })
    }

    fn listen(&mut self, flags: &ListenFlags) -> anyhow::Result<()> {
        let health_port = listen::bind(flags.listen_address, flags.health_port, "health-port")?;
        let metrics_port = listen::bind(flags.listen_address, flags.metrics_port, "metrics-port")?;
        let stop = |token: Shutdown| async move {
            token.triggered().await;
        };
        let health = health::serve(health_port, self.readiness.clone(), stop(self.ports_stop.clone()));
        let metrics = metrics::serve(metrics_port, self.registry.clone(), stop(self.ports_stop.clone()));
        self.ports = Some(tokio::spawn(async move {
            tokio::join!(health, metrics);
        }));
        Ok(())
    }

    /// Runs `pass` again and again until the process is to stop, with up to `pool_size` jobs at a time; then stops in
    /// order, within 25 s.
    ///
    /// # Errors
    ///
    /// If the stop took too long, or something held could not be given back; it is logged by name.
    pub async fn run<P: Pass>(mut self, pass: P, pool_size: usize) -> anyhow::Result<ExitCode> {
        // Not before: what else a daemon cannot start without would be a second line.
        tracing::info!(url = self.client.url(), version = boskos_runtime::version::TEXT, "started");
        let mut pool = Pool::new(pool_size, self.shutdown.clone());
        Loop::new(&self).run(pass, &mut pool).await;
        self.readiness.set_not_ready("stopping");
        let drained = signal::drain(POOL_WAIT, pool.idle()).await;
        // What is not finished is dropped now, and goes back as it is dropped.
        let settled = signal::drain(SETTLE_WAIT, async {
            pool.end().await;
            self.client.settled().await;
        });
        let settled = settled.await;
        for resource in self.client.held() {
            tracing::error!(name = %resource.name, state = %resource.state, "could not be released: the reaper will");
        }
        self.ports_stop.trigger(Cause::Requested);
        if let Some(ports) = self.ports.take() {
            signal::drain(PORTS_WAIT, ports).await.ok();
        }
        drained.context("work under way")?;
        settled.context("giving back what was held")?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}
