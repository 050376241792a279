//! Following the config, resource by resource.

use super::{
    Ranch,
    command::{CallId, SyncChange},
    flight::{Age, Purpose, Role},
    plan::{LifecycleRecord, Record, ResourceKey, Write},
};
use crate::{Now, Resource, ResourceName, ResourceType, State};

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
    /// Whether the config named it when it was last applied.
    pub listed: bool,
    /// Whether its type is dynamic.
    pub dynamic: bool,
    /// Whether it is to be deleted as soon as its owner lets go.
    pub to_be_deleted: bool,
}

impl Ranch {
    /// The steps of a config follow, which names these states. Until [`Self::end_sync`] the min
    /// and max of dynamic types rest: a type that has turned dynamic is about to adopt what the
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
            match change {
                SyncChange::List { name, r#type, state } => self.list(call, name, r#type, state, now),
                SyncChange::Unlist { name } => self.unlist(call, &name, now),
                SyncChange::SetLifecycle(lifecycle) => {
                    self.named_states.insert(lifecycle.state.clone());
                    let record = LifecycleRecord { lifecycle, draining: false };
                    self.change_lifecycle(Some(call), record.lifecycle.r#type.clone(), Some(record));
                }
                SyncChange::DrainLifecycle(r#type) => self.drain_lifecycle(call, r#type),
            }
        }
        self.complete(call);
    }

    /// Resources after `after` in name order, at most `limit`, for a comparison with the config.
    #[must_use]
    pub fn names_page(&self, after: Option<&ResourceName>, limit: usize) -> Vec<NameView> {
        let view = |(name, key): (&ResourceName, &ResourceKey)| {
            let slot = self.inventory.get(*key);
            let fate = self.fates.get(key);
            let r#type = match fate {
                Some(Fate::Remake { r#type, .. }) => r#type,
                Some(Fate::Delete) | None => &slot.record.resource.r#type,
            };
            NameView {
                name: name.clone(),
                r#type: r#type.clone(),
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
        self.set_listed(key, true);
        if self.inventory.get(key).record.resource.r#type == r#type {
            self.fates.remove(&key);
        } else {
            self.seal_fate(call, key, Fate::Remake { r#type, state }, now);
        }
    }

    fn unlist(&mut self, call: CallId, name: &ResourceName, now: Now) {
        let Some(key) = self.inventory.find(name.as_str()) else { return };
        self.set_listed(key, false);
        let dynamic = self.inventory.kind(self.inventory.get(key).kind).lifecycle.is_some();
        if dynamic {
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
                self.fates.remove(&key);
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

    /// Carries out fates that had to wait for more than their owners.
    pub(super) fn carry_out_fates(&mut self, now: Now, budget: &mut usize) {
        while *budget > 0
            && let Some(key) = self.doomed.pop_front()
        {
            *budget -= 1;
            let there = self.fates.contains_key(&key) && self.inventory.contains(key);
            if there {
                let slot = self.inventory.get(key);
                if slot.flight.is_none() && slot.record.resource.owner.is_none() {
                    self.carry_out_fate(key, None, now);
                }
            }
        }
    }

    fn drain_lifecycle(&mut self, call: CallId, r#type: ResourceType) {
        let kept =
            self.inventory.kind_key(r#type.as_str()).and_then(|kind| self.inventory.kind(kind).lifecycle.clone());
        if let Some(mut record) = kept.filter(|record| !record.draining) {
            record.lifecycle.min_count = 0;
            record.lifecycle.max_count = 0;
            record.draining = true;
            self.change_lifecycle(Some(call), r#type, Some(record));
        }
    }

    /// Sends off a change of a lifecycle; `None` forgets it.
    pub(super) fn change_lifecycle(&mut self, call: Option<CallId>, r#type: ResourceType, to: Option<LifecycleRecord>) {
        let kind = self.inventory.kind_or_new(&r#type);
        let kind = self.inventory.kind_mut(kind);
        if kind.lifecycle == to {
            return;
        }
        kind.lifecycle_in_flight = true;
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

    pub(super) fn lifecycle_committed(&mut self, r#type: &ResourceType, to: Option<LifecycleRecord>, now: Now) {
        let key = self.inventory.kind_or_new(r#type);
        let kind = self.inventory.kind_mut(key);
        kind.lifecycle_in_flight = false;
        let was_dynamic = kind.lifecycle.is_some();
        kind.lifecycle = to;
        let is_dynamic = kind.lifecycle.is_some();
        if is_dynamic != was_dynamic {
            self.inventory.reindex_expiry(key);
        }
        if is_dynamic {
            // What was to go for want of a lifecycle belongs to it now.
            let inventory = &self.inventory;
            self.fates.retain(|resource, fate| !matches!(fate, Fate::Delete) || inventory.get(*resource).kind != key);
            self.look_after(key);
        }
        self.inventory.drop_kind_if_unused(key);
        let _ = now;
    }

    pub(super) fn lifecycle_failed(&mut self, r#type: &ResourceType) {
        if let Some(key) = self.inventory.kind_key(r#type.as_str()) {
            self.inventory.kind_mut(key).lifecycle_in_flight = false;
            self.look_after(key);
            self.inventory.drop_kind_if_unused(key);
        }
    }
}
