//! Following the config, resource by resource.

use super::{
    Ranch,
    command::{CallId, SyncChange},
    flight::{Age, Purpose, Role},
    kind::KindKey,
    plan::{LifecycleRecord, Record, ResourceKey, Write},
};
use crate::{Lifecycle, Now, Resource, ResourceName, ResourceType, State};

/// What is to become of a resource as soon as nobody owns it.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// The config no longer names it.
    Delete,
    /// The config names it under another type.
    Remake { r#type: ResourceType, state: State },
}

/// A resource as a comparison with the config sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameView {
    /// Its name.
    pub name: ResourceName,
    /// The type it has, or is to get as soon as its owner lets go.
    pub r#type: ResourceType,
    /// The state that it is to get together with that type, if it has another type still.
    pub remade_in: Option<State>,
    /// Whether the config named it when it was last applied.
    pub listed: bool,
    /// Whether its type is dynamic.
    pub dynamic: bool,
    /// Whether it is to be deleted as soon as its owner lets go.
    pub to_be_deleted: bool,
}

impl Ranch {
    /// The steps of a config follow, which names these states. Until [`Self::end_sync`] expiry,
    /// min and max of dynamic types rest: a type that has turned dynamic is about to adopt what the
    /// config listed before, and would otherwise be filled up first and then have a surplus.
    pub fn begin_sync(&mut self, states: impl IntoIterator<Item = State>) {
        self.syncing = true;
        self.named_states = states.into_iter().collect();
    }

    /// The steps of a config are done, or given up.
    pub fn end_sync(&mut self) {
        self.syncing = false;
    }

    pub(super) fn sync(&mut self, call: CallId, changes: Vec<SyncChange>, now: Now) {
        self.begin_gather(call);
        for change in changes {
            self.apply_change(call, change, now);
        }
        self.complete(call);
    }

