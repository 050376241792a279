//! The store in a namespace of Kubernetes: each resource is a custom resource, each write a
//! conditional one, and the API server with its etcd is what survives.
//!
//! What differs from the other stores:
//!
//! - Times are whole seconds. "Least recently updated" goes by commits while a process leads, and by
//!   `lastUpdate`, ties by name, when it begins.
//! - Queue places, history and totals are this process's: they begin anew with each leader, as they
//!   always did on Kubernetes.
//! - Others may change the objects at any time; what they make of resources is taken in, what they make of
//!   lifecycles is put back: those are the config's.
//!
//! A plan of one object is one conditional write. One of several is noted on the Lease first, and
//! struck out after the last write: see `intent`.

mod attempt;
mod error;
mod form;
mod intent;
mod keeper;
mod lifecycle;
mod objects;
mod outage;
mod reach;
mod shelf;
mod turns;
mod warm;
mod writer;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use boskos_core::{
    ResourceName, WallTime,
    ranch::plan::{Outcome, Plan, PlanId, Record, Sequence, Stored, Version, Write},
};
use boskos_kube::{Client, Collection, Fence, Follow, Lease, Listing, News, Object as _};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{error::KubernetesError, outage::Outage, warm::Warm};
use self::{
    intent::Intents,
    keeper::Keeper,
    objects::{LifecycleObject, ResourceObject},
    reach::Reach,
    shelf::{Seen, Shelf},
    turns::{Touched, Turns},
    writer::Writer,
};
use super::{HistoryRow, LoadSink, MemoryStore, Outcomes, Store, StoreError};

/// The Lease that replicas lead through, and that changes of several objects are noted on. Older
/// fleets have the same.
pub const LEASE: &str = "boskos-server";

/// Plans carried out side by side.
const SIDE_BY_SIDE: usize = 64;

/// How long a store that closes waits for what it writes.
const CLOSE: Duration = Duration::from_secs(10);

/// A store in a namespace. See the [module](self).
pub struct KubernetesStore {
    runtime: Handle,
    shared: Arc<Shared>,
}

/// Where a store is and under whose name it writes.
#[derive(Clone)]
pub struct KubernetesOptions {
    /// The way to the API server.
    pub client: Client,
    /// The namespace of the objects.
    pub namespace: String,
    /// The Lease called [`LEASE`] in it.
    pub lease: Arc<Lease>,
    /// Who holds that Lease for as long as this store writes; `None` where nobody leads.
    pub holder: Option<String>,
    /// Asked before each write.
    pub fence: Fence,
    /// What is known of the objects already.
    pub warm: Arc<Warm>,
    /// Hears of it when the API server is away.
    pub outage: Outage,
}

struct Shared {
    writer: Writer,
    warm: Arc<Warm>,
    outage: Outage,
    turns: Turns,
    permits: Semaphore,
    shelf: Arc<Shelf>,
    history: MemoryStore,
    keeper: Keeper,
    /// The moments from which changes of resources and of lifecycles are followed.
    loaded: OnceLock<(Version, Version)>,
    /// What writes, and comes to an end.
    writes: TaskTracker,
    /// What goes on until the stop.
    tasks: TaskTracker,
    stop: CancellationToken,
    closed: Mutex<bool>,
}

// === impl KubernetesStore ===

