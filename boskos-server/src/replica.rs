//! A server whose store others share: it serves while it leads, and stands by otherwise.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use boskos_core::ranch::plan::{Foreign, Outcome, PlanId};
use boskos_kube::{Client, Election, Fence, Lease, Lost, PodLabelError, PodLabels, Timing};
use boskos_runtime::{
    follow::Watch,
    health::{self, Readiness},
    text,
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::{JoinError, JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    clock::Clock,
    follower::{Follower, log_applied},
    gate::Gate,
    http::Drained,
    instruments::{self, Instruments, RanchGauges},
    known_good::KnownGood,
    server::{self, DRAIN, Options, Ports, StartError},
    steward::Steward,
    store::{
        KubernetesStore, Outcomes, Store, StoreError,
        kubernetes::{KubernetesError, KubernetesOptions, LEASE, Outage, Warm},
    },
    sync,
    trouble::{Trouble, Troubles},
};

/// The pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the label is looked after.
const LABELS_EVERY: Duration = Duration::from_secs(30);

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
    config: Arc<KnownGood>,
    lease: Arc<Lease>,
    warm: Arc<Warm>,
    outage: Outage,
    cannot_serve: Mutex<Trouble>,
    gate: Arc<Gate>,
    instruments: Arc<Instruments>,
    readiness: Readiness,
    /// Where clients, probes and Prometheus call.
    addresses: [SocketAddr; 3],
    /// Has the config read again, while there is someone to read it.
    reread: Mutex<Option<mpsc::Sender<()>>>,
}

/// One time of serving, or of trying to: there from before the first request to the API server until
/// [`Self::close`], which no way past it may miss.
struct Term {
    store: Arc<dyn Store>,
    /// There once the store was read.
    steward: Option<Arc<Steward>>,
    background: JoinSet<()>,
    /// Brings outcomes to the ranch until the store is closed.
    carrier: JoinSet<()>,
}

/// Brings a store's reports to a steward for as long as there is one: the store itself does not keep it.
struct Reports(Weak<Steward>);

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
    let (stop_serving, stopped) = oneshot::channel();
    let stopped = async move { stopped.await.unwrap_or_else(|_| Instant::now()) };
    let serving = tokio::spawn(crate::http::serve(ports.http, gate.clone(), options.http.clone(), stopped));

    let watch = Watch::begin(options.config.clone());
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
    Ok(Replica { http, health, metrics, crown, background, stop_serving, serving, stop_reigning, reigning })
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
                if !self.reign(Fence::open(), &stop, std::future::pending()).await {
                    stop.run_until_cancelled(sleep(RETRY)).await;
                }
                continue;
            };
            let Some(fence) = stop.run_until_cancelled(self.stand_by(election)).await else { return };
            tracing::info!(identity = election.identity(), "leading");
            let could_serve = self.reign(fence.clone(), &stop, election.hold(&fence)).await;
            let had_it = fence.is_open();
            if let Err(error) = election.give_up(&fence).await
                && had_it
            {
                tracing::warn!(error = text::chain(&error), "the lease was not given up: others wait until it ends");
            }
            if !could_serve {
                // Another replica may be able to.
                stop.run_until_cancelled(sleep(timing.look_every * 2)).await;
            }
        }
    }

    /// Waits until this replica leads, and holds the objects that another leads meanwhile.
    async fn stand_by(&self, election: &Election) -> Fence {
        let looked = Notify::new();
        let mut contact = self.outage.contact("cannot look at the lease", "the lease can be looked at again");
        let win = election.win(|failed| match failed {
            Some(error) => contact.failed(error, error.is_away()),
            None => {
                contact.works();
                looked.notify_one();
            }
        });
        let hold = async {
            // Whoever wins at the first look has no use for it.
            looked.notified().await;
            self.warm.keep(&self.outage).await
        };
        tokio::select! {
            biased;
            fence = win => fence,
            never = hold => match never {},
        }
    }

    /// Serves until the lease is lost or the replica stops; whether it could. When it returns, nothing is
    /// written any more.
    async fn reign(&self, fence: Fence, stop: &CancellationToken, hold: impl Future<Output = Lost>) -> bool {
        let mut hold = std::pin::pin!(hold);
        let mut term = Term::new(self.store(&fence));
        let reigning = async {
            match self.begin(&mut term, &fence).await {
                Ok(()) => term.until_panic().await,
                Err(error) => error,
            }
        };
        let (mut holds, mut could_serve, mut winds_down) = (true, true, false);
        tokio::select! {
            error = reigning => {
                could_serve = false;
                let error = text::chain(&error);
                self.cannot_serve.lock().tell(|| tracing::error!(error, "cannot serve; trying again"));
            }
            lost = &mut hold => {
                holds = false;
                tracing::warn!(why = text::chain(&lost), "leading no more");
            }
            () = stop.cancelled() => winds_down = true,
        }
        self.gate.close();
        *self.reread.lock() = None;
        // The Lease is held until everything is written.
        let mut closing = std::pin::pin!(term.close(winds_down));
        loop {
            tokio::select! {
                () = &mut closing => return could_serve,
                lost = &mut hold, if holds => {
                    holds = false;
                    tracing::warn!(why = text::chain(&lost), "lost the lease while closing");
                }
            }
        }
    }

    fn store(&self, fence: &Fence) -> Arc<dyn Store> {
        let Shared { client, namespace, identity, .. } = self.shared.clone();
        let (lease, fence, warm) = (self.lease.clone(), fence.clone(), self.warm.clone());
        let outage = self.outage.clone();
        let options = KubernetesOptions { client, namespace, lease, holder: identity, fence, warm, outage };
        Arc::new(KubernetesStore::new(options, tokio::runtime::Handle::current()))
    }

    /// Reads everything and opens the gate.
    async fn begin(&self, term: &mut Term, fence: &Fence) -> Result<(), StartError> {
        let (options, config, store) = (&self.options, self.config.clone(), term.store.clone());
        let watch = Watch::begin(options.config.clone());
        let config = move || config.config();
        let (steward, config) = server::load(options, store.clone(), Clock::of_whole_seconds(), config).await?;
        store.start(Arc::new(Reports(Arc::downgrade(&steward))));
        term.steward = Some(steward.clone());
        term.carrier.spawn(steward.clone().carry());
        term.background.spawn(steward.clone().drive());
        let mut follower = Follower::new(watch, steward.clone(), options.update_period);
        match sync::apply(steward.clone(), config).await {
            Ok(found) => log_applied(&options.config, &found),
            Err(error) => {
                // A name that the API server will not have is no reason to serve none.
                tracing::warn!(error = text::chain(&error), "serving all the same, and trying again");
                follower = follower.owing();
            }
        }
        let (reread, again) = mpsc::channel(1);
        *self.reread.lock() = Some(reread);
        term.background.spawn(follower.run(again));
        steward.extend_places();
        let info = server::info(options, &*store);
        let app = App { steward, instruments: self.instruments.clone(), max_wait: options.max_wait, info };
        if !fence.is_open() {
            return Err(StoreError::from(KubernetesError::NotLeading).into());
        }
        self.gate.open(app, fence.clone());
        if let Some(labels) = self.shared.labels.clone() {
            term.background.spawn(look_after(labels, fence.clone()));
        }
        self.readiness.set_ready();
        self.cannot_serve.lock().end();
        let [http, health, metrics] = self.addresses;
        tracing::info!(%http, %health, %metrics, store = store.name(), "serving");
        Ok(())
    }
}

