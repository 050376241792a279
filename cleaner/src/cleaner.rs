//! The cleaner's pass, and what its workers do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boskos_client::{
    Client, Error, Filter, Lease, LeaseOptions, Resource, ResourceName, ResourceType, ShownLifecycle,
    frame::{Pass, Pool, Progress, Work},
    types::{self, TypeSelection},
};
use boskos_core::{MonoTime, leased::LEASED_RESOURCES, state};
use boskos_runtime::signal::Shutdown;

use crate::{
    orphans::Scope,
    parts,
    queue::{Queue, Ticket},
};

/// The longest time between two passes, and the time between two looks for orphans.
const INTERVAL: Duration = Duration::from_secs(60);

/// The shortest, where something that failed is due.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// Finds what is to be deleted and has workers take it apart.
#[derive(Debug)]
pub struct Cleaner {
    types: TypeSelection,
    serving: Vec<ResourceType>,
    /// When orphans were last looked for.
    looked: Option<MonoTime>,
    looking: Arc<AtomicBool>,
    tools: Tools,
}

/// What workers need. Clones share all of it.
#[derive(Clone, Debug)]
struct Tools {
    client: Client,
    work: Work,
    queue: Queue,
}

// === impl Cleaner ===

impl Cleaner {
    /// A cleaner of the dynamic types among `types`.
    #[must_use]
    pub fn new(client: Client, work: Work, types: TypeSelection) -> Self {
        let tools = Tools { client, work, queue: Queue::default() };
        Self { types, serving: Vec::new(), looked: None, looking: Arc::default(), tools }
    }

    async fn look(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        let lifecycles = match self.tools.client.lifecycles().await {
            Ok(lifecycles) => lifecycles,
            Err(Error::OlderServer { .. }) if !self.types.is_all() => return self.look_older(pool).await,
            Err(error) => return Err(error),
        };
        self.serving = self.served(&lifecycles).await?;
        self.look_for_orphans(pool, &lifecycles);
        let Some(filter) = self.filter() else { return Ok(Progress::Idle) };
        let listed = self.tools.client.list(&filter).await?;
        let (readable, unreadable) = listed.into_iter().partition(|resource| self.tools.is_readable(resource));
        let waiting = self.tools.queue.offer(readable, unreadable, self.tools.client.clock().mono());
        for _ in 0..waiting.min(pool.room()) {
            pool.spawn(self.tools.clone().serve(pool.stop()));
        }
        Ok(if waiting > 0 { Progress::Did } else { Progress::Idle })
    }

