//! What follows when the store has answered.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Ranch,
    command::{Acquire, Command, Granted, GrantedRecord, Receipt, Refusal, Reply},
    flight::{Change, Flight, Grant, Purpose, Role},
    plan::{Foreign, Outcome, PlanId, Record, ResourceKey, Version},
    pool::PoolKey,
    sync::Fate,
    undo::Owed,
};
use crate::{Now, State};

impl Ranch {
    /// Takes in what became of a batch of plans, in the order in which the store committed them.
    pub fn settle(&mut self, outcomes: impl IntoIterator<Item = (PlanId, Outcome)>, now: Now) {
        let mut pools: SmallVec<[PoolKey; 8]> = SmallVec::new();
        for (id, outcome) in outcomes {
            if matches!(outcome, Outcome::Unknown) {
                continue;
            }
            let Some(flight) = self.flights.remove(&id) else { continue };
            self.chores -= usize::from(flight.purpose.is_chore());
            for pool in &flight.candidate_in {
                self.inventory.pool_mut(*pool).candidates.remove(&id);
                if pools.last() != Some(pool) {
                    pools.push(*pool);
                }
            }
            match outcome {
                Outcome::Committed(versions) => self.committed(flight, &versions, now),
                Outcome::Conflict(foreign) => self.conflicted(flight, foreign, now),
                Outcome::NotWritten => self.not_written(flight, now),
                Outcome::Unknown => {}
            }
        }
        for pool in pools {
            if self.inventory.has_pool(pool) {
                self.settle_seekers(pool, now);
                self.inventory.drop_pool_if_unused(pool);
            }
        }
    }

