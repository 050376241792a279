//! All resources, and the indexes by which they are found.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    hash::BuildHasher as _,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::{
    kind::{Kind, KindKey},
    plan::{PlanId, Record, ResourceKey, Sequence, Version},
    pool::{Pool, PoolKey},
};
use crate::{Resource, ResourceName, ResourceType, State, WallTime, state};

/// One resource and how the ranch stands to it.
#[derive(Debug)]
pub(super) struct Slot {
    /// The last committed form; for a phantom the form that is being created.
    pub(super) record: Arc<Record>,
    pub(super) version: Version,
    /// The pool of the committed form.
    pub(super) pool: PoolKey,
    /// The type of the committed form.
    pub(super) kind: KindKey,
    /// The plan that is to change it. In flight, a resource is in no index but that of names.
    pub(super) flight: Option<PlanId>,
    /// Whether the config names it.
    pub(super) listed: bool,
    /// Whether its creation is not committed yet: nobody sees it.
    pub(super) phantom: bool,
}

/// Resources by key, by name, and by type and state.
///
/// Invariant: a resource that is not in flight is in its pool's index and, if due, in those of
/// what expires and what was turned back; one in flight is in none of them.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    slots: Vec<Option<Slot>>,
    free_keys: Vec<ResourceKey>,
    hasher: DefaultHashBuilder,
    by_name: HashTable<ResourceKey>,
    in_name_order: BTreeMap<ResourceName, ResourceKey>,
    kinds: slab::Slab<Kind>,
    kind_by_type: HashMap<ResourceType, KindKey>,
    pools: slab::Slab<Pool>,
    /// Unowned dynamic resources by when they expire.
    expiring: BTreeSet<(WallTime, ResourceKey)>,
    /// Resources that an undo has given back an earlier sequence, by the transition by which it did.
    turned_back: BTreeMap<Sequence, ResourceKey>,
}

impl Slot {
    pub(super) fn name(&self) -> &ResourceName {
        &self.record.resource.name
    }
}

impl Inventory {
    // --- slots ---

    pub(super) fn len(&self) -> usize {
        self.in_name_order.len()
    }

    pub(super) fn get(&self, key: ResourceKey) -> &Slot {
        self.slots[key.index()].as_ref().expect("keys are handed out for slots that exist")
    }

    pub(super) fn get_mut(&mut self, key: ResourceKey) -> &mut Slot {
        self.slots[key.index()].as_mut().expect("keys are handed out for slots that exist")
    }

    pub(super) fn contains(&self, key: ResourceKey) -> bool {
        self.slots.get(key.index()).is_some_and(Option::is_some)
    }

    pub(super) fn find(&self, name: &str) -> Option<ResourceKey> {
        let hash = self.hasher.hash_one(name);
        self.by_name.find(hash, |key| self.get(*key).record.resource.name.as_str() == name).copied()
    }

