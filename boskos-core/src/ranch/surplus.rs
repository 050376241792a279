//! What is more than max of a dynamic type: of those that nobody owns, names descending.

use std::collections::BTreeMap;

use super::{
    Ranch,
    inventory::Slot,
    kind::{KindKey, is_leaving},
    plan::ResourceKey,
};
use crate::ResourceName;

/// How far a look through all names has come, from the last one down, for a type of which too many are unowned to be
/// put in order at once.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// All from here on were passed; `None`: none yet.
    down_to: Option<ResourceName>,
    /// Those that came to rest, spare, after they were passed.
    behind: BTreeMap<ResourceName, ResourceKey>,
}

/// Whether a settled resource may go if there are too many of its type.
pub(super) fn is_spare(slot: &Slot) -> bool {
    let resource = &slot.record.resource;
    resource.owner.is_none() && !slot.listed && !is_leaving(&resource.state, slot.record.leaving)
}

impl Descent {
    /// A resource came to rest.
    pub(super) fn came_to_rest(&mut self, slot: &Slot, key: ResourceKey) {
        if self.down_to.as_ref().is_some_and(|down_to| slot.name() >= down_to) && is_spare(slot) {
            self.behind.insert(slot.name().clone(), key);
        }
    }

    /// A resource that was at rest is to be changed.
    pub(super) fn left(&mut self, slot: &Slot) {
        self.behind.remove(slot.name());
    }
}

impl Ranch {
    /// How many more of a type stay than may.
    pub(super) fn surplus(&self, key: KindKey) -> usize {
        let kind = self.inventory.kind(key);
        let max = kind.lifecycle.as_ref().map_or(u32::MAX, |record| record.lifecycle.max_count);
        let staying = kind.members - kind.leaving - kind.departing;
        staying.saturating_sub(max) as usize
    }

    /// The `wanted` that go first, as far as so many looks yield them: those must go now. Whether that are all.
    pub(super) fn first_to_go(&mut self, key: KindKey, wanted: usize, looks: &mut usize) -> (Vec<ResourceKey>, bool) {
        let kind = self.inventory.kind(key);
        let unowned = (kind.count - kind.owned) as usize + kind.pools.len();
        if unowned > self.limits.step {
            return self.descend(key, wanted, looks);
        }
        *looks = looks.saturating_sub(unowned);
        let pools = kind.pools.values().map(|pool| self.inventory.pool(*pool));
        let keys = pools.flat_map(|pool| pool.unowned.values()).copied();
        let mut going: Vec<ResourceKey> = keys.filter(|key| is_spare(self.inventory.get(*key))).collect();
        going.sort_unstable_by(|a, b| self.inventory.get(*b).name().cmp(self.inventory.get(*a).name()));
        going.truncate(wanted);
        (going, true)
    }

    fn descend(&mut self, key: KindKey, wanted: usize, looks: &mut usize) -> (Vec<ResourceKey>, bool) {
        let mut descent = self.inventory.kind_mut(key).descent.take().unwrap_or_default();
        let mut going = Vec::new();
        while going.len() < wanted
            && let Some((_, behind)) = descent.behind.pop_last()
        {
            going.push(behind);
        }
        let down_to = descent.down_to.clone();
        let mut names = self.inventory.names_before(down_to.as_ref());
        while going.len() < wanted
            && *looks > 0
            && let Some((name, below)) = names.next()
        {
            *looks -= 1;
            descent.down_to = Some(name.clone());
            let slot = self.inventory.get(*below);
            // What is in flight is spare or not when it comes to rest.
            if slot.kind == key && slot.flight.is_none() && is_spare(slot) {
                going.push(*below);
            }
        }
        drop(names);
        let all = going.len() == wanted || *looks > 0;
        self.inventory.kind_mut(key).descent = Some(descent);
        (going, all)
    }
}
