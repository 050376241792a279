//! Dynamic types: min, max, expiry and tombstones, always.

use super::{
    Ranch,
    flight::{Age, Purpose, Role},
    kind::{KindKey, is_leaving},
    plan::ResourceKey,
};
use crate::{Now, State, state};

impl Ranch {
    /// Has a type looked at in the next [`Ranch::work`] if it is dynamic.
    pub(super) fn look_after(&mut self, kind: KindKey) {
        if self.inventory.kind(kind).lifecycle.is_some() {
            self.upkeep.insert(kind);
        }
    }

    /// Marks expired resources, in order of expiry.
    pub(super) fn expire_resources(&mut self, now: Now, budget: &mut usize) {
        while *budget > 0
            && let Some((at, key)) = self.inventory.first_expiring()
            && at <= now.wall
        {
            *budget -= 1;
            self.mark_to_be_deleted(key, now);
        }
    }

    /// Brings dynamic types to what their lifecycles say.
    pub(super) fn keep_up(&mut self, now: Now, budget: &mut usize) {
        let mut looks = self.limits.step;
        while *budget > 0
            && looks > 0
            && let Some(kind) = self.upkeep.pop_first()
        {
            if !self.inventory.has_kind(kind) || self.inventory.kind(kind).lifecycle.is_none() {
                continue;
            }
            self.delete_tombstones(kind, now, budget);
            self.create_missing(kind, now, budget);
            let all = self.mark_surplus(kind, now, budget, &mut looks);
            self.end_drained(kind);
            if *budget == 0 || !all {
                self.upkeep.insert(kind);
            } else {
                // To look costs something too, but never the last change of a step.
                *budget -= 1;
            }
        }
    }

    fn delete_tombstones(&mut self, kind: KindKey, now: Now, budget: &mut usize) {
        if self.inventory.kind(kind).tombstones == 0 {
            // Very many may be listed.
            return;
        }
        let Some(pool) = self.inventory.kind(kind).pools.get(state::TOMBSTONE) else { return };
        let unowned = self.inventory.pool(*pool).unowned.values().copied();
        let keys: Vec<ResourceKey> = unowned.filter(|key| !self.inventory.get(*key).listed).take(*budget).collect();
        for key in keys {
            *budget -= 1;
            let mut draft = self.draft();
            self.draft_delete(&mut draft, key, now);
            self.launch(draft, Purpose::Upkeep);
        }
    }

    fn create_missing(&mut self, key: KindKey, now: Now, budget: &mut usize) {
        loop {
            let kind = self.inventory.kind(key);
            let lifecycle = &kind.lifecycle.as_ref().expect("looked at for its lifecycle").lifecycle;
            let have = kind.members - kind.tombstones + kind.creating;
            if have >= lifecycle.min_count || *budget == 0 {
                return;
            }
            *budget -= 1;
            let initial = lifecycle.state.clone();
            self.create_member(key, initial, now);
        }
    }

    /// Of what is more than max, those that nobody owns go, names descending.
    /// Whether they were all looked for.
    fn mark_surplus(&mut self, key: KindKey, now: Now, budget: &mut usize, looks: &mut usize) -> bool {
        let surplus = self.surplus(key);
        if surplus == 0 {
            self.inventory.kind_mut(key).descent = None;
        }
        if surplus == 0 || *budget == 0 {
            return true;
        }
        let (going, all) = self.first_to_go(key, surplus.min(*budget), looks);
        for resource in going {
            *budget -= 1;
            self.mark_to_be_deleted(resource, now);
        }
        all
    }

    fn mark_to_be_deleted(&mut self, key: ResourceKey, now: Now) {
        let slot = self.inventory.get(key);
        let kind = slot.kind;
        let stays = !is_leaving(&slot.record.resource.state, slot.record.leaving);
        self.inventory.kind_mut(kind).departing += u32::from(stays);
        let role = if stays { Role::Departs } else { Role::Plain };
        let record = self.moved(key, State::from(state::TO_BE_DELETED), None);
        let mut draft = self.draft();
        self.draft_put(&mut draft, key, record, Age::Fresh, role, now);
        self.launch(draft, Purpose::Upkeep);
    }

    /// A drained type whose last resource is gone loses its lifecycle.
    fn end_drained(&mut self, key: KindKey) {
        let kind = self.inventory.kind(key);
        let draining = kind.lifecycle.as_ref().is_some_and(|record| record.draining);
        if draining && kind.members == 0 && kind.phantoms == 0 && !kind.lifecycle_in_flight {
            let r#type = kind.r#type.clone();
            self.change_lifecycle(None, r#type, None);
        }
    }
}
