//! A grant on its way to who asked for it.

use boskos_core::{Resource, State};
use tokio::runtime::Handle;

use super::Client;

/// A resource that was granted. Dropped before it is kept, it goes back to the state that it was taken from.
#[derive(Debug)]
pub(crate) struct Grant {
    client: Client,
    /// Until kept.
    resource: Option<Resource>,
    from: State,
    runtime: Handle,
}

// === impl Grant ===

impl Grant {
    pub(crate) fn new(client: Client, resource: Resource, from: State) -> Self {
        client.shared.held.add(resource.clone());
        Self { client, resource: Some(resource), from, runtime: Handle::current() }
    }

    pub(crate) fn keep(mut self) -> Resource {
        self.resource.take().expect("kept once, by value")
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(resource) = self.resource.take() {
            let from = self.from.clone();
            self.client.give_back_later(&self.runtime, &resource, from);
        }
    }
}
