//! A resource that is held and kept alive.

use std::{sync::Arc, time::Duration};

use boskos_core::{MonoTime, Resource, ResourceName, State, WallTime, user_data::UserDataPatch};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    Client, Error,
    client::{Release, Since},
    retry::Delays,
};

/// How a lease is kept alive, and what becomes of it.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// Time between heartbeats: 1 min unless set.
    pub period: Duration,
    /// After this long without a successful heartbeat the lease counts as lost: 20 min unless set. To be below the
    /// reaper's expiry.
    pub lost_after: Duration,
    /// The state into which a lease that is dropped goes back; `None` leaves it to the reaper.
    pub dropped_into: Option<State>,
}

/// How a lease was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The server says that it is no longer the holder's.
    #[error("the server says: {0}")]
    Refused(Error),
    /// No heartbeat got through for too long.
    #[error("no heartbeat got through for {} s{}", .silent.as_secs(), said(.last))]
    Silent {
        /// For how long.
        silent: Duration,
        /// What the last one failed of, if it failed.
        last: Option<Error>,
    },
    /// It changed hands in a time in which no heartbeat was sent.
    #[error("it changed hands while no heartbeat was sent for {} s", .silent.as_secs())]
    Overtaken {
        /// For how long.
        silent: Duration,
    },
}

/// A resource that this process was granted, with heartbeats of its own.
///
/// Lost, it is somebody else's: the holder stops its work and [`Lease::release`] sends nothing. Dropped without a
/// release, it goes back into [`LeaseOptions::dropped_into`], tried as a release is.
///
/// ```no_run
/// # use boskos_client::{Client, LeaseOptions};
/// # async fn example(client: Client) -> Result<(), boskos_client::Error> {
/// let resource = client.acquire("gce-project", "dirty", "cleaning").await?;
/// let lease = client.lease(resource, LeaseOptions::dropped_into("dirty"));
/// let name = lease.name();
/// tokio::select! {
///     lost = lease.lost() => eprintln!("{lost}"),
///     () = clean(name.as_str()) => lease.release("free").await?,
/// }
/// # Ok(())
/// # }
/// # async fn clean(_: &str) {}
/// ```
#[derive(Debug)]
#[must_use = "dropped, the resource goes back"]
pub struct Lease {
    shared: Arc<Shared>,
    beats: AbortHandle,
    runtime: Handle,
    /// Released, or handed on.
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    options: LeaseOptions,
    /// The resource as far as this process knows.
    resource: Mutex<Resource>,
    /// When it was granted, by the server's clock: no transition is later while it is held.
    granted: WallTime,
    /// When the last successful heartbeat was sent.
    alive: Mutex<MonoTime>,
    lost: watch::Sender<Option<Lost>>,
}

fn said(last: &Option<Error>) -> String {
    last.as_ref().map_or_else(String::new, |error| format!(": {error}"))
}

// === impl LeaseOptions ===

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { period: Duration::from_secs(60), lost_after: Duration::from_secs(20 * 60), dropped_into: None }
    }
}

impl LeaseOptions {
    /// The usual times; a lease that is dropped goes back into `state`.
    #[must_use]
    pub fn dropped_into(state: &str) -> Self {
        Self { dropped_into: Some(state.into()), ..Self::default() }
    }
}

// === impl Client ===

impl Client {
    /// Keeps a resource that this client was just granted alive.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn lease(&self, resource: Resource, options: LeaseOptions) -> Lease {
        let shared = Arc::new(Shared {
            client: self.clone(),
            options,
            granted: resource.last_update,
            resource: Mutex::new(resource),
            alive: Mutex::new(self.clock().mono()),
            lost: watch::Sender::new(None),
        });
        let beats = tokio::spawn(Arc::clone(&shared).beat()).abort_handle();
        Lease { shared, beats, runtime: Handle::current(), ended: false }
    }
}

// === impl Lease ===