    fn committed(&mut self, flight: Flight, versions: &[Version], now: Now) {
        let changes = flight.changes;
        match flight.purpose {
            Purpose::Grant(grant) => self.grant_committed(grant, changes, versions, now),
            Purpose::GrantAll { call, .. } => {
                let resources = changes.iter().filter_map(|change| change.to.as_ref());
                let resources = resources.map(|record| record.resource.clone()).collect();
                let granted = self.land_all(changes, versions, now);
                self.reply(call, Reply::GrantedAll(resources, Receipt { granted, place: None }));
            }
            Purpose::Mutation { call, .. } => {
                self.land_all(changes, versions, now);
                self.reply(call, Reply::Done);
            }
            Purpose::ResetPart { call, owner } => {
                let key = changes.first().expect("a reset changes one resource").key;
                let name = self.inventory.get(key).record.resource.name.clone();
                self.land_all(changes, versions, now);
                self.gather_part(call, Some((name, owner)));
            }
            Purpose::SyncPart { call } => {
                self.land_all(changes, versions, now);
                self.gather_part(call, None);
            }
            Purpose::Lifecycle { call, r#type, to } => {
                self.lifecycle_committed(&r#type, to, now);
                if let Some(call) = call {
                    self.gather_part(call, None);
                }
            }
            Purpose::Join { .. } => {}
            Purpose::Undo(receipt) => {
                // Its queue is served when all is back: the place moves up, and gets the oldest.
                self.held = receipt.place.as_ref().map(|vacated| self.reopen_place(vacated, now));
                self.land_all(changes, versions, now);
                if let Some(pool) = self.held.take() {
                    self.serve_queue(pool, now);
                }
            }
            Purpose::Upkeep => drop(self.land_all(changes, versions, now)),
            Purpose::Forget(_) => {}
        }
    }

    fn grant_committed(&mut self, grant: Grant, changes: SmallVec<[Change; 1]>, versions: &[Version], now: Now) {
        let to = changes.first().and_then(|change| change.to.as_ref()).expect("a grant puts one resource");
        let record = to.clone();
        let mut granted = self.land_all(changes, versions, now);
        for granted in &mut granted {
            // What a grant created was never seen in the state that was asked for; an undo
            // leaves it there.
            if granted.before.resource.owner.is_some() {
                let before = Arc::make_mut(&mut granted.before);
                before.resource.owner = None;
                before.resource.state = grant.from.clone();
            }
        }
        let mut waited = now.mono.saturating_since(grant.asked);
        let mut follower = None;
        let mut vacated = None;
        if let Some(number) = grant.place {
            let place = self.places.take_granting(number).expect("a place stays while its grant is in flight");
            waited = place.waited(now);
            vacated = self.vacated(number, &place);
            if let Some(id) = &place.request_id {
                self.inventory.pool_mut(place.pool).ids.remove(id);
            }
            follower = place.follower;
            self.inventory.drop_pool_if_unused(place.pool);
        }
        let receipt = Receipt { granted, place: vacated };
        self.reply(grant.call, Reply::Granted(Box::new(Granted { record, receipt, waited })));
        self.judge_follower(follower, now);
    }

    fn not_written(&mut self, flight: Flight, now: Now) {
        let Flight { purpose, changes, .. } = flight;
        let mut follower = None;
        if let Purpose::Grant(grant) = &purpose {
            self.refuse(grant.call, Refusal::Unavailable);
            // The place first: what comes back is its.
            follower = grant.place.and_then(|number| self.stand_again(number, now));
        }
        self.take_back(&changes, now);
        match purpose {
            Purpose::Grant(_) => self.judge_follower(follower, now),
            Purpose::GrantAll { call, .. } | Purpose::Mutation { call, .. } => self.refuse(call, Refusal::Unavailable),
            Purpose::ResetPart { call, .. } | Purpose::SyncPart { call } => self.gather_failed(call),
            Purpose::Lifecycle { call, r#type, .. } => self.lifecycle_failed(call, &r#type, now),
            Purpose::Join { place } => self.join_failed(place, now),
            Purpose::Undo(receipt) => self.owe(Owed::Undo(receipt), now),
            Purpose::Forget(number) => self.owe(Owed::Forget(number), now),
            Purpose::Upkeep => {}
        }
    }

    /// Someone else was faster: what they wrote counts, and the command is judged anew.
    fn conflicted(&mut self, flight: Flight, foreign: Vec<Foreign>, now: Now) {
        let Flight { purpose, changes, .. } = flight;
        let mut follower = None;
        if let Purpose::Grant(grant) = &purpose
            && let Some(number) = grant.place
        {
            follower = match grant.gone {
                true => self.stand_again(number, now),
                false => self.stand_again_parked(number, grant, &changes, now),
            };
        }
        // What is in flight takes it in when it is taken back.
        for foreign in foreign {
            self.observe(foreign, now);
        }
        self.take_back(&changes, now);
        match purpose {
            Purpose::Grant(grant) => match grant.place {
                Some(number) => {
                    self.seek_or_refuse(number, now);
                    self.judge_follower(follower, now);
                }
                None if grant.gone => {}
                None => {
                    let call = grant.call;
                    self.acquire_again(call, asked_again(grant, &changes, now), now);
                }
            },
            Purpose::GrantAll { gone: true, .. } => {}
            Purpose::GrantAll { call, command, .. } => self.decide(call, Command::AcquireByState(command), now),
            Purpose::Mutation { call, command } => self.decide(call, command, now),
            Purpose::ResetPart { call, .. } | Purpose::SyncPart { call } => self.gather_part(call, None),
            Purpose::Lifecycle { call, r#type, .. } => self.lifecycle_failed(call, &r#type, now),
            Purpose::Join { place } => self.join_failed(place, now),
            Purpose::Undo(receipt) => self.undo(receipt, now),
            Purpose::Forget(_) | Purpose::Upkeep => {}
        }
    }

    /// Gives all changed resources their new forms; what they were before.
    fn land_all(
        &mut self,
        changes: SmallVec<[Change; 1]>,
        versions: &[Version],
        now: Now,
    ) -> SmallVec<[GrantedRecord; 1]> {
        let mut before = SmallVec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let version = versions.get(index).copied().unwrap_or(0);
            before.push(self.land(change, version, now));
        }
        before
    }

    fn land(&mut self, change: Change, version: Version, now: Now) -> GrantedRecord {
        let Change { key, to, counted, role } = change;
        self.leave_flight(key, role);
        let Some(record) = to else { return self.land_deletion(key, version, now) };
        let sequence = record.sequence;
        let slot = self.inventory.get(key);
        let phantom = slot.phantom;
        let (old_pool, old_kind) = (slot.pool, slot.kind);
        self.snapshots.note(&slot.record.resource, !phantom);
        let before = self.inventory.replace(key, record, version);
        let slot = self.inventory.get(key);
        let kind = slot.kind;
        self.watches.arrived(&slot.record.resource, &mut self.pending.replies);
        if matches!(self.fates.get(&key), Some(Fate::Remake { r#type, .. }) if *r#type == slot.record.resource.r#type) {
            self.fates.remove(&key);
        }
        if let Some(state) = counted {
            *self.inventory.kind_mut(kind).totals.entry(state).or_insert(0) += 1;
        }
        self.look_after(kind);
        if old_kind != kind {
            self.look_after(old_kind);
        }
        self.came_to_rest(key, now);
        if !phantom {
            self.inventory.drop_pool_if_unused(old_pool);
        }
        GrantedRecord { key, sequence, before }
    }

    pub(super) fn land_deletion(&mut self, key: ResourceKey, version: Version, now: Now) -> GrantedRecord {
        let slot = self.inventory.get(key);
        let kind = slot.kind;
        let pool = slot.pool;
        self.snapshots.note(&slot.record.resource, true);
        self.inventory.count_out(key);
        let slot = self.inventory.remove(key);
        self.fates.remove(&key);
        self.look_after(kind);
        self.run_orphaned(key, version, now);
        self.inventory.drop_pool_if_unused(pool);
        self.inventory.drop_kind_if_unused(kind);
        GrantedRecord { key, sequence: slot.record.sequence, before: slot.record }
    }

    /// Ends what a change in flight was accounted under.
    pub(super) fn leave_flight(&mut self, key: ResourceKey, role: Role) {
        let slot = self.inventory.get_mut(key);
        slot.flight = None;
        let (kind, phantom) = (slot.kind, slot.phantom);
        let kind = self.inventory.kind_mut(kind);
        kind.phantoms -= u32::from(phantom);
        match role {
            Role::Plain => {}
            Role::CreatesMember => kind.creating -= 1,
            Role::Departs => kind.departing -= 1,
        }
    }

    /// Gives changed resources back their old forms, one after the other in the order in which
    /// they were changed: each makes at most one place eligible.
    fn take_back(&mut self, changes: &[Change], now: Now) {
        let mut changes: SmallVec<[&Change; 1]> = changes.iter().collect();
        changes.sort_by_key(|change| self.inventory.get(change.key).record.sequence);
        for Change { key, role, .. } in changes {
            self.leave_flight(*key, *role);
            let slot = self.inventory.get(*key);
            let (pool, kind, phantom) = (slot.pool, slot.kind, slot.phantom);
            self.look_after(kind);
            if phantom {
                self.inventory.remove(*key);
                self.fates.remove(key);
                self.inventory.drop_pool_if_unused(pool);
                self.inventory.drop_kind_if_unused(kind);
                self.run_orphaned(*key, 0, now);
            } else {
                self.came_to_rest(*key, now);
            }
        }
    }

    /// Indexes a resource that is out of flight and serves who waits for it.
    pub(super) fn came_to_rest(&mut self, key: ResourceKey, now: Now) {
        self.inventory.index(key);
        self.at_rest(key, now);
    }

    /// Serves who waits for an indexed resource: its fate, commands that name it, its queue.
    fn at_rest(&mut self, key: ResourceKey, now: Now) {
        if self.inventory.get(key).flight.is_some() {
            return;
        }
        self.take_in_news(key, now);
        if !self.inventory.contains(key) {
            return;
        }
        let slot = self.inventory.get(key);
        if slot.flight.is_some() {
            return;
        }
        let unowned = slot.record.resource.owner.is_none();
        if unowned && self.fates.contains_key(&key) {
            if !self.halted {
                return self.carry_out_fate(key, None, now);
            }
            self.backlog.note_fate(key);
        }
        self.run_waiting(key, now);
        if !self.inventory.contains(key) {
            return;
        }
        let slot = self.inventory.get(key);
        if slot.flight.is_none() && slot.record.resource.owner.is_none() {
            self.serve_next(slot.pool, now);
        }
    }

    pub(super) fn record_of(&self, key: ResourceKey) -> Record {
        Record::clone(&self.inventory.get(key).record)
    }

    /// The first of `keys` that is in flight.
    pub(super) fn first_in_flight(&self, keys: &[ResourceKey]) -> Option<ResourceKey> {
        keys.iter().copied().find(|key| self.inventory.get(*key).flight.is_some())
    }

    /// A form of a resource for a new state and owner.
    pub(super) fn moved(&self, key: ResourceKey, state: State, owner: Option<crate::Owner>) -> Record {
        let mut record = self.record_of(key);
        record.resource.state = state;
        record.resource.owner = owner;
        record
    }
}

/// What a call without a place asks when its grant met a conflict.
fn asked_again(grant: Grant, changes: &[Change], now: Now) -> Acquire {
    let record = changes.first().and_then(|change| change.to.as_ref()).expect("a grant puts one resource");
    let resource = record.resource.clone();
    Acquire {
        r#type: resource.r#type,
        state: grant.from,
        dest: resource.state,
        owner: resource.owner.expect("a grant has an owner"),
        request_id: grant.request_id,
        wait: grant.until.map(|until| until.saturating_since(now.mono)).unwrap_or_default(),
    }
}
