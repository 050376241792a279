//! The terms of a replica: one time of leading, or of trying to, after the other.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use boskos_core::ranch::plan::{Foreign, Outcome, PlanId};
use boskos_kube::{Election, Fence, Lease, Lost, PodLabelError, PodLabels, Timing};
use boskos_runtime::{blocking::blocking, follow::Watch, health::Readiness, text};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{RETRY, Shared};
use crate::{
    app::App,
    clock::Clock,
    follower::{Follower, log_applied},
    gate::Gate,
    instruments::Instruments,
    known_good::KnownGood,
    server::{self, Options, StartError},
    steward::Steward,
    store::{
        KubernetesStore, Outcomes, Store, StoreError,
        kubernetes::{KubernetesError, KubernetesOptions, Outage, Warm},
    },
    sync,
    trouble::{Trouble, Troubles},
};

/// How often the label is looked after.
const LABELS_EVERY: Duration = Duration::from_secs(30);

/// What it takes to reign.
pub(super) struct Crown {
    pub(super) options: Options,
    pub(super) shared: Shared,
    pub(super) config: Arc<KnownGood>,
    pub(super) lease: Arc<Lease>,
    pub(super) warm: Arc<Warm>,
    pub(super) outage: Outage,
    pub(super) cannot_serve: Mutex<Trouble>,
    pub(super) gate: Arc<Gate>,
    pub(super) instruments: Arc<Instruments>,
    pub(super) readiness: Readiness,
    /// Where clients, probes and Prometheus call.
    pub(super) addresses: [SocketAddr; 3],
    /// Has the config read again, while there is someone to read it.
    pub(super) reread: Mutex<Option<mpsc::Sender<()>>>,
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

// === impl Crown ===

impl Crown {
    pub(super) async fn reign_again_and_again(self: Arc<Self>, stop: CancellationToken) {
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
        let watched = options.config.clone();
        let watch = blocking(|| Watch::begin(watched)).await;
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

impl std::fmt::Debug for Crown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crown").field("shared", &self.shared).finish_non_exhaustive()
    }
}