    /// Carries out one change, or lets it wait for what it depends on.
    pub(super) fn apply_change(&mut self, call: CallId, change: SyncChange, now: Now) {
        match change {
            SyncChange::List { name, r#type, state } => self.list(call, name, r#type, state, now),
            SyncChange::Unlist { name } => self.unlist(call, name, now),
            SyncChange::SetLifecycle(lifecycle) => self.set_lifecycle(call, lifecycle),
            SyncChange::DrainLifecycle(r#type) => self.drain_lifecycle(call, r#type),
        }
    }

    /// Resources after `after` in name order, at most `limit`, for a comparison with the config.
    #[must_use]
    pub fn names_page(&self, after: Option<&ResourceName>, limit: usize) -> Vec<NameView> {
        let view = |(name, key): (&ResourceName, &ResourceKey)| {
            let slot = self.inventory.get(*key);
            let fate = self.fates.get(key);
            let (r#type, remade_in) = match fate {
                Some(Fate::Remake { r#type, state }) => (r#type, Some(state.clone())),
                Some(Fate::Delete) | None => (&slot.record.resource.r#type, None),
            };
            NameView {
                name: name.clone(),
                r#type: r#type.clone(),
                remade_in,
                listed: slot.listed,
                dynamic: self.inventory.kind(slot.kind).lifecycle.is_some(),
                to_be_deleted: matches!(fate, Some(Fate::Delete)),
            }
        };
        self.inventory.names_after(after).take(limit).map(view).collect()
    }

    fn list(&mut self, call: CallId, name: ResourceName, r#type: ResourceType, state: State, now: Now) {
        self.named_states.insert(state.clone());
        let Some(key) = self.inventory.find(name.as_str()) else {
            let mut draft = self.draft();
            let resource = Resource::new(name, r#type, state, now.wall);
            self.draft_create(&mut draft, Record::new(resource), true, now);
            self.launch(draft, Purpose::SyncPart { call });
            return self.open_part(call);
        };
        if self.inventory.get(key).flight.is_some() {
            return self.wait_with_change(key, call, SyncChange::List { name, r#type, state });
        }
        self.set_listed(key, true);
        if self.inventory.get(key).record.resource.r#type == r#type {
            self.fates.remove(&key);
        } else {
            self.seal_fate(call, key, Fate::Remake { r#type, state }, now);
        }
    }

    fn unlist(&mut self, call: CallId, name: ResourceName, now: Now) {
        let Some(key) = self.inventory.find(name.as_str()) else { return };
        let slot = self.inventory.get(key);
        if slot.flight.is_some() {
            return self.wait_with_change(key, call, SyncChange::Unlist { name });
        }
        let kind = slot.kind;
        if self.inventory.kind(kind).lifecycle_in_flight {
            return self.wait_with_lifecycle(kind, call, SyncChange::Unlist { name });
        }
        self.set_listed(key, false);
        // A type on its way out adopts nothing.
        if self.inventory.kind(kind).lifecycle.as_ref().is_some_and(|record| !record.draining) {
            self.fates.remove(&key);
        } else {
            self.seal_fate(call, key, Fate::Delete, now);
        }
    }

    fn set_listed(&mut self, key: ResourceKey, listed: bool) {
        if self.inventory.get(key).listed != listed {
            self.inventory.reclassify(key, |slot| slot.listed = listed);
            let kind = self.inventory.get(key).kind;
            self.look_after(kind);
        }
    }

    fn seal_fate(&mut self, call: CallId, key: ResourceKey, fate: Fate, now: Now) {
        self.fates.insert(key, fate);
        let slot = self.inventory.get(key);
        if slot.flight.is_none() && slot.record.resource.owner.is_none() {
            self.carry_out_fate(key, Some(call), now);
        }
    }

    /// Carries out the fate of a settled, unowned resource.
    pub(super) fn carry_out_fate(&mut self, key: ResourceKey, call: Option<CallId>, now: Now) {
        let Some(fate) = self.fates.get(&key).cloned() else { return };
        let mut draft = self.draft();
        match fate {
            Fate::Delete => self.draft_delete(&mut draft, key, now),
            Fate::Remake { r#type, state } => {
                let name = self.inventory.get(key).record.resource.name.clone();
                let mut record = Record::new(Resource::new(name, r#type, state, now.wall));
                record.last_transition = self.inventory.get(key).record.last_transition;
                self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
            }
        }
        match call {
            Some(call) => {
                self.open_part(call);
                self.launch(draft, Purpose::SyncPart { call });
            }
            None => drop(self.launch(draft, Purpose::Upkeep)),
        }
    }

    /// Carries out fates that could not be while the store was out of reach.
    pub(super) fn carry_out_fates(&mut self, now: Now) {
        for key in self.backlog.take_fates() {
            // What is owned or in flight by now meets its fate when it comes to rest.
            let slot = self.inventory.contains(key).then(|| self.inventory.get(key));
            if slot.is_some_and(|slot| slot.flight.is_none() && slot.record.resource.owner.is_none()) {
                self.carry_out_fate(key, None, now);
            }
        }
    }

    fn set_lifecycle(&mut self, call: CallId, lifecycle: Lifecycle) {
        self.named_states.insert(lifecycle.state.clone());
        let key = self.inventory.kind_or_new(&lifecycle.r#type);
        if self.inventory.kind(key).lifecycle_in_flight {
            return self.wait_with_lifecycle(key, call, SyncChange::SetLifecycle(lifecycle));
        }
        let record = LifecycleRecord { lifecycle, draining: false };
        self.change_lifecycle(Some(call), record.lifecycle.r#type.clone(), Some(record));
    }

    fn drain_lifecycle(&mut self, call: CallId, r#type: ResourceType) {
        let Some(key) = self.inventory.kind_key(r#type.as_str()) else { return };
        let kind = self.inventory.kind(key);
        if kind.lifecycle_in_flight {
            return self.wait_with_lifecycle(key, call, SyncChange::DrainLifecycle(r#type));
        }
        if let Some(mut record) = kind.lifecycle.clone().filter(|record| !record.draining) {
            record.lifecycle.min_count = 0;
            record.lifecycle.max_count = 0;
            record.draining = true;
            self.change_lifecycle(Some(call), r#type, Some(record));
        }
    }

    /// Lets a change wait for that of a lifecycle. Counts as an open part of the sync.
    fn wait_with_lifecycle(&mut self, key: KindKey, call: CallId, change: SyncChange) {
        self.open_part(call);
        self.inventory.kind_mut(key).waiting_changes.push_back((call, change));
    }

    /// Sends off a change of a lifecycle; `None` forgets it.
    pub(super) fn change_lifecycle(&mut self, call: Option<CallId>, r#type: ResourceType, to: Option<LifecycleRecord>) {
        let kind = self.inventory.kind_or_new(&r#type);
        let kind = self.inventory.kind_mut(kind);
        if kind.lifecycle == to {
            return;
        }
        kind.lifecycle_in_flight = true;
        let to = to.map(Box::new);
        let mut draft = self.draft();
        draft.write(match &to {
            Some(record) => Write::PutLifecycle(record.clone()),
            None => Write::DeleteLifecycle(r#type.clone()),
        });
        if let Some(call) = call {
            self.open_part(call);
        }
        self.launch(draft, Purpose::Lifecycle { call, r#type, to });
    }

    pub(super) fn lifecycle_committed(&mut self, r#type: &ResourceType, to: Option<Box<LifecycleRecord>>, now: Now) {
        let key = self.inventory.kind_or_new(r#type);
        let kind = self.inventory.kind_mut(key);
        kind.lifecycle_in_flight = false;
        let was_dynamic = kind.lifecycle.is_some();
        kind.lifecycle = to.map(|record| *record);
        let is_dynamic = kind.lifecycle.is_some();
        let adopts = kind.lifecycle.as_ref().is_some_and(|record| !record.draining);
        // Where all are listed none expires, before or after: and those may be very many.
        if is_dynamic != was_dynamic && self.inventory.kind(key).members > 0 {
            self.inventory.reindex_expiry(key);
        }
        if adopts {
            // What was to go for want of a lifecycle belongs to it now.
            let inventory = &self.inventory;
            self.fates.retain(|resource, fate| !matches!(fate, Fate::Delete) || inventory.get(*resource).kind != key);
        }
        if is_dynamic {
            self.look_after(key);
        }
        let waiting = std::mem::take(&mut self.inventory.kind_mut(key).waiting_changes);
        self.inventory.drop_kind_if_unused(key);
        for (call, change) in waiting {
            self.apply_change(call, change, now);
            self.gather_part(call, None);
        }
    }

    /// A lifecycle could not be written. What was to follow from it is not done either: a name
    /// that it was to adopt would be deleted.
    pub(super) fn lifecycle_failed(&mut self, call: Option<CallId>, r#type: &ResourceType, now: Now) {
        let key = self.inventory.kind_or_new(r#type);
        let kind = self.inventory.kind_mut(key);
        kind.lifecycle_in_flight = false;
        let waiting = std::mem::take(&mut kind.waiting_changes);
        self.look_after(key);
        self.inventory.drop_kind_if_unused(key);
        if let Some(call) = call {
            self.gather_failed(call);
        }
        for (of, change) in waiting {
            if call.is_some() {
                self.gather_failed(of);
            } else {
                self.apply_change(of, change, now);
                self.gather_part(of, None);
            }
        }
    }
}