impl KubernetesStore {
    /// The store of a namespace; nothing is read before [`Store::load`]. What it does by itself, it
    /// does on `runtime`, and what may block must not be called there.
    #[must_use]
    pub fn new(options: KubernetesOptions, runtime: Handle) -> Self {
        let KubernetesOptions { client, namespace, lease, holder, fence, warm, outage } = options;
        let resources = Collection::<ResourceObject>::new(client.clone(), &namespace);
        let lifecycles = Collection::<LifecycleObject>::new(client, &namespace);
        let (writes, tasks, stop) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
        let keeper = Keeper::new(lifecycles.clone(), fence.clone(), writes.clone());
        let shelf = Arc::new(Shelf::default());
        let writer = Writer {
            reach: Reach::new(resources.clone(), tasks.clone(), stop.clone()),
            resources,
            lifecycles,
            shelf: shelf.clone(),
            intents: Intents::new(lease, holder, fence.clone()),
            fence,
            stop: stop.clone(),
        };
        let shared = Shared {
            writer,
            warm,
            outage,
            turns: Turns::default(),
            permits: Semaphore::new(SIDE_BY_SIDE),
            shelf,
            history: MemoryStore::default(),
            keeper,
            loaded: OnceLock::new(),
            writes,
            tasks,
            stop,
            closed: Mutex::new(false),
        };
        Self { runtime, shared: Arc::new(shared) }
    }

    /// Whether the API server answers and has our types, for whoever may read them.
    ///
    /// # Errors
    ///
    /// If not.
    pub async fn probe(client: Client, namespace: &str) -> Result<(), KubernetesError> {
        Ok(Collection::<ResourceObject>::new(client, namespace).probe().await?)
    }
}

impl Store for KubernetesStore {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn load(&self, sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        let (resources, lifecycles) = self.runtime.block_on(self.shared.read_all_unless_closed())?;
        let lifecycles = lifecycles.items.iter().filter(|object| !object.meta().is_terminating());
        let lifecycles: Vec<_> = lifecycles.map(lifecycle::read).collect();
        self.shared.keeper.begin(&lifecycles);
        lifecycles.into_iter().for_each(|record| sink.lifecycle(record));
        let mut found = self.shared.shelf.fill(&resources.items);
        drop(resources);
        sink.expect_resources(found.len());
        found.sort_by(|one, other| order_of(one).cmp(&order_of(other)));
        for (sequence, seen) in (1..).zip(found) {
            let record =
                Record { resource: seen.form.resource, sequence, last_transition: 0, leaving: seen.form.leaving };
            sink.resource(Stored { key: None, record, version: seen.version });
        }
        Ok(())
    }

    fn start(&self, outcomes: Arc<dyn Outcomes>) {
        self.shared.writer.reach.start(outcomes);
        let shared = self.shared.clone();
        self.shared.tasks.spawn_on(
            async move {
                let stop = shared.stop.clone();
                let lifecycles = shared.loaded.get().map(|(_, lifecycles)| *lifecycles);
                let keep = shared.keeper.keep(lifecycles, &shared.turns, &shared.outage);
                stop.run_until_cancelled(async { tokio::join!(shared.follow(), keep) }).await;
            },
            &self.runtime,
        );
    }

    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        for plan in plans.drain(..) {
            if self.shared.stop.is_cancelled() {
                known.push((plan.id, Outcome::NotWritten));
                continue;
            }
            if plan.writes.iter().all(is_only_ours) {
                known.push((plan.id, Outcome::Committed(smallvec::SmallVec::new())));
                continue;
            }
            let turn = self.shared.turns.line_up(Touched::all_by(&plan));
            let shared = self.shared.clone();
            self.shared.writes.spawn_on(shared.carry_out(plan, turn), &self.runtime);
        }
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        self.shared.history.history(newest, limit)
    }

    fn close(&self) -> Result<(), StoreError> {
        let mut closed = self.shared.closed.lock();
        if std::mem::replace(&mut *closed, true) {
            return Ok(());
        }
        self.runtime.block_on(self.shared.close());
        Ok(())
    }
}

impl Shared {
    /// Reads everything; given up when the store is closed, which waits for that.
    async fn read_all_unless_closed(
        &self,
    ) -> Result<(Listing<ResourceObject>, Listing<LifecycleObject>), KubernetesError> {
        let _under_way = self.tasks.token();
        self.put_back_left_over().await?;
        let read = self.stop.run_until_cancelled(self.read_all()).await;
        read.unwrap_or(Err(KubernetesError::NotLeading))
    }

