//! A server whose store others share: it serves while it leads, and stands by otherwise.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use boskos_kube::{Client, Election, Fence, Lease, Lost, PodLabels, Timing};
use boskos_runtime::{
    follow::Watch,
    health::{self, Readiness},
    text,
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    clock::Clock,
    config_file,
    follower::{Follower, log_applied},
    gate::Gate,
    http::Drained,
    instruments::{Instruments, RanchGauges},
    server::{self, DRAIN, Options, Ports, StartError},
    steward::Steward,
    store::{
        KubernetesStore, Store, StoreError,
        kubernetes::{KubernetesError, KubernetesOptions, LEASE},
    },
    sync,
};

/// The pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the label is looked after.
const LABELS_EVERY: Duration = Duration::from_secs(30);

/// How often trouble that goes on is spoken of.
const TELL_EVERY: Duration = Duration::from_secs(60);

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
    stop_serving: oneshot::Sender<Instant>,
    serving: JoinHandle<Drained>,
    stop_reigning: CancellationToken,
    reigning: JoinHandle<()>,
}

/// What it takes to reign.
struct Crown {
    options: Options,
    shared: Shared,
    lease: Arc<Lease>,
    gate: Arc<Gate>,
    instruments: Arc<Instruments>,
    readiness: Readiness,
    /// Where clients, probes and Prometheus call.
    addresses: [SocketAddr; 3],
    /// Has the config read again, while there is someone to read it.
    reread: Mutex<Option<mpsc::Sender<()>>>,
}

/// One time of serving.
struct Term {
    steward: Arc<Steward>,
    background: JoinSet<()>,
    /// Brings outcomes to the ranch until the store is closed.
    carrier: JoinSet<()>,
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
    background.spawn(boskos_runtime::metrics::serve(ports.metrics, registry, std::future::pending()));
    let (stop_serving, stopped) = oneshot::channel();
    let stopped = async move { stopped.await.unwrap_or_else(|_| Instant::now()) };
    let serving = tokio::spawn(crate::http::serve(ports.http, gate.clone(), options.http.clone(), stopped));

    config_file::parse(&options.config, &config_file::read(&options.config)?)?;
    reach(&shared).await?;
    tracing::info!(%http, %health, %metrics, namespace = shared.namespace, identity = shared.identity, "standing by");
    if shared.identity.is_some() {
        readiness.set_ready();
    }
    let lease = Arc::new(Lease::new(shared.client.clone(), &shared.namespace, LEASE));
    let reread = Mutex::new(None);
    let addresses = [http, health, metrics];
    let crown = Arc::new(Crown { options, shared, lease, gate, instruments, readiness, addresses, reread });
    let stop_reigning = CancellationToken::new();
    let reigning = tokio::spawn(crown.clone().reign_again_and_again(stop_reigning.clone()));
    Ok(Replica { http, health, metrics, crown, background, stop_serving, serving, stop_reigning, reigning })
}

/// Waits until the API server answers.
async fn reach(shared: &Shared) -> Result<(), StoreError> {
    let mut told = None;
    loop {
        match KubernetesStore::probe(shared.client.clone(), &shared.namespace).await {
            Ok(()) => return Ok(()),
            Err(error) if error.may_pass() => tell(&mut told, "waiting for the API server", &error),
            Err(error) => return Err(error.into()),
        }
        sleep(RETRY).await;
    }
}