    async fn served(&mut self, lifecycles: &[ShownLifecycle]) -> Result<Vec<ResourceType>, Error> {
        let dynamic = lifecycles.iter().map(|shown| shown.lifecycle.r#type.clone());
        if self.types.is_all() {
            return Ok(dynamic.collect());
        }
        let selected = self.types.current(&self.tools.client).await?;
        Ok(dynamic.filter(|r#type| selected.contains(r#type)).collect())
    }

    fn filter(&self) -> Option<Filter> {
        types::unowned(&self.serving, &[state::TO_BE_DELETED])
    }

    /// Beside the rest: there may be many states to ask about.
    fn look_for_orphans(&mut self, pool: &mut Pool, lifecycles: &[ShownLifecycle]) {
        let now = self.tools.client.clock().mono();
        let is_due = self.looked.is_none_or(|looked| now.saturating_since(looked) >= INTERVAL);
        if !is_due || pool.room() == 0 || self.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        self.looked = Some(now);
        let scope = Scope::new(lifecycles, &self.serving, self.types.is_all());
        let (client, looking, stop) = (self.tools.client.clone(), Looking(Arc::clone(&self.looking)), pool.stop());
        pool.spawn(async move {
            let _looking = looking;
            tokio::select! {
                biased;
                _ = stop.triggered() => {}
                adopted = scope.adopt(&client) => {
                    if let Err(error) = adopted {
                        tracing::warn!(%error, "orphans could not all be looked after");
                    }
                }
            }
        });
    }

    /// An older server cannot tell what there is: it is asked for one after the other.
    async fn look_older(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        self.serving = self.types.current(&self.tools.client).await?;
        let now = self.tools.client.clock().mono();
        self.tools.queue.forget_before(now);
        let mut progress = Progress::Idle;
        for r#type in &self.serving {
            while pool.room() > 0 && !self.tools.queue.is_resting(r#type, now) {
                let acquired = self.tools.client.acquire(r#type.as_str(), state::TO_BE_DELETED, state::CLEANING).await;
                let resource = match acquired {
                    Ok(resource) => resource,
                    Err(error) if error.is_none_now() => break,
                    Err(error) => return Err(error),
                };
                if self.tools.queue.is_paused(&resource.name, now) {
                    // It failed a moment ago. Those behind it wait for a later pass: it goes back behind them.
                    self.tools.hold(resource).release(state::TO_BE_DELETED).await?;
                    break;
                }
                progress = Progress::Did;
                let ticket = self.tools.queue.taken(&resource);
                let tools = self.tools.clone();
                pool.spawn(async move { tools.take_apart(ticket, resource).await });
            }
        }
        Ok(progress)
    }
}

impl Pass for Cleaner {
    async fn pass(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        self.look(pool).await
    }

    fn wakes_on(&self) -> Option<Filter> {
        self.filter()
    }

    fn interval(&self) -> Duration {
        let now = self.tools.client.clock().mono();
        let until = self.tools.queue.first_due(now).map_or(INTERVAL, |due| due.saturating_since(now));
        until.clamp(LEAST_INTERVAL, INTERVAL)
    }

    async fn called(&mut self) {
        self.types.changed().await;
    }
}

/// Somebody looks for orphans, until dropped.
struct Looking(Arc<AtomicBool>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

// === impl Tools ===

impl Tools {
    /// Keeps what was just granted alive; dropped, it goes back as it was.
    fn hold(&self, resource: Resource) -> Lease {
        self.client.lease(resource, LeaseOptions::dropped_into(state::TO_BE_DELETED))
    }

    /// Takes apart what waits, one after the other, until nothing does or the process is to stop.
    async fn serve(self, stop: Shutdown) {
        while !stop.is_triggered() {
            let Some(ticket) = self.queue.next() else { return };
            let name = std::slice::from_ref(&ticket.name);
            match self.client.acquire_by_state(state::TO_BE_DELETED, state::CLEANING, name).await {
                Ok(taken) => {
                    for resource in taken {
                        self.take_apart(self.queue.taken(&resource), resource).await;
                    }
                }
                Err(error) if error.is_none_now() => ticket.done(),
                Err(error) => {
                    tracing::warn!(name = %ticket.name, %error, "not taken");
                    self.work.failed(ticket.r#type.as_str(), "acquire");
                    ticket.failed(&self.client);
                    if error.is_away() {
                        // The next pass tells when it is back.
                        return;
                    }
                }
            }
        }
    }

    /// Takes one apart that this process was granted.
    async fn take_apart(&self, ticket: Ticket, resource: Resource) {
        let lease = self.hold(resource);
        let Ok(names) = parts::named(&lease.resource()) else {
            self.is_readable(&lease.resource());
            // Dropped, the lease goes back as it was.
            return ticket.rest(&self.client);
        };
        let ended = tokio::select! {
            biased;
            lost = lease.lost() => {
                tracing::warn!(name = %ticket.name, %lost, "no longer ours: left alone");
                self.work.failed(ticket.r#type.as_str(), "lost");
                return ticket.done();
            }
            emptied = self.empty(&lease, &names) => emptied,
        };
        let ended = match ended {
            Ok(parts) => lease.release(state::TOMBSTONE).await.map(|()| parts),
            // Dropped: it goes back, to be tried again.
            Err(error) => Err(error),
        };
        match ended {
            Ok(parts) => {
                self.work.did(ticket.r#type.as_str(), 1);
                tracing::info!(name = %ticket.name, r#type = %ticket.r#type, parts, "taken apart");
                ticket.done();
            }
            Err(error) => {
                tracing::warn!(name = %ticket.name, r#type = %ticket.r#type, %error, "not taken apart");
                self.work.failed(ticket.r#type.as_str(), if error.is_lost() { "lost" } else { "server" });
                ticket.failed(&self.client);
            }
        }
    }

    /// Gives its parts back, then forgets them; tells how many went back.
    async fn empty(&self, lease: &Lease, names: &[ResourceName]) -> Result<usize, Error> {
        let composite = lease.resource();
        let state = composite.name.as_str().into();
        let count = parts::give_back(&self.client, &state, names).await?;
        if composite.user_data.get(LEASED_RESOURCES).is_some() {
            lease.update(&[(LEASED_RESOURCES.to_owned(), None)].into()).await?;
        }
        Ok(count)
    }

    /// Whether it is known what `composite` was made of. One of which it is not must not be deleted: its parts would
    /// be lost. It stays as it is until somebody mends its user data, and is reported once.
    fn is_readable(&self, composite: &Resource) -> bool {
        let Err(reason) = parts::named(composite) else { return true };
        if self.queue.is_news(composite) {
            self.work.failed(composite.r#type.as_str(), "unreadable");
            tracing::error!(name = %composite.name, r#type = %composite.r#type, key = LEASED_RESOURCES, reason,
                "cannot be read: it stays until that is mended");
        }
        false
    }
}
