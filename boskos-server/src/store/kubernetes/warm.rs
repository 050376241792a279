//! What a replica that stands by knows of the objects, for when it comes to lead.

use std::convert::Infallible;

use boskos_kube::{Client, Collection, Listing, Mirror, ReadError};
use parking_lot::Mutex;

use super::objects::{LifecycleObject, ResourceObject};

/// All objects as they were last heard of.
#[derive(Debug)]
pub struct Warm {
    resources: Mirror<ResourceObject>,
    lifecycles: Mirror<LifecycleObject>,
}

// === impl Warm ===

impl Warm {
    /// Nothing is known yet of the objects in `namespace`.
    #[must_use]
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self {
            resources: Mirror::new(Collection::new(client.clone(), namespace)),
            lifecycles: Mirror::new(Collection::new(client.clone(), namespace)),
        }
    }

    /// Follows the objects until it is dropped. `told` hears of each failure, and with `None` of all else.
    pub async fn keep(&self, told: impl FnMut(Option<&ReadError>) + Send) -> Infallible {
        let told = Mutex::new(told);
        tokio::select! {
            never = self.resources.keep(|trouble| (told.lock())(trouble)) => never,
            never = self.lifecycles.keep(|trouble| (told.lock())(trouble)) => never,
        }
    }

    /// How many objects are known.
    #[must_use]
    pub fn held(&self) -> usize {
        self.resources.held() + self.lifecycles.held()
    }

    /// All objects as they are now; afterwards none are held.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub(super) async fn list(&self) -> Result<(Listing<ResourceObject>, Listing<LifecycleObject>), ReadError> {
        tokio::try_join!(self.resources.list(), self.lifecycles.list())
    }
}