/// Says what is wrong when it begins, and once in a while.
fn tell(told: &mut Option<Instant>, what: &str, error: &dyn std::error::Error) {
    if told.is_none_or(|at| at.elapsed() > TELL_EVERY) {
        *told = Some(Instant::now());
        tracing::warn!(error = text::chain(error), "{what}");
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

    /// Stops in order: no longer ready, requests in flight finished, objects written, and the Lease
    /// given up so that another replica need not wait for its end.
    pub async fn stop(mut self) {
        self.crown.readiness.set_not_ready("shutting down");
        tracing::info!("shutting down");
        // The receiver is gone only if serving ended by itself.
        let _ = self.stop_serving.send(Instant::now() + DRAIN);
        let drained = loop {
            if let Some(steward) = self.crown.gate.steward() {
                steward.release_waiters();
            }
            tokio::select! {
                drained = &mut self.serving => break drained,
                () = sleep(Duration::from_millis(50)) => {}
            }
        };
        match drained {
            Ok(Drained { cut: 0 }) => {}
            Ok(Drained { cut }) => tracing::warn!(cut, "requests were cut at the end of the drain"),
            Err(failed) => tracing::error!(error = %failed, "serving ended abnormally"),
        }
        self.stop_reigning.cancel();
        if let Err(failed) = self.reigning.await {
            tracing::error!(error = %failed, "leading ended abnormally");
        }
        self.background.shutdown().await;
        tracing::info!("stopped");
    }
}

// === impl Crown ===

impl Crown {
    async fn reign_again_and_again(self: Arc<Self>, stop: CancellationToken) {
        let timing = Timing::default();
        let election = self.shared.identity.clone().map(|identity| Election::new(self.lease.clone(), identity, timing));
        while !stop.is_cancelled() {
            let Some(election) = &election else {
                self.reign(Fence::open(), &stop, std::future::pending()).await;
                continue;
            };
            let mut told = None;
            let won = stop.run_until_cancelled(election.win(|trouble| match trouble {
                Some(error) => tell(&mut told, "cannot look at the lease", error),
                None => told = None,
            }));
            let Some(fence) = won.await else { return };
            tracing::info!(identity = election.identity(), "leading");
            self.reign(fence.clone(), &stop, election.hold(&fence)).await;
            if let Err(error) = election.give_up(&fence).await {
                tracing::warn!(error = text::chain(&error), "the lease was not given up: others wait until it ends");
            }
        }
    }

    /// Serves until the lease is lost or the replica stops.
    async fn reign(&self, fence: Fence, stop: &CancellationToken, hold: impl Future<Output = Lost>) {
        let mut hold = std::pin::pin!(hold);
        let begun = tokio::select! {
            begun = self.begin(&fence) => begun,
            lost = &mut hold => return tracing::warn!(why = %lost, "leading no more"),
            () = stop.cancelled() => return,
        };
        let mut term = match begun {
            Ok(term) => term,
            Err(error) => {
                tracing::error!(error = text::chain(&error), "cannot serve; trying again");
                // Another replica may be able to.
                sleep(RETRY).await;
                return;
            }
        };
        let mut is_stopping = false;
        tokio::select! {
            lost = &mut hold => tracing::warn!(why = %lost, "leading no more"),
            () = stop.cancelled() => is_stopping = true,
        }
        self.gate.close();
        *self.reread.lock() = None;
        term.background.shutdown().await;
        let steward = term.steward.clone();
        let closing = async move {
            if is_stopping {
                server::wind_down(&steward).await;
            }
            tokio::task::spawn_blocking(move || steward.store().close()).await
        };
        // The Lease is held until everything is written.
        let closed = tokio::select! {
            closed = closing => closed,
            lost = &mut hold => return tracing::warn!(why = %lost, "lost the lease while closing"),
        };
        term.carrier.shutdown().await;
        if let Err(error) = closed.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())) {
            tracing::error!(error = text::chain(&error), "the store was not closed in order");
        }
    }

    /// Reads everything and opens the gate.
    async fn begin(&self, fence: &Fence) -> Result<Term, StartError> {
        let Shared { client, namespace, identity, labels } = self.shared.clone();
        let store: Arc<dyn Store> = Arc::new(KubernetesStore::new(
            KubernetesOptions { client, namespace, lease: self.lease.clone(), holder: identity, fence: fence.clone() },
            tokio::runtime::Handle::current(),
        ));
        let options = &self.options;
        let watch = Watch::begin(options.config.clone());
        let (steward, config) = server::load(options, store.clone(), Clock::of_whole_seconds()).await?;
        store.start(Arc::new(steward.clone()));
        let mut carrier = JoinSet::new();
        carrier.spawn(steward.clone().carry());
        let mut background = JoinSet::new();
        background.spawn(steward.clone().drive());
        let found = sync::apply(steward.clone(), config).await?;
        log_applied(&options.config, &found);
        let (reread, again) = mpsc::channel(1);
        *self.reread.lock() = Some(reread);
        background.spawn(Follower::new(watch, steward.clone(), options.update_period).run(again));
        steward.extend_places();
        let info = server::info(options, &*store);
        let app =
            App { steward: steward.clone(), instruments: self.instruments.clone(), max_wait: options.max_wait, info };
        if !fence.is_open() {
            return Err(StoreError::from(KubernetesError::NotLeading).into());
        }
        self.gate.open(app, fence.clone());
        if let Some(labels) = labels {
            background.spawn(look_after(labels));
        }
        self.readiness.set_ready();
        let [http, health, metrics] = self.addresses;
        tracing::info!(%http, %health, %metrics, store = store.name(), "serving");
        Ok(Term { steward, background, carrier })
    }
}

/// Keeps the label on this pod alone.
async fn look_after(labels: PodLabels) {
    let mut told = None;
    loop {
        match labels.claim().await {
            Ok(()) => {
                told = None;
                sleep(LABELS_EVERY).await;
            }
            Err(error) => {
                tell(&mut told, "cannot move the leader's label to this pod", &error);
                sleep(RETRY).await;
            }
        }
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

impl std::fmt::Debug for Crown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crown").field("shared", &self.shared).finish_non_exhaustive()
    }
}
