//! Getting what a resource is made of, holding nothing while waiting for the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use boskos_client::{Error, Lease, Resource, ResourceType, retry::Delays};
use boskos_core::state::{FREE, LEASED};

use crate::shop::Shop;

/// Before one that was short twice in a row asks again: it may wait for several at once, of which the server tells
/// no one, or take turns with another mason.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What one resource needs.
#[derive(Debug)]
pub(crate) struct Needs<'a> {
    pub(crate) shop: &'a Shop,
    pub(crate) needs: &'a BTreeMap<ResourceType, u32>,
    /// Types that the server makes on demand.
    pub(crate) dynamic: &'a BTreeSet<ResourceType>,
}

/// What came of asking for everything at once.
pub(crate) enum Attempt {
    /// Everything, by type.
    All(Vec<Lease>),
    /// There was none of this type; nothing is held.
    Short(ResourceType),
}

// === impl Needs ===

impl Needs<'_> {
    /// Takes all that is needed, of which `first` is there already, or nothing. Never waits.
    pub(crate) async fn attempt(&self, mut first: Option<Lease>) -> Result<Attempt, Error> {
        let _turn = self.shop.gathering.lock().await;
        let mut held = Vec::new();
        let wanted = self.needs.iter().flat_map(|(r#type, count)| (0..*count).map(move |nth| (r#type, nth)));
        for (r#type, nth) in wanted {
            if let Some(lease) = first.take_if(|lease| lease.resource().r#type == *r#type) {
                held.push(lease);
                continue;
            }
            match self.one(r#type, nth).await {
                Ok(resource) => held.push(self.shop.lease(resource)),
                Err(error) if error.is_none_now() => {
                    held.extend(first);
                    self.give_back(held).await;
                    return Ok(Attempt::Short(r#type.clone()));
                }
                // What is held goes back as it is dropped.
                Err(error) => return Err(error),
            }
        }
        Ok(Attempt::All(held))
    }

    /// Asks for the `nth` of a type, from 0.
    async fn one(&self, r#type: &ResourceType, nth: u32) -> Result<Resource, Error> {
        let client = &self.shop.client;
        if nth > 0 && self.dynamic.contains(r#type) {
            // One more is made on demand for a call with an id of its own only.
            return client.acquire_wait(r#type.as_str(), FREE, LEASED, Some(Duration::ZERO)).await;
        }
        client.acquire(r#type.as_str(), FREE, LEASED).await
    }

    /// Nothing was done to them: they go back as they were.
    async fn give_back(&self, held: Vec<Lease>) {
        for lease in held {
            let name = lease.name();
            if let Err(error) = lease.release(FREE).await {
                tracing::warn!(%name, %error, "what was not used could not be given back");
            }
        }
    }

    /// Waits for one of `short`, in the queue and holding nothing. Safe to cancel.
    pub(crate) async fn wait(&self, short: &ResourceType) -> Result<Resource, Error> {
        let client = &self.shop.client;
        let mut delays = Delays::of_process();
        loop {
            match client.acquire_wait(short.as_str(), FREE, LEASED, None).await {
                // The server comes back, or the lease of what is to be made is lost, whichever is first.
                Err(error) if error.is_away() => client.clock().sleep(delays.next_delay()).await,
                waited => return waited,
            }
        }
    }

    /// Delays between attempts that were short in a row.
    pub(crate) fn delays() -> Delays {
        Delays::new(PAUSES.0, PAUSES.1)
    }
}
