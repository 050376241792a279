//! Changes that someone else made in the store.

use std::sync::Arc;

use super::{
    Ranch,
    flight::{Role, stays_leaving},
    plan::{Foreign, Record, ResourceKey},
};
use crate::Now;

impl Ranch {
    /// Takes in what someone else made of an object. What is not newer than what the ranch knows
    /// is an echo; a resource in flight is looked at again when its write is settled. Of an object
    /// whose deletion was settled nothing older may be reported: the ranch has forgotten it.
    pub fn observe(&mut self, foreign: Foreign, now: Now) {
        match self.inventory.find(foreign.name.as_str()) {
            None => self.observe_new(foreign, now),
            Some(key) if self.inventory.get(key).flight.is_some() => self.wait_with_foreign(key, foreign),
            Some(key) if foreign.version > self.inventory.get(key).version => self.observe_known(key, foreign, now),
            Some(_) => {}
        }
    }

    fn observe_new(&mut self, foreign: Foreign, now: Now) {
        let Some(resource) = foreign.now else { return };
        let mut record = Record::new(resource);
        let kind = self.inventory.kind_key(record.resource.r#type.as_str());
        self.inventory.share_words(&mut record.resource, kind);
        record.sequence = self.next_sequence();
        self.snapshots.note(&record.resource, false);
        let key = self.inventory.add(None, Arc::new(record), foreign.version);
        self.inventory.count_in(key);
        self.arrived_from_outside(key, now);
    }

    fn observe_known(&mut self, key: ResourceKey, foreign: Foreign, now: Now) {
        self.inventory.unindex(key);
        let Some(resource) = foreign.now else {
            self.leave_flight(key, Role::Plain);
            self.land_deletion(key, foreign.version, now);
            return;
        };
        let slot = self.inventory.get(key);
        self.snapshots.note(&slot.record.resource, true);
        let (old_pool, old_kind) = (slot.pool, slot.kind);
        let before = slot.record.clone();
        let mut record = Record { resource, sequence: self.next_sequence(), ..Record::clone(&before) };
        record.leaving = stays_leaving(&before, &record);
        let kind = self.inventory.kind_key(record.resource.r#type.as_str());
        self.inventory.share_words(&mut record.resource, kind);
        self.inventory.replace(key, Arc::new(record), foreign.version);
        self.look_after(old_kind);
        self.arrived_from_outside(key, now);
        self.inventory.drop_pool_if_unused(old_pool);
    }

    fn arrived_from_outside(&mut self, key: ResourceKey, now: Now) {
        let slot = self.inventory.get(key);
        let kind = slot.kind;
        self.watches.arrived(&slot.record.resource, &mut self.pending.replies);
        self.look_after(kind);
        self.came_to_rest(key, now);
    }
}