    /// Puts back what was left unfinished. Each write is waited for, whatever else happens.
    async fn put_back_left_over(&self) -> Result<(), KubernetesError> {
        let lease = |source| KubernetesError::Lease { name: LEASE.to_owned(), source };
        let writer = &self.writer;
        for note in writer.intents.left_over().await.map_err(lease)? {
            writer.undo(&note).await?;
        }
        writer.intents.clear().await.map_err(lease)
    }

    async fn read_all(&self) -> Result<(Listing<ResourceObject>, Listing<LifecycleObject>), KubernetesError> {
        let (resources, lifecycles) = self.warm.list().await?;
        // A second load would follow from the first one's moment, which misses nothing.
        let _ = self.loaded.set((resources.version, lifecycles.version));
        Ok((resources, lifecycles))
    }

    async fn carry_out(self: Arc<Self>, plan: Plan, mut turn: turns::Turn) {
        turn.come().await;
        let permit = self.permits.acquire().await.expect("never closed");
        let mut news = Vec::new();
        let outcome = self.writer.carry_out(&plan, &mut news).await;
        drop(permit);
        let id = plan.id;
        if matches!(outcome, Some(Outcome::Committed(_))) {
            self.keeper.committed(&plan);
            self.history.submit(&mut vec![plan], &mut Vec::new());
        }
        let outcomes = self.writer.reach.outcomes();
        if let Some(outcome) = outcome {
            outcomes.settle(&mut vec![(id, outcome)]);
        }
        if !news.is_empty() {
            outcomes.observed(&mut news);
        }
        self.turns.end(turn);
    }

    /// Takes in what others make of the objects, for ever.
    async fn follow(&self) {
        let outcomes = self.writer.reach.outcomes();
        let mut follow = Follow::new(self.writer.resources.clone(), self.loaded.get().map(|(resources, _)| *resources));
        let mut contact = self
            .outage
            .contact("nothing is heard of changes by others; trying again", "changes by others are heard again");
        // Everything was just read, so that whatever failed before is over.
        contact.works();
        loop {
            let before = self.shelf.mark();
            let told = tokio::select! {
                told = follow.next() => told,
                () = self.shelf.went_back() => {
                    follow.list_again();
                    continue;
                }
            };
            let mut news: Vec<_> = match told {
                News::All(listing) => self.shelf.hear_all(&listing.items, listing.version, before),
                News::Again => continue,
                News::Back => Vec::new(),
                News::Changed(object) => self.shelf.hear(&object, false).into_iter().collect(),
                News::Gone(object) => self.shelf.hear(&object, true).into_iter().collect(),
                News::Trouble(error) => {
                    contact.failed(&error, error.is_away());
                    continue;
                }
            };
            contact.works();
            if !news.is_empty() {
                outcomes.observed(&mut news);
            }
        }
    }

    async fn close(&self) {
        self.writes.close();
        // Writes end by themselves, unless they are in doubt.
        if timeout(CLOSE, self.writes.wait()).await.is_err() {
            tracing::warn!("writes whose outcome is not known are given up");
        }
        self.stop.cancel();
        self.tasks.close();
        let ended = async { tokio::join!(self.writes.wait(), self.tasks.wait()) };
        if timeout(CLOSE, ended).await.is_err() {
            tracing::error!("the store did not come to an end");
        }
    }
}

/// Whether a write concerns nothing that objects say.
fn is_only_ours(write: &Write) -> bool {
    match write {
        Write::PutPlace(_) | Write::DeletePlace(_) => true,
        Write::Put(_) | Write::Delete(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => false,
    }
}

fn order_of(seen: &Seen) -> (WallTime, &ResourceName) {
    (seen.form.resource.last_update, &seen.form.resource.name)
}

impl fmt::Debug for KubernetesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesStore").field("resources", &self.shared.writer.resources).finish_non_exhaustive()
    }
}

impl fmt::Debug for KubernetesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesOptions").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
