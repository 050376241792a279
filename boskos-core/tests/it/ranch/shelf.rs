//! A store as simple as it can be, which checks whatever is written against what it holds.

use boskos_core::{
    Now, Resource, ResourceType, State,
    ranch::{
        Limits, Loader, Names, Ranch,
        plan::{
            Foreign, LifecycleRecord, PlaceRecord, Plan, Put, Record, ResourceKey, Stored, Transition, Version, Write,
        },
    },
};
use smallvec::SmallVec;

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) key: ResourceKey,
    pub(super) record: Record,
    pub(super) version: Version,
    /// What it was before its last change; nothing if it was created or loaded.
    pub(super) before: Option<Record>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) kept: Vec<Kept>,
    pub(super) places: Vec<PlaceRecord>,
    pub(super) lifecycles: Vec<LifecycleRecord>,
    pub(super) totals: Vec<(ResourceType, State, u64)>,
    pub(super) history: Vec<Transition>,
    /// Whether objects have versions, as in a store with one conditional write for each.
    pub(super) versions: bool,
    pub(super) last_version: Version,
    /// Whether writes may fail: then a place may be forgotten that was never kept.
    pub(super) fails: bool,
    pub(super) sequence: u64,
}

type Check<T = ()> = Result<T, String>;

impl Shelf {
    pub(super) fn find(&self, name: &str) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.record.resource.name.as_str() == name)
    }

    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut all: Vec<Resource> = self.kept.iter().map(|kept| kept.record.resource.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The objects that are not what the plan takes them for.
    pub(super) fn conflicts(&self, plan: &Plan) -> Vec<Foreign> {
        let mut found = Vec::new();
        for write in &plan.writes {
            let (name, replaces) = match write {
                Write::Put(put) => (&put.record.resource.name, put.replaces),
                Write::Delete(delete) => (&delete.name, Some(delete.replaces)),
                Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => {
                    continue;
                }
            };
            let kept = self.find(name.as_str());
            if kept.map(|kept| kept.version) != replaces {
                found.push(Foreign {
                    name: name.clone(),
                    now: kept.map(|kept| kept.record.resource.clone()),
                    version: kept.map_or(self.last_version, |kept| kept.version),
                });
            }
        }
        found
    }

    /// Writes a plan; the new versions.
    pub(super) fn apply(&mut self, plan: &Plan) -> Check<SmallVec<[Version; 1]>> {
        let mut versions = SmallVec::new();
        for write in &plan.writes {
            self.last_version += u64::from(self.versions);
            versions.push(self.last_version);
            match write {
                Write::Put(put) => self.put(put)?,
                Write::Delete(delete) => {
                    let index = self.kept.iter().position(|kept| kept.record.resource.name == delete.name);
                    let kept = self.kept.remove(index.ok_or_else(|| format!("{} is deleted twice", delete.name))?);
                    if kept.key != delete.key || kept.version != delete.replaces {
                        return Err(format!("{delete:?} is not meant for {kept:?}"));
                    }
                    if kept.record.resource.owner.is_some() {
                        return Err(format!("{delete:?} takes away what is owned"));
                    }
                    self.chain(&delete.transition, Some(&kept.record), None)?;
                }
                Write::PutPlace(place) => {
                    self.places.retain(|other| other.number != place.number);
                    self.places.push(place.clone());
                }
                Write::DeletePlace(number) => {
                    let before = self.places.len();
                    self.places.retain(|place| place.number != *number);
                    if self.places.len() == before && !self.fails {
                        return Err(format!("place {number} is forgotten twice"));
                    }
                }
                Write::PutLifecycle(record) => {
                    self.lifecycles.retain(|other| other.lifecycle.r#type != record.lifecycle.r#type);
                    self.lifecycles.push((**record).clone());
                }
                Write::DeleteLifecycle(r#type) => {
                    let before = self.lifecycles.len();
                    self.lifecycles.retain(|other| other.lifecycle.r#type != *r#type);
                    if self.lifecycles.len() == before {
                        return Err(format!("the lifecycle of {} is deleted twice", r#type));
                    }
                }
            }
        }
        self.places.sort_by_key(|place| place.number);
        if self.versions {
            return Ok(versions);
        }
        Ok(SmallVec::new())
    }

    fn put(&mut self, put: &Put) -> Check {
        let name = &put.record.resource.name;
        let index = self.kept.iter().position(|kept| kept.record.resource.name == *name);
        let before = index.map(|index| self.kept[index].clone());
        match (&before, put.replaces) {
            (None, None) if self.kept.iter().any(|kept| kept.key == put.key) => {
                return Err(format!("{put:?} has the key of another"));
            }
            (None, None) => {}
            (Some(before), Some(version)) if before.key == put.key && before.version == version => {}
            (before, _) => return Err(format!("{put:?} is not meant for {before:?}")),
        }
        let record = before.as_ref().map(|before| &before.record);
        if let Some(old) = record {
            let (from, to) = (&old.resource, &put.record.resource);
            if from.owner.is_some() && to.owner.is_some() && from.owner != to.owner {
                return Err(format!("{put:?} takes {name} from {:?}", from.owner));
            }
            if put.record.sequence <= old.sequence {
                self.check_undo(before.as_ref().expect("it has a record"), put)?;
            }
            let moves = (&from.state, &from.owner, &from.r#type) != (&to.state, &to.owner, &to.r#type);
            if moves != put.transition.is_some() {
                return Err(format!("{put:?} replaces {old:?} and history is told {:?}", put.transition));
            }
        }
        if self
            .kept
            .iter()
            .any(|kept| kept.record.resource.name != *name && kept.record.sequence == put.record.sequence)
        {
            return Err(format!("{put:?} has the sequence of another"));
        }
        match &put.transition {
            Some(transition) => self.chain(transition, record, Some(&put.record))?,
            None if record.is_none_or(|old| old.last_transition != put.record.last_transition) => {
                return Err(format!("{put:?} loses its history"));
            }
            None => {}
        }
        self.sequence = self.sequence.max(put.record.sequence);
        let kept = Kept {
            key: put.key,
            record: Record::clone(&put.record),
            version: self.last_version,
            before: before.map(|before| before.record),
        };
        match index {
            Some(index) => self.kept[index] = kept,
            None => self.kept.push(kept),
        }
        Ok(())
    }

    /// Only an undo makes a resource older: what it was before the grant.
    fn check_undo(&self, now: &Kept, put: &Put) -> Check {
        let mut to = Record::clone(&put.record);
        if let Some(before) = &now.before {
            to.last_transition = before.last_transition;
            if self.versions {
                // What someone else wrote has no sequence of its own.
                to.sequence = before.sequence;
                to.leaving = before.leaving;
            }
            if to == *before {
                return Ok(());
            }
        } else if now.record.resource.owner.is_some()
            && to.resource.owner.is_none()
            && to.sequence == now.record.sequence
        {
            return Ok(());
        }
        Err(format!("{put:?} undoes something else than the last change of {now:?}"))
    }

    /// Checks a history row against the resource before and after.
    fn chain(&mut self, row: &Transition, from: Option<&Record>, to: Option<&Record>) -> Check {
        let place = |record: &Record| (record.resource.state.clone(), record.resource.owner.clone());
        let right = row.from == from.map(place)
            && row.to == to.map(place)
            && row.previous == from.map_or(0, |record| record.last_transition)
            && row.id > row.previous
            && to.is_none_or(|record| record.last_transition == row.id)
            && self.history.iter().all(|other| other.id != row.id);
        if !right {
            return Err(format!("history is told {row:?} of {from:?} to {to:?}"));
        }
        let arrives = to.is_some_and(|to| {
            from.is_none_or(|from| {
                (&from.resource.state, &from.resource.r#type) != (&to.resource.state, &to.resource.r#type)
            })
        });
        if arrives != row.counted.is_some() {
            return Err(format!("{row:?} is counted wrongly"));
        }
        if let Some(state) = &row.counted {
            match self.totals.iter_mut().find(|(r#type, of, _)| *r#type == row.r#type && of == state) {
                Some((_, _, total)) => *total += 1,
                None => self.totals.push((row.r#type.clone(), state.clone(), 1)),
            }
        }
        self.sequence = self.sequence.max(row.id);
        self.history.push(row.clone());
        Ok(())
    }

    /// Someone else changes or deletes an object, or creates one.
    pub(super) fn meddle(&mut self, name: &str, now: Option<Resource>) -> Foreign {
        self.last_version += 1;
        let index = self.kept.iter().position(|kept| kept.record.resource.name.as_str() == name);
        match (index, &now) {
            (Some(index), Some(resource)) => {
                let kept = &mut self.kept[index];
                kept.record.resource = resource.clone();
                kept.version = self.last_version;
                kept.before = None;
            }
            (Some(index), None) => drop(self.kept.remove(index)),
            (None, _) => unreachable!("only what exists is meddled with"),
        }
        Foreign { name: name.into(), now, version: self.last_version }
    }

    /// A ranch as it would be after a start from here.
    pub(super) fn load(
        &mut self,
        limits: Limits,
        names: Names,
        keep_keys: bool,
        now: Now,
        listed: impl Fn(&Resource) -> bool,
    ) -> Ranch {
        let mut loader = Loader::new(limits, names, now);
        loader.reserve(self.kept.len());
        for kept in &self.kept {
            let key = keep_keys.then_some(kept.key);
            let stored = Stored { key, record: kept.record.clone(), version: kept.version };
            loader.resource(stored, false);
        }
        for record in &self.lifecycles {
            loader.lifecycle(record.clone());
        }
        for place in self.places.iter().rev() {
            loader.place(place.clone());
        }
        for (r#type, state, total) in &self.totals {
            loader.total(r#type, state.clone(), *total);
        }
        loader.sequence(self.sequence);
        loader.mark_listed(|resource| listed(resource));
        if !keep_keys {
            for (index, kept) in self.kept.iter_mut().enumerate() {
                kept.key = ResourceKey::new(u32::try_from(index).expect("few resources"));
            }
        }
        for kept in &mut self.kept {
            kept.before = None;
            kept.record.resource.last_update = kept.record.resource.last_update.min(now.wall);
        }
        loader.finish()
    }
}