    /// All names after `after`, in order.
    pub(super) fn names_after(&self, after: Option<&ResourceName>) -> btree_map::Range<'_, ResourceName, ResourceKey> {
        self.in_name_order.range::<ResourceName, _>((after.map_or(Unbounded, Excluded), Unbounded))
    }

    /// All names before `before`, from the last one down.
    pub(super) fn names_before(
        &self,
        before: Option<&ResourceName>,
    ) -> impl Iterator<Item = (&ResourceName, &ResourceKey)> {
        let before = before.map_or(Unbounded, Excluded);
        self.in_name_order.range::<ResourceName, _>((Unbounded, before)).rev()
    }

    /// Makes room for `count` more resources.
    pub(super) fn reserve(&mut self, count: usize) {
        self.slots.reserve(count);
        let Self { by_name, slots, hasher, .. } = self;
        by_name.reserve(count, |key| hash_of(hasher, slots, *key));
    }

    /// Adds a resource in no index but that of names. Its name must be new.
    pub(super) fn add(&mut self, key: Option<ResourceKey>, record: Arc<Record>, version: Version) -> ResourceKey {
        let name = record.resource.name.clone();
        let key = self.add_nameless(key, record, version);
        self.in_name_order.insert(name, key);
        key
    }

    /// [`Self::add`] without the order of names, for [`Self::order_names`] to make up for.
    pub(super) fn add_nameless(
        &mut self,
        key: Option<ResourceKey>,
        record: Arc<Record>,
        version: Version,
    ) -> ResourceKey {
        let key = key
            .or_else(|| self.free_keys.pop())
            .unwrap_or_else(|| ResourceKey::new(u32::try_from(self.slots.len()).expect("fewer than 2^32 resources")));
        let hash = self.hasher.hash_one(record.resource.name.as_str());
        let kind = self.kind_or_new(&record.resource.r#type);
        let pool = self.pool_or_new(kind, &record.resource.state);
        let slot = Slot { record, version, pool, kind, flight: None, listed: false, phantom: false };
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        debug_assert!(self.slots[key.index()].is_none(), "key {key:?} is taken");
        self.slots[key.index()] = Some(slot);
        let Self { by_name, slots, hasher, .. } = self;
        by_name.insert_unique(hash, key, |key| hash_of(hasher, slots, *key));
        key
    }

    /// Rebuilds the order of names and the list of unused keys, once, after many
    /// [`Self::add_nameless`].
    pub(super) fn order_names(&mut self) {
        let mut names = Vec::with_capacity(self.by_name.len());
        self.free_keys.clear();
        for (index, slot) in self.slots.iter().enumerate().rev() {
            let key = ResourceKey::new(u32::try_from(index).expect("fewer than 2^32 resources"));
            match slot {
                Some(slot) => names.push((slot.record.resource.name.clone(), key)),
                None => self.free_keys.push(key),
            }
        }
        names.reverse();
        self.in_name_order = names.into_iter().collect();
    }

    /// Takes a resource out for good. It is in no index but that of names.
    pub(super) fn remove(&mut self, key: ResourceKey) -> Slot {
        let hash = self.hasher.hash_one(self.get(key).record.resource.name.as_str());
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == key) {
            entry.remove();
        }
        let slot = self.slots[key.index()].take().expect("keys are handed out for slots that exist");
        self.in_name_order.remove(&slot.record.resource.name);
        self.free_keys.push(key);
        slot
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (ResourceKey, &Slot)> {
        self.in_name_order.values().map(|key| (*key, self.get(*key)))
    }

    // --- types ---

    pub(super) fn kind_key(&self, r#type: &str) -> Option<KindKey> {
        self.kind_by_type.get(r#type).copied()
    }

    pub(super) fn kind(&self, key: KindKey) -> &Kind {
        &self.kinds[key.index()]
    }

    pub(super) fn kind_mut(&mut self, key: KindKey) -> &mut Kind {
        &mut self.kinds[key.index()]
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (KindKey, &Kind)> {
        self.kinds.iter().map(|(index, kind)| (KindKey::new(index), kind))
    }

    /// [`Self::kind_key`] of a type that is most likely the one with the key `likely`.
    pub(super) fn kind_key_likely(&self, r#type: &ResourceType, likely: KindKey) -> Option<KindKey> {
        if self.kind(likely).r#type == *r#type { Some(likely) } else { self.kind_key(r#type.as_str()) }
    }

    pub(super) fn kind_or_new(&mut self, r#type: &ResourceType) -> KindKey {
        if let Some(key) = self.kind_by_type.get(r#type) {
            return *key;
        }
        let key = KindKey::new(self.kinds.insert(Kind::new(r#type.clone())));
        self.kind_by_type.insert(r#type.clone(), key);
        key
    }

    /// Forgets the type if nothing speaks of it any more.
    pub(super) fn drop_kind_if_unused(&mut self, key: KindKey) {
        if self.kinds.get(key.index()).is_some_and(Kind::is_unused) {
            let kind = self.kinds.remove(key.index());
            self.kind_by_type.remove(&kind.r#type);
        }
    }

    // --- pools ---

    pub(super) fn pool(&self, key: PoolKey) -> &Pool {
        &self.pools[key.index()]
    }

    pub(super) fn pool_mut(&mut self, key: PoolKey) -> &mut Pool {
        &mut self.pools[key.index()]
    }

    pub(super) fn has_pool(&self, key: PoolKey) -> bool {
        self.pools.contains(key.index())
    }

    pub(super) fn has_kind(&self, key: KindKey) -> bool {
        self.kinds.contains(key.index())
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = (PoolKey, &Pool)> {
        self.pools.iter().map(|(index, pool)| (PoolKey::new(index), pool))
    }

    pub(super) fn find_pool(&self, r#type: &str, state: &str) -> Option<PoolKey> {
        let kind = self.kind_key(r#type)?;
        self.kind(kind).pools.get(state).copied()
    }

    pub(super) fn pool_or_new(&mut self, kind: KindKey, state: &State) -> PoolKey {
        if let Some(key) = self.kinds[kind.index()].pools.get(state) {
            return *key;
        }
        let key = PoolKey::new(self.pools.insert(Pool::new(kind, state.clone())));
        self.kinds[kind.index()].pools.insert(state.clone(), key);
        key
    }

    /// Forgets the pool, and its type, if nothing is in it and nobody waits for it.
    pub(super) fn drop_pool_if_unused(&mut self, key: PoolKey) {
        if self.pools.get(key.index()).is_some_and(Pool::is_unused) {
            let pool = self.pools.remove(key.index());
            self.kinds[pool.kind.index()].pools.remove(&pool.state);
            self.drop_kind_if_unused(pool.kind);
        }
    }

    /// Lets a resource hold the texts of its type (by its key, if there is one) and of its type's pools and owners
    /// rather than equal ones of its own: commands bring new ones, and a million resources would keep theirs.
    pub(super) fn share_words(&self, resource: &mut Resource, kind: Option<KindKey>) {
        let Some(kind) = kind else { return };
        let kind = self.kind(kind);
        resource.r#type = kind.r#type.clone();
        if !resource.state.is_constant()
            && let Some((state, _)) = kind.pools.get_key_value(&resource.state)
        {
            resource.state = state.clone();
        }
        if let Some(owner) = &mut resource.owner
            && let Some((shared, _)) = kind.owners.get_key_value(owner)
        {
            *owner = shared.clone();
        }
    }

    // --- a resource's way into and out of the indexes ---

    /// Counts the committed form of a resource in. It is in no index yet.
    pub(super) fn count_in(&mut self, key: ResourceKey) {
        let slot = self.slots[key.index()].as_mut().expect("exists");
        let resource = &slot.record.resource;
        let kind = self.kinds.get_mut(slot.kind.index()).expect("a slot's type exists");
        kind.count_in(resource, slot.listed, slot.record.leaving);
        self.pools[slot.pool.index()].count += 1;
    }

    /// Takes the committed form of a resource out of the counts.
    pub(super) fn count_out(&mut self, key: ResourceKey) {
        let slot = self.slots[key.index()].as_mut().expect("exists");
        let resource = &slot.record.resource;
        let kind = self.kinds.get_mut(slot.kind.index()).expect("a slot's type exists");
        kind.count_out(resource, slot.listed, slot.record.leaving);
        self.pools[slot.pool.index()].count -= 1;
    }

    /// Puts a resource into its pool's index and, if it expires, among the expiring.
    pub(super) fn index(&mut self, key: ResourceKey) {
        let slot = self.slots[key.index()].as_ref().expect("exists");
        let pool = &mut self.pools[slot.pool.index()];
        let side = if slot.record.resource.owner.is_none() { &mut pool.unowned } else { &mut pool.owned };
        let before = side.insert(slot.record.sequence, key);
        debug_assert!(before.is_none(), "two resources with sequence {}", slot.record.sequence);
        if let Some(descent) = &mut self.kinds[slot.kind.index()].descent {
            descent.came_to_rest(slot, key);
        }
        if slot.record.last_transition > slot.record.sequence {
            self.turned_back.insert(slot.record.last_transition, key);
        }
        if let Some(at) = self.expires_at(key) {
            self.expiring.insert((at, key));
        }
    }

    /// Takes a resource out of the indexes that [`Self::index`] put it into.
    pub(super) fn unindex(&mut self, key: ResourceKey) {
        if let Some(at) = self.expires_at(key) {
            self.expiring.remove(&(at, key));
        }
        let slot = self.slots[key.index()].as_ref().expect("exists");
        let pool = &mut self.pools[slot.pool.index()];
        let side = if slot.record.resource.owner.is_none() { &mut pool.unowned } else { &mut pool.owned };
        let removed = side.remove(&slot.record.sequence);
        debug_assert_eq!(removed, Some(key), "a settled resource is in its pool's index");
        if let Some(descent) = &mut self.kinds[slot.kind.index()].descent {
            descent.left(slot);
        }
        if slot.record.last_transition > slot.record.sequence {
            self.turned_back.remove(&slot.record.last_transition);
        }
    }

    /// Gives a resource its new committed form: out of the old counts, into the new ones. The
    /// resource stays out of the indexes. Pools that this empties are left to the caller.
    pub(super) fn replace(&mut self, key: ResourceKey, record: Arc<Record>, version: Version) -> Arc<Record> {
        let r#type = &record.resource.r#type;
        let kind = self.kind_key_likely(r#type, self.get(key).kind).unwrap_or_else(|| self.kind_or_new(r#type));
        let pool = self.pool_or_new(kind, &record.resource.state);
        if !self.get(key).phantom {
            self.count_out(key);
        }
        let slot = self.get_mut(key);
        slot.pool = pool;
        slot.kind = kind;
        slot.version = version;
        slot.phantom = false;
        let before = std::mem::replace(&mut slot.record, record);
        self.count_in(key);
        before
    }

    /// When a resource is to be given up: unowned, of a dynamic type, not on its way out yet.
    fn expires_at(&self, key: ResourceKey) -> Option<WallTime> {
        let slot = self.get(key);
        let Resource { owner, expiration, state: current, .. } = &slot.record.resource;
        let at = (*expiration)?;
        let dynamic = !slot.listed && self.kind(slot.kind).lifecycle.is_some();
        let leaves = matches!(current.as_str(), state::TO_BE_DELETED | state::TOMBSTONE);
        (owner.is_none() && dynamic && !leaves).then_some(at)
    }

    /// The first resource to expire, and when.
    pub(super) fn first_expiring(&self) -> Option<(WallTime, ResourceKey)> {
        self.expiring.first().copied()
    }

    /// Resources that were turned back by a transition after `since`.
    pub(super) fn turned_back_after(&self, since: Sequence) -> impl Iterator<Item = ResourceKey> {
        self.turned_back.range((Excluded(since), Unbounded)).map(|(_, key)| *key)
    }

    /// Does `change` to something that the counts and the expiry of a resource depend on.
    pub(super) fn reclassify(&mut self, key: ResourceKey, change: impl FnOnce(&mut Slot)) {
        let slot = self.get(key);
        let (settled, counted) = (slot.flight.is_none(), !slot.phantom);
        if settled {
            self.unindex(key);
        }
        if counted {
            self.count_out(key);
        }
        change(self.get_mut(key));
        if counted {
            self.count_in(key);
        }
        if settled {
            self.index(key);
        }
    }

    /// Puts the resources of a type that became dynamic, or no longer is, into or out of the
    /// expiry index.
    pub(super) fn reindex_expiry(&mut self, kind: KindKey) {
        let keys: Vec<_> = self.kind(kind).pools.values().flat_map(|pool| self.pool(*pool).unowned.values()).collect();
        let keys: Vec<ResourceKey> = keys.into_iter().copied().collect();
        for key in keys {
            let Some(at) = self.get(key).record.resource.expiration else { continue };
            self.expiring.remove(&(at, key));
            if let Some(at) = self.expires_at(key) {
                self.expiring.insert((at, key));
            }
        }
    }
}

fn hash_of(hasher: &DefaultHashBuilder, slots: &[Option<Slot>], key: ResourceKey) -> u64 {
    let slot = slots[key.index()].as_ref().expect("names are removed before their slots");
    hasher.hash_one(slot.record.resource.name.as_str())
}

#[cfg(test)]
mod tests;