// === impl Term ===

impl Term {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store, steward: None, background: JoinSet::new(), carrier: JoinSet::new() }
    }

    /// Waits until something that runs for ever does not, and panics as that did.
    async fn until_panic<T>(&mut self) -> T {
        let failed = tokio::select! {
            Some(Err(failed)) = self.background.join_next() => failed,
            Some(Err(failed)) = self.carrier.join_next() => failed,
            else => return std::future::pending().await,
        };
        std::panic::resume_unwind(failed.into_panic())
    }

    /// Ends everything, the store last; before it what is still to be written is, if this `winds_down`.
    async fn close(mut self, winds_down: bool) {
        self.background.shutdown().await;
        if let Some(steward) = self.steward.take().filter(|_| winds_down) {
            server::wind_down(&steward).await;
        }
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        self.carrier.shutdown().await;
        if let Err(error) = closed.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())) {
            tracing::error!(error = text::chain(&error), "the store was not closed in order");
        }
    }
}

// === impl Reports ===

impl Outcomes for Reports {
    fn settle(&self, batch: &mut Vec<(PlanId, Outcome)>) {
        if let Some(steward) = self.0.upgrade() {
            Outcomes::settle(&steward, batch);
        }
    }

    fn observed(&self, news: &mut Vec<Foreign>) {
        if let Some(steward) = self.0.upgrade() {
            Outcomes::observed(&steward, news);
        }
    }

    fn halted(&self, why: &StoreError) {
        if let Some(steward) = self.0.upgrade() {
            Outcomes::halted(&steward, why);
        }
    }

    fn resumed(&self) {
        if let Some(steward) = self.0.upgrade() {
            Outcomes::resumed(&steward);
        }
    }
}

/// Keeps the label on this pod alone.
async fn look_after(labels: PodLabels, fence: Fence) {
    let mut trouble: Troubles<Option<String>> = Troubles::default();
    loop {
        let errors = labels.claim(&fence).await.err().unwrap_or_default();
        let pod_of = |error: &PodLabelError| error.pod().map(str::to_owned);
        // That nothing can be had at the moment is told of by what follows the objects.
        for error in errors.iter().filter(|error| !error.is_away()) {
            trouble.of(pod_of(error)).goes_on("the leader's label is not where it should be", error);
        }
        let still: Vec<Option<String>> = errors.iter().map(pod_of).collect();
        for pod in trouble.end_others(&still) {
            tracing::info!(pod, "the leader's label is where it should be again");
        }
        sleep(if errors.is_empty() { LABELS_EVERY } else { RETRY }).await;
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
