//! What the ranch knows of one type.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::{
    command::{CallId, SyncChange},
    plan::LifecycleRecord,
    pool::PoolKey,
    surplus::Descent,
};
use crate::{Owner, Resource, ResourceType, State, state};

/// Numbers types; good while the type exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KindKey(u32);

/// One type: its lifecycle if it is dynamic, and counts of committed resources.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) r#type: ResourceType,
    pub(super) lifecycle: Option<LifecycleRecord>,
    /// Whether a change of the lifecycle is in flight.
    pub(super) lifecycle_in_flight: bool,
    /// What the config says that depends on that change.
    pub(super) waiting_changes: VecDeque<(CallId, SyncChange)>,
    pub(super) pools: HashMap<State, PoolKey>,
    /// All resources.
    pub(super) count: u32,
    /// Those with an owner.
    pub(super) owned: u32,
    /// Those that each owner holds.
    pub(super) owners: HashMap<Owner, u32>,
    /// Those that the config does not name: what min and max speak of.
    pub(super) members: u32,
    /// Members that are `tombstone`.
    pub(super) tombstones: u32,
    /// Members on their way out, tombstones included.
    pub(super) leaving: u32,
    /// Resources being created.
    pub(super) phantoms: u32,
    /// Those among them that are members.
    pub(super) creating: u32,
    /// Members being marked `toBeDeleted`: too many, or expired.
    pub(super) departing: u32,
    /// While there are more members than max, and very many that nobody owns.
    pub(super) descent: Option<Box<Descent>>,
    /// How often resources came to each state, over the life of the store.
    pub(super) totals: BTreeMap<State, u64>,
}

impl KindKey {
    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 types"))
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whether a member in this form is on its way out.
pub(super) fn is_leaving(state: &State, leaving: bool) -> bool {
    match state.as_str() {
        state::TO_BE_DELETED | state::TOMBSTONE => true,
        state::CLEANING => leaving,
        _ => false,
    }
}

impl Kind {
    pub(super) fn new(r#type: ResourceType) -> Self {
        Self {
            r#type,
            lifecycle: None,
            lifecycle_in_flight: false,
            waiting_changes: VecDeque::new(),
            pools: HashMap::new(),
            count: 0,
            owned: 0,
            owners: HashMap::new(),
            members: 0,
            tombstones: 0,
            leaving: 0,
            phantoms: 0,
            creating: 0,
            departing: 0,
            descent: None,
            totals: BTreeMap::new(),
        }
    }

    /// Whether a resource or a lifecycle of the type exists.
    pub(super) fn exists(&self) -> bool {
        self.count > 0 || self.phantoms > 0 || self.lifecycle.is_some()
    }

    pub(super) fn is_unused(&self) -> bool {
        !self.exists() && !self.lifecycle_in_flight && self.pools.is_empty() && self.totals.is_empty()
    }

    /// How many members may still be created on demand. While a config is being applied, what
    /// is listed may be about to become a member.
    pub(super) fn room(&self, syncing: bool) -> u32 {
        let max = self.lifecycle.as_ref().map_or(0, |record| record.lifecycle.max_count);
        let there = if syncing { self.count + self.phantoms } else { self.members + self.creating };
        max.saturating_sub(there)
    }

    pub(super) fn count_in(&mut self, resource: &Resource, listed: bool, leaving: bool) {
        self.count += 1;
        if let Some(owner) = &resource.owner {
            self.owned += 1;
            *self.owners.entry_ref(owner).or_insert(0) += 1;
        }
        if !listed {
            self.members += 1;
            self.tombstones += u32::from(resource.state.as_str() == state::TOMBSTONE);
            self.leaving += u32::from(is_leaving(&resource.state, leaving));
        }
    }

    pub(super) fn count_out(&mut self, resource: &Resource, listed: bool, leaving: bool) {
        self.count -= 1;
        if let Some(owner) = &resource.owner {
            self.owned -= 1;
            let count = self.owners.get_mut(owner).expect("counted in before");
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
        if !listed {
            self.members -= 1;
            self.tombstones -= u32::from(resource.state.as_str() == state::TOMBSTONE);
            self.leaving -= u32::from(is_leaving(&resource.state, leaving));
        }
    }
}
