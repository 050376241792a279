//! A server whose store others share: it serves while it leads, and stands by otherwise.

mod term;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use boskos_kube::{Client, Lease, PodLabels};
use boskos_runtime::{
    blocking::blocking,
    follow::Watch,
    health::{self, Readiness},
};
use parking_lot::Mutex;
use tokio::{
    task::{JoinError, JoinHandle, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use self::term::Crown;
use crate::{
    gate::Gate,
    instruments::{self, Instruments, RanchGauges},
    known_good::KnownGood,
    server::{Options, Ports, StartError},
    serving::Serving,
    store::{
        KubernetesStore, StoreError,
        kubernetes::{LEASE, Outage, Warm},
    },
    trouble::Trouble,
};

/// The pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where a replica keeps its resources, and with whom it shares them.
#[derive(Clone)]
pub struct Shared {
    /// The way to the API server.
    pub client: Client,
    /// The namespace of the objects.
    pub namespace: String,
    /// Who this is among several replicas; `None` if there are no others.
    pub identity: Option<String>,
    /// The label that leads traffic here.
    pub labels: Option<PodLabels>,
}

/// A replica that runs.
#[derive(Debug)]
pub struct Replica {
    /// Where clients call.
    pub http: SocketAddr,
    /// Where probes call.
    pub health: SocketAddr,
    /// Where Prometheus calls.
    pub metrics: SocketAddr,
    crown: Arc<Crown>,
    background: JoinSet<()>,
    serving: Serving,
    stop_reigning: CancellationToken,
    reigning: JoinHandle<()>,
}

/// Starts a replica; it may serve later than this returns.
///
/// # Errors
///
/// If config or ports are of no use, or the rights or types in the cluster are missing.
pub async fn start(options: Options, shared: Shared, ports: Ports) -> Result<Replica, StartError> {
    let readiness = Readiness::not_ready("the config and the store are being read");
    let mut background = JoinSet::new();
    let (http, health, metrics) = (ports.http.local_addr()?, ports.health.local_addr()?, ports.metrics.local_addr()?);
    background.spawn(health::serve(ports.health, readiness.clone(), std::future::pending()));

    let registry = boskos_runtime::metrics::registry()?;
    let instruments = Arc::new(Instruments::register(&registry)?);
    let gate = Arc::new(Gate::closed(instruments.clone()));
    let served = gate.clone();
    RanchGauges::register(&registry, move || served.steward())?;
    let warm = Arc::new(Warm::new(&shared.client, &shared.namespace));
    let stands_by = warm.clone();
    instruments::register_standby(&registry, move || stands_by.held())?;
    background.spawn(boskos_runtime::metrics::serve(ports.metrics, registry, std::future::pending()));
    let serving = Serving::begin(ports.http, gate.clone(), options.http.clone());

    let watched = options.config.clone();
    let watch = blocking(|| Watch::begin(watched)).await;
    let config = Arc::new(KnownGood::begin(options.config.clone()).await?);
    background.spawn(config.clone().keep_up(watch, options.update_period));
    reach(&shared).await?;
    if shared.identity.is_some() {
        readiness.set_ready();
    }
    tracing::info!(%http, %health, %metrics, namespace = shared.namespace, identity = shared.identity, "standing by");
    let lease = Arc::new(Lease::new(shared.client.clone(), &shared.namespace, LEASE));
    let reread = Mutex::new(None);
    let crown = Arc::new(Crown {
        options,
        shared,
        config,
        lease,
        warm,
        outage: Outage::default(),
        cannot_serve: Mutex::default(),
        gate,
        instruments,
        readiness,
        addresses: [http, health, metrics],
        reread,
    });
    let stop_reigning = CancellationToken::new();
    let reigning = tokio::spawn(crown.clone().reign_again_and_again(stop_reigning.clone()));
    Ok(Replica { http, health, metrics, crown, background, serving, stop_reigning, reigning })
}

/// Waits until the API server answers.
async fn reach(shared: &Shared) -> Result<(), StoreError> {
    let mut trouble = Trouble::default();
    loop {
        match KubernetesStore::probe(shared.client.clone(), &shared.namespace).await {
            Ok(()) => return Ok(()),
            Err(error) if error.may_pass() => trouble.goes_on("waiting for the API server", &error),
            Err(error) => return Err(error.into()),
        }
        sleep(RETRY).await;
    }
}

// === impl Replica ===

impl Replica {
    /// Has the config read again at once, if this replica leads.
    pub fn reread_config(&self) {
        if let Some(reread) = &*self.crown.reread.lock() {
            // One that is not carried out yet says the same.
            let _ = reread.try_send(());
        }
    }

    /// Waits until this replica can lead no more, which only a defect does; what went wrong. Safe to cancel.
    pub async fn broken(&mut self) -> JoinError {
        match (&mut self.reigning).await {
            Err(failed) => failed,
            // Only [`Self::stop`] has it end by itself.
            Ok(()) => std::future::pending().await,
        }
    }

    /// Stops in order: no longer ready, requests in flight finished, objects written, and the Lease
    /// given up so that another replica need not wait for its end.
    pub async fn stop(mut self) {
        self.crown.readiness.set_not_ready("shutting down");
        tracing::info!("shutting down");
        let release_waiters = || {
            if let Some(steward) = self.crown.gate.steward() {
                steward.release_waiters();
            }
        };
        self.serving.stop(release_waiters).await;
        self.stop_reigning.cancel();
        if let Err(failed) = self.reigning.await {
            tracing::error!(error = %failed, "leading ended abnormally");
        }
        self.background.shutdown().await;
        tracing::info!("stopped");
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("namespace", &self.namespace)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
