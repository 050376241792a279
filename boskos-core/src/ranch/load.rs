//! A ranch from what a store holds.

use std::sync::Arc;

use super::{
    Limits, Names, Ranch,
    backlog::Backlog,
    command::Effects,
    inventory::Inventory,
    place::{Places, restored},
    plan::{LifecycleRecord, PlaceNumber, PlaceRecord, PlanId, ResourceKey, Sequence, Stored},
    snapshot::Snapshots,
    watch::Watches,
};
use crate::{Now, Resource, ResourceType, State};

/// Takes in what a store holds, in any order, and becomes a [`Ranch`].
#[derive(Debug)]
pub struct Loader {
    ranch: Ranch,
    loaded: Vec<ResourceKey>,
    places: Vec<PlaceRecord>,
    now: Now,
}

impl Loader {
    /// Begins with nothing.
    #[must_use]
    pub fn new(limits: Limits, names: Names, now: Now) -> Self {
        let ranch = Ranch {
            limits,
            names,
            inventory: Inventory::default(),
            places: Places::default(),
            flights: hashbrown::HashMap::new(),
            next_plan: PlanId::FIRST,
            next_sequence: 0,
            waiting: hashbrown::HashMap::new(),
            chores: 0,
            gathers: hashbrown::HashMap::new(),
            resets: std::collections::VecDeque::new(),
            fates: hashbrown::HashMap::new(),
            upkeep: std::collections::BTreeSet::new(),
            watches: Watches::default(),
            snapshots: Snapshots::default(),
            backlog: Backlog::default(),
            named_states: hashbrown::HashSet::new(),
            halted: false,
            held: None,
            syncing: false,
            pending: Effects::default(),
        };
        Self { ranch, loaded: Vec::new(), places: Vec::new(), now }
    }

    /// Makes room for `count` resources.
    pub fn reserve(&mut self, count: usize) {
        self.ranch.inventory.reserve(count);
        self.loaded.reserve(count);
    }

    /// Takes in a resource; `listed` if the config names it under its type.
    pub fn resource(&mut self, stored: Stored, listed: bool) {
        let Stored { key, mut record, version } = stored;
        record.resource.last_update = record.resource.last_update.min(self.now.wall);
        self.ranch.next_sequence = self.ranch.next_sequence.max(record.sequence).max(record.last_transition);
        let key = self.ranch.inventory.add_nameless(key, Arc::new(record), version);
        self.ranch.inventory.get_mut(key).listed = listed;
        self.loaded.push(key);
    }

    /// Says of all resources so far whether the config names them under their type.
    pub fn mark_listed(&mut self, mut is_listed: impl FnMut(&Resource) -> bool) {
        for key in &self.loaded {
            let slot = self.ranch.inventory.get_mut(*key);
            slot.listed = is_listed(&slot.record.resource);
        }
    }

    /// Takes in a lifecycle.
    pub fn lifecycle(&mut self, record: LifecycleRecord) {
        let kind = self.ranch.inventory.kind_or_new(&record.lifecycle.r#type);
        self.ranch.named_states.insert(record.lifecycle.state.clone());
        self.ranch.inventory.kind_mut(kind).lifecycle = Some(record);
    }

    /// Takes in a queue place.
    pub fn place(&mut self, record: PlaceRecord) {
        self.places.push(record);
    }

    /// Takes in how often resources of a type came to a state.
    pub fn total(&mut self, r#type: &ResourceType, state: State, total: u64) {
        let kind = self.ranch.inventory.kind_or_new(r#type);
        self.ranch.inventory.kind_mut(kind).totals.insert(state, total);
    }

    /// Takes in the highest sequence that was ever given out.
    pub fn sequence(&mut self, last: Sequence) {
        self.ranch.next_sequence = self.ranch.next_sequence.max(last);
    }

    /// Takes in the highest number that a queue place ever had.
    pub fn place_number(&mut self, last: PlaceNumber) {
        self.ranch.places.raise_next_number(last);
    }

    /// The ranch, everything settled; every queue place has a whole TTL.
    #[must_use]
    pub fn finish(mut self) -> Ranch {
        let ranch = &mut self.ranch;
        ranch.inventory.order_names();
        for key in &self.loaded {
            ranch.inventory.count_in(*key);
            ranch.inventory.index(*key);
        }
        self.places.sort_unstable_by_key(|place| place.number);
        for record in &self.places {
            let kind = ranch.inventory.kind_or_new(&record.r#type);
            let pool = ranch.inventory.pool_or_new(kind, &record.state);
            ranch.places.raise_next_number(record.number);
            if ranch.inventory.pool(pool).ids.contains_key(&record.request_id) {
                // An undo had opened the earlier place again, and the end came before the later
                // one was forgotten.
                ranch.forget_place(record.number);
                continue;
            }
            let place = restored(pool, record, ranch.limits.request_ttl, self.now);
            ranch.stand(record.number, place);
        }
        let dynamic = ranch.inventory.kinds().filter(|(_, kind)| kind.lifecycle.is_some()).map(|(key, _)| key);
        ranch.upkeep.extend(dynamic.collect::<Vec<_>>());
        self.ranch
    }
}

impl Ranch {
    /// A ranch without anything.
    #[must_use]
    pub fn empty(limits: Limits, names: Names) -> Self {
        Loader::new(limits, names, Now::default()).finish()
    }
}