impl Lease {
    /// The resource's name.
    #[must_use]
    pub fn name(&self) -> ResourceName {
        self.shared.resource.lock().name.clone()
    }

    /// The resource as far as this process knows, with what it wrote to its user data.
    #[must_use]
    pub fn resource(&self) -> Resource {
        self.shared.resource.lock().clone()
    }

    /// Whether the lease is lost; looks at the clock, so that a process that was stopped learns it first thing.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.look();
        self.shared.lost.borrow().is_some()
    }

    /// Waits until the lease is lost, for ever if it never is. Safe to cancel.
    pub async fn lost(&self) -> Lost {
        let mut lost = self.shared.lost.subscribe();
        let lost = lost.wait_for(Option::is_some).await.expect("self holds the sender");
        lost.clone().expect("waited for")
    }

    /// Asks the server's history whether the resource changed hands, whatever the heartbeats said: for who is about to
    /// give back, in one process of several of the same name, what it may have lost while it was stopped.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it is lost, also by this very call. What the history cannot tell is no error.
    pub async fn verify(&self) -> Result<(), Error> {
        self.shared.look();
        if self.shared.lost.borrow().is_none() && self.shared.was_overtaken().await {
            let silent = self.shared.client.clock().mono().saturating_since(*self.shared.alive.lock());
            self.shared.lose(Lost::Overtaken { silent });
        }
        if self.shared.lost.borrow().is_some() { Err(self.shared.lost_error()) } else { Ok(()) }
    }

    /// Merges `patch` into the resource's user data; counts as a heartbeat.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it is lost, also by this very call; else what went wrong.
    pub async fn update(&self, patch: &UserDataPatch) -> Result<(), Error> {
        self.shared.check().await?;
        let updated = self.shared.send(patch).await;
        if self.shared.lost.borrow().is_some() { Err(self.shared.lost_error()) } else { updated }
    }

    /// Gives the resource back in state `dest`. A lost lease sends nothing.
    ///
    /// While the server is away it is tried again, until the lease is lost ([`LeaseOptions::lost_after`] after the last
    /// heartbeat). Cancelled, it goes on in a task that [`Client::settled`] waits for: who cannot wait for so long
    /// bounds it with a timeout.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it is lost, also by this very call. Otherwise what the server has against it.
    pub async fn release(mut self, dest: &str) -> Result<(), Error> {
        self.beats.abort();
        self.ended = true;
        let released = self.give_back(dest.into());
        released.await.unwrap_or(Err(Error::Ending))
    }

    /// Starts to give the resource back.
    fn give_back(&self, dest: State) -> JoinHandle<Result<(), Error>> {
        // Counted before the task first runs.
        let (loose, shared) = (self.shared.client.loose(), Arc::clone(&self.shared));
        self.runtime.spawn(async move {
            let _loose = loose;
            shared.give_back(dest).await
        })
    }

    /// Ends the heartbeats and leaves the resource held, for another hand to release.
    pub fn into_resource(mut self) -> Resource {
        self.ended = true;
        self.beats.abort();
        self.resource()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beats.abort();
        if self.ended || self.is_lost() {
            return;
        }
        if let Some(dest) = self.shared.options.dropped_into.clone() {
            drop(self.give_back(dest));
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Heartbeats until the lease is lost or the task is aborted.
    async fn beat(self: Arc<Self>) {
        let clock = self.client.clock().clone();
        let mut next = clock.mono().saturating_add(self.options.period);
        loop {
            let too_late = self.alive.lock().saturating_add(self.options.lost_after);
            clock.sleep_until(next.min(too_late)).await;
            let sent = tokio::select! {
                biased;
                sent = async {
                    self.check().await?;
                    self.send(&UserDataPatch::new()).await
                } => sent,
                // A call that hangs must not hide the loss.
                () = clock.sleep_until(too_late) => {
                    self.look();
                    return;
                }
            };
            if self.lost.borrow().is_some() {
                return;
            }
            if let Err(error) = sent {
                tracing::debug!(%error, "a heartbeat failed");
            }
            next = clock.mono().saturating_add(self.options.period);
        }
    }

    /// Refuses if the lease is lost, as far as can be told.
    async fn check(&self) -> Result<(), Error> {
        self.look();
        if self.lost.borrow().is_some() {
            return Err(self.lost_error());
        }
        // A process that was stopped: others of the same name may hold the resource by now, in the same state, so
        // that the server would take our word for theirs. Transitions tell.
        let silent = self.client.clock().mono().saturating_since(*self.alive.lock());
        if silent >= self.options.period.saturating_mul(2) && self.was_overtaken().await {
            self.lose(Lost::Overtaken { silent });
            return Err(self.lost_error());
        }
        Ok(())
    }

    /// Gives the resource back, and goes on trying while the server is away and the lease is not lost.
    async fn give_back(&self, dest: State) -> Result<(), Error> {
        let name = self.resource.lock().name.clone();
        let mut release = Release::new(name.clone(), dest, Since::Grant(self.granted));
        let mut delays = Delays::of_process();
        for attempt in 1.. {
            match release.maybe_done {
                // The release asks itself what became of the resource.
                true => self.look(),
                false => self.check().await?,
            }
            if self.lost.borrow().is_some() {
                return Err(self.lost_error());
            }
            match release.attempt(&self.client).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_lost() => {
                    self.lose(Lost::Refused(error));
                    return Err(self.lost_error());
                }
                Err(error) if error.is_away() => {
                    if attempt == 1 {
                        tracing::warn!(%name, dest = %release.dest, %error, "not given back yet; trying again");
                    }
                }
                Err(error) => {
                    self.client.forget(name.as_str(), Since::Grant(self.granted));
                    return Err(error);
                }
            }
            self.client.clock().sleep(delays.next_delay()).await;
        }
        unreachable!("a lease that is never given back is lost");
    }

    /// Whether the resource changed state or owner after the grant. False where that cannot be told.
    async fn was_overtaken(&self) -> bool {
        let name = self.resource.lock().name.clone();
        match self.client.history(name.as_str(), 1).await {
            Ok(rows) => Since::Grant(self.granted).is_before(&rows, self.client.owner()),
            Err(error) => matches!(error, Error::NotFound { .. }),
        }
    }

    /// One heartbeat.
    async fn send(&self, patch: &UserDataPatch) -> Result<(), Error> {
        let (name, state) = {
            let resource = self.resource.lock();
            (resource.name.clone(), resource.state.clone())
        };
        // From its beginning: when the server saw it is not known.
        let began = self.client.clock().mono();
        let sent = self.client.update(name.as_str(), state.as_str(), patch).await;
        match &sent {
            Ok(()) => {
                let mut alive = self.alive.lock();
                *alive = (*alive).max(began);
                let mut resource = self.resource.lock();
                resource.user_data = resource.user_data.merged(patch);
            }
            Err(error) if error.is_lost() => self.lose(Lost::Refused(error.clone())),
            Err(error) => self.look_after(Some(error.clone())),
        }
        sent
    }

    /// Finds the lease lost if no heartbeat got through for too long.
    fn look(&self) {
        self.look_after(None);
    }

    fn look_after(&self, last: Option<Error>) {
        let silent = self.client.clock().mono().saturating_since(*self.alive.lock());
        if silent >= self.options.lost_after {
            self.lose(Lost::Silent { silent, last });
        }
    }

    fn lose(&self, how: Lost) {
        let name = self.resource.lock().name.clone();
        let is_first = self.lost.send_if_modified(|lost| {
            let is_first = lost.is_none();
            lost.get_or_insert(how);
            is_first
        });
        if is_first {
            self.client.forget(name.as_str(), Since::Grant(self.granted));
        }
    }

    fn lost_error(&self) -> Error {
        let why = self.lost.borrow().as_ref().map_or_else(String::new, ToString::to_string);
        Error::LeaseLost { name: self.resource.lock().name.as_str().to_owned(), why }
    }
}
