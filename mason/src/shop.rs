//! What all jobs of a mason share.

use std::{sync::Arc, time::Duration};

use boskos_client::{Client, Error, Lease, LeaseOptions, Resource, ResourceName, frame::Work, retry::Delays};
use boskos_core::state::DIRTY;
use boskos_runtime::signal::Shutdown;
use tokio::sync::{Mutex, Semaphore};

use crate::pauses::Pauses;

/// How long it is tried to give something back: well below the time after which a reaper does.
const GIVE_BACK_FOR: Duration = Duration::from_secs(120);

/// What all jobs of a mason share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) client: Client,
    pub(crate) work: Work,
    pub(crate) pauses: Pauses,
    /// Jobs that work at a time; those that wait for what they need do not count.
    pub(crate) slots: Arc<Semaphore>,
    /// Held while needs are gathered, which never waits for any: two jobs do not take from each other in turn.
    pub(crate) gathering: Mutex<()>,
}

// === impl Shop ===

impl Shop {
    pub(crate) fn new(client: Client, work: Work, slots: usize) -> Self {
        let pauses = Pauses::new(client.clock().clone());
        Self { client, work, pauses, slots: Arc::new(Semaphore::new(slots.max(1))), gathering: Mutex::new(()) }
    }

    /// Keeps what was just granted alive; dropped, it goes back dirty.
    pub(crate) fn lease(&self, resource: Resource) -> Lease {
        self.client.lease(resource, LeaseOptions::dropped_into(DIRTY))
    }

    /// Gives a lease back, and tries to make it dirty where that fails because the server is away.
    pub(crate) async fn release(&self, lease: Lease, dest: &str, stop: &Shutdown) -> Result<(), Error> {
        let name = lease.name();
        let released = lease.release(dest).await;
        if let Err(error) = &released
            && error.is_away()
        {
            self.give_back(&name, stop).await;
        }
        released
    }

    async fn give_back(&self, name: &ResourceName, stop: &Shutdown) {
        let clock = self.client.clock();
        let deadline = clock.mono().saturating_add(GIVE_BACK_FOR);
        let mut delays = Delays::of_process();
        loop {
            tokio::select! {
                () = clock.sleep(delays.next_delay()) => {}
                _ = stop.triggered() => {}
            }
            match self.client.release(name.as_str(), DIRTY).await {
                Ok(()) => return,
                Err(error) if error.is_lost() => return,
                Err(error) if stop.is_triggered() || clock.mono() >= deadline => {
                    tracing::warn!(%name, %error, "could not be given back: the reaper will");
                    return;
                }
                Err(_) => {}
            }
        }
    }
}
