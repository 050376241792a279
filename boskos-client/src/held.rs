//! What this process was granted and has not given back.

use std::{collections::BTreeMap, sync::Arc};

use boskos_core::{Resource, ResourceName, UserData, WallTime, user_data::UserDataPatch};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Resources by name, and the tasks that still give some back.
#[derive(Debug)]
pub(crate) struct Held {
    resources: Mutex<BTreeMap<ResourceName, Resource>>,
    /// Calls under way that nobody waits for.
    loose: watch::Sender<usize>,
}

/// One such call, until dropped.
#[derive(Debug)]
pub(crate) struct Loose(Arc<Held>);

// === impl Held ===

impl Held {
    pub(crate) fn new() -> Self {
        Self { resources: Mutex::default(), loose: watch::Sender::new(0) }
    }

    pub(crate) fn add(&self, resource: Resource) {
        self.resources.lock().insert(resource.name.clone(), resource);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.resources.lock().remove(name);
    }

    /// Forgets `name` unless it was granted anew since.
    pub(crate) fn remove_granted(&self, name: &str, granted: WallTime) {
        let mut resources = self.resources.lock();
        if resources.get(name).is_some_and(|resource| resource.last_update == granted) {
            resources.remove(name);
        }
    }

    /// When `name` was granted, by the server's clock.
    pub(crate) fn granted(&self, name: &str) -> Option<WallTime> {
        self.resources.lock().get(name).map(|resource| resource.last_update)
    }

    pub(crate) fn all(&self) -> Vec<Resource> {
        self.resources.lock().values().cloned().collect()
    }

    pub(crate) fn patch(&self, name: &str, patch: &UserDataPatch) {
        if let Some(resource) = self.resources.lock().get_mut(name) {
            let merged: UserData = resource.user_data.merged(patch);
            resource.user_data = merged;
        }
    }

    /// Counts a call that nobody waits for, to be handed to the task that makes it.
    pub(crate) fn loose(self: &Arc<Self>) -> Loose {
        self.loose.send_modify(|count| *count += 1);
        Loose(Arc::clone(self))
    }

    /// Waits until there is none under way.
    pub(crate) async fn settled(&self) {
        self.loose.subscribe().wait_for(|count| *count == 0).await.expect("self holds the sender");
    }
}

impl Drop for Loose {
    fn drop(&mut self) {
        self.0.loose.send_modify(|count| *count -= 1);
    }
}
