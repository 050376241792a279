//! What all jobs of a mason share.

use std::sync::Arc;

use boskos_client::{Client, Lease, LeaseOptions, Resource, frame::Work};
use boskos_core::state::DIRTY;
use tokio::sync::{Mutex, Semaphore};

use crate::pauses::Pauses;

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
}
