//! What a replica that stands by knows of the objects, for when it comes to lead.

use std::convert::Infallible;

use boskos_kube::{Client, Collection, Listing, Mirror, ReadError};

use super::{
    objects::{LifecycleObject, ResourceObject},
    outage::{Contact, Outage},
};

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

    /// Follows the objects until it is dropped, and says so when it cannot.
    pub async fn keep(&self, outage: &Outage) -> Infallible {
        let told = |mut contact: Contact| {
            move |failed: Option<&ReadError>| match failed {
                Some(error) => contact.failed(error, error.is_away()),
                None => contact.works(),
            }
        };
        let resources = outage.contact(
            "standing by, and nothing is heard of resources; trying again",
            "standing by, and resources are heard of again",
        );
        let lifecycles = outage.contact(
            "standing by, and nothing is heard of lifecycles; trying again",
            "standing by, and lifecycles are heard of again",
        );
        tokio::select! {
            never = self.resources.keep(told(resources)) => never,
            never = self.lifecycles.keep(told(lifecycles)) => never,
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
