//! What readers see: committed forms only.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Ranch,
    plan::{LifecycleRecord, PlaceNumber, Sequence},
};
use crate::{Now, Owner, Resource, ResourceType, State, WallTime};

/// Counts of one type: the answer of `/metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// The type.
    pub r#type: String,
    /// Resources by state.
    pub current: BTreeMap<String, u64>,
    /// Resources by owner, the empty text for nobody.
    pub owner: BTreeMap<String, u64>,
    /// How often resources came to each state since the store began.
    #[serde(default)]
    pub total: BTreeMap<String, u64>,
}

/// What a [`Metric`] is made of: copied while the ranch waits, put in order when it does not.
#[derive(Clone, Debug)]
pub struct Counts {
    r#type: ResourceType,
    current: Vec<(State, u32)>,
    owners: Vec<(Owner, u32)>,
    unowned: u32,
    totals: Vec<(State, u64)>,
}

/// The resources of one type in one state, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// The type.
    pub r#type: ResourceType,
    /// The state.
    pub state: State,
    /// How many.
    pub count: u64,
}

/// One queue place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceView {
    /// Its number, by which all places are in order.
    pub number: PlaceNumber,
    /// The type waited for.
    pub r#type: ResourceType,
    /// The state waited for.
    pub state: State,
    /// The caller's id; `None` for a parked call without one.
    pub request_id: Option<String>,
    /// Who called at it last and would own the resource; `None` if that was before this process began.
    pub owner: Option<String>,
    /// When it was joined.
    pub since: WallTime,
    /// How long that is ago.
    pub waited: Duration,
    /// Its place among those that wait for the same, from one.
    pub rank: usize,
    /// Whether a call is parked at it.
    pub parked: bool,
}

/// The lifecycle of a type.
pub type LifecycleView = LifecycleRecord;

impl From<Counts> for Metric {
    fn from(counts: Counts) -> Self {
        let owners = counts.owners.into_iter().map(|(owner, count)| (owner.as_str().to_owned(), u64::from(count)));
        let unowned = (counts.unowned > 0).then(|| (String::new(), u64::from(counts.unowned)));
        let current = counts.current.into_iter().map(|(state, count)| (state.as_str().to_owned(), u64::from(count)));
        let totals = counts.totals.into_iter().map(|(state, total)| (state.as_str().to_owned(), total));
        Self {
            r#type: counts.r#type.as_str().to_owned(),
            current: current.collect(),
            owner: owners.chain(unowned).collect(),
            total: totals.collect(),
        }
    }
}

impl Ranch {
    /// The resource of that name and its newest history row.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<(&Resource, Sequence)> {
        let slot = self.inventory.get(self.inventory.find(name)?);
        (!slot.phantom).then_some((&slot.record.resource, slot.record.last_transition))
    }

    /// All resources in name order.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.inventory.resources().filter(|(_, slot)| !slot.phantom).map(|(_, slot)| &slot.record.resource)
    }

    /// How many resources there are, those being created included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inventory.len()
    }

    /// Whether there is no resource.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts of one type, for a [`Metric`]; `None` if no resource of it exists.
    #[must_use]
    pub fn counts(&self, r#type: &str) -> Option<Counts> {
        let kind = self.inventory.kind(self.inventory.kind_key(r#type)?);
        if kind.count == 0 {
            return None;
        }
        let pools = kind.pools.values().map(|pool| self.inventory.pool(*pool));
        let states = pools.filter(|pool| pool.count > 0);
        Some(Counts {
            r#type: kind.r#type.clone(),
            current: states.map(|pool| (pool.state.clone(), pool.count)).collect(),
            owners: kind.owners.iter().map(|(owner, count)| (owner.clone(), *count)).collect(),
            unowned: kind.count - kind.owned,
            totals: kind.totals.iter().map(|(state, total)| (state.clone(), *total)).collect(),
        })
    }

    /// All types with a resource or a lifecycle, sorted.
    #[must_use]
    pub fn types(&self) -> Vec<ResourceType> {
        let kinds = self.inventory.kinds().filter(|(_, kind)| kind.count > 0 || kind.lifecycle.is_some());
        let mut types: Vec<_> = kinds.map(|(_, kind)| kind.r#type.clone()).collect();
        types.sort_unstable();
        types
    }

    /// Counts by type and state, in no order.
    pub fn pools(&self) -> impl Iterator<Item = PoolView> {
        self.inventory.pools().filter(|(_, pool)| pool.count > 0).map(|(_, pool)| PoolView {
            r#type: self.inventory.kind(pool.kind).r#type.clone(),
            state: pool.state.clone(),
            count: u64::from(pool.count),
        })
    }

    /// All lifecycles, sorted by type.
    #[must_use]
    pub fn lifecycles(&self) -> Vec<LifecycleView> {
        let mut all: Vec<_> = self.inventory.kinds().filter_map(|(_, kind)| kind.lifecycle.clone()).collect();
        all.sort_unstable_by(|a, b| a.lifecycle.r#type.cmp(&b.lifecycle.r#type));
        all
    }

    /// What there are queues for, in no order.
    #[must_use]
    pub fn queues(&self) -> Vec<(ResourceType, State)> {
        let queues = self.inventory.pools().filter(|(_, pool)| !pool.line.is_empty());
        queues.map(|(_, pool)| (self.inventory.kind(pool.kind).r#type.clone(), pool.state.clone())).collect()
    }

    /// Who waits in one queue behind the place with the number `after`, or at all, in order and at most `limit`.
    #[must_use]
    pub fn queue_page(
        &self,
        r#type: &ResourceType,
        state: &State,
        after: Option<PlaceNumber>,
        limit: usize,
        now: Now,
    ) -> Vec<PlaceView> {
        let Some(pool) = self.inventory.find_pool(r#type.as_str(), state.as_str()) else { return Vec::new() };
        let pool = self.inventory.pool(pool);
        let mut page = pool.line.behind(after).take(limit).peekable();
        let first_rank = page.peek().and_then(|first| pool.line.rank(*first)).unwrap_or_default();
        let view = |(number, rank)| {
            let place = self.places.get(number).expect("a line has standing places");
            PlaceView {
                number,
                r#type: r#type.clone(),
                state: pool.state.clone(),
                request_id: place.request_id.clone(),
                owner: place.owner.as_ref().map(|owner| owner.as_str().to_owned()),
                since: place.joined,
                waited: place.waited(now),
                rank,
                parked: place.parked.is_some(),
            }
        };
        page.zip(first_rank..).map(view).collect()
    }

    /// Calls that are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.places.parked_len()
    }

    /// Queue places.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places.len()
    }
}
