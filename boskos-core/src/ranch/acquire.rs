//! Acquire: the queue, on-demand creation, and grants.

use std::time::Duration;

use super::{
    Ranch,
    command::{Acquire, CallId, Command, Refusal},
    flight::{Age, Grant, Purpose, Role},
    kind::KindKey,
    place::Parked,
    plan::{PlaceNumber, Record, ResourceKey, Write},
    pool::PoolKey,
};
use crate::{MonoTime, Now, Owner, Resource, State};

/// How a call stands to the queue when it comes in.
enum Standing {
    /// It has no place yet and would get this rank.
    New(usize),
    /// It has a place with this rank.
    In(PlaceNumber, usize),
    /// Its grant is in flight.
    Granting(PlaceNumber),
}

impl Ranch {
    pub(super) fn acquire(&mut self, call: CallId, acquire: Acquire, now: Now) {
        let Some(kind) =
            self.inventory.kind_key(acquire.r#type.as_str()).filter(|key| self.inventory.kind(*key).exists())
        else {
            return self.refuse(call, Refusal::UnknownType(acquire.r#type));
        };
        let pool = self.inventory.pool_or_new(kind, &acquire.state);
        match self.standing(pool, acquire.request_id.as_deref()) {
            Standing::Granting(number) => self.follow(number, call, acquire),
            Standing::In(number, rank) if rank <= self.inventory.pool(pool).unowned.len() => {
                self.unpark_refused(number, now);
                self.places.called(number, acquire.owner.clone());
                let until = until(&acquire, now);
                let parked = Parked { call, owner: acquire.owner, dest: acquire.dest, until, mark: None };
                self.grant_to_place(number, parked, now);
            }
            Standing::New(rank) if rank <= self.inventory.pool(pool).unowned.len() => {
                let until = until(&acquire, now);
                let request_id = acquire.request_id;
                let grant =
                    Grant { call, place: None, request_id, asked: now.mono, until, from: acquire.state, gone: false };
                self.grant(self.oldest(pool), acquire.owner, acquire.dest, grant, now);
            }
            Standing::In(number, _) => {
                self.unpark_refused(number, now);
                self.places.called(number, acquire.owner.clone());
                self.places.refresh(number, now.mono.saturating_add(self.limits.request_ttl));
                self.wait_or_refuse(number, call, acquire, now);
            }
            Standing::New(rank) => self.acquire_new(kind, pool, rank, call, acquire, now),
        }
        self.inventory.drop_pool_if_unused(pool);
    }

    /// Judges a call without a place anew, unless a later one of its id has come between.
    pub(super) fn acquire_again(&mut self, call: CallId, acquire: Acquire, now: Now) {
        let pool = self.inventory.find_pool(acquire.r#type.as_str(), acquire.state.as_str());
        let id = acquire.request_id.as_ref();
        let number = id.zip(pool).and_then(|(id, pool)| self.inventory.pool(pool).ids.get(id).copied());
        // One that stands empty is the call's own, from before a grant that was undone.
        let is_empty = |number| self.places.get(number).is_some_and(|place| place.parked.is_none());
        if number.is_some_and(|number| !is_empty(number)) {
            return self.refuse(call, Refusal::NoneAvailable(acquire.r#type.as_str().to_owned()));
        }
        self.decide(call, Command::Acquire(acquire), now);
    }

    fn standing(&self, pool: PoolKey, request_id: Option<&str>) -> Standing {
        let pool = self.inventory.pool(pool);
        let Some(number) = request_id.and_then(|id| pool.ids.get(id)) else {
            return Standing::New(pool.line.len() + 1);
        };
        match pool.line.rank(*number) {
            Some(rank) => Standing::In(*number, rank),
            None => Standing::Granting(*number),
        }
    }

    /// A first call that could not be granted as things are.
    fn acquire_new(&mut self, kind: KindKey, pool: PoolKey, rank: usize, call: CallId, acquire: Acquire, now: Now) {
        let lasts = acquire.request_id.is_some() || acquire.wait > Duration::ZERO;
        let room = lasts && self.inventory.kind(kind).room(self.syncing) > 0;
        if room {
            let lifecycle =
                &self.inventory.kind(kind).lifecycle.as_ref().expect("only dynamic types have room").lifecycle;
            let initial = lifecycle.state.clone();
            let only_one = rank == 1 && initial == acquire.state && self.inventory.pool(pool).unowned.is_empty();
            if only_one {
                return self.create_granted(call, acquire, now);
            }
            self.create_member(kind, initial, now);
        }
        let candidates = !self.inventory.pool(pool).candidates.is_empty();
        if !lasts && !candidates || self.places.len() >= self.limits.places {
            return self.refuse(call, Refusal::NoneAvailable(acquire.r#type.as_str().to_owned()));
        }
        let number = self.join(pool, acquire.request_id.clone(), acquire.owner.clone(), now);
        self.wait_or_refuse(number, call, acquire, now);
    }

    /// Parks the call at its place while it is to wait, or while something in flight could still
    /// serve it; refuses it otherwise.
    fn wait_or_refuse(&mut self, number: PlaceNumber, call: CallId, acquire: Acquire, now: Now) {
        let waits = acquire.wait > Duration::ZERO && self.places.parked_len() < self.limits.parked;
        let until = waits.then(|| now.mono.saturating_add(acquire.wait));
        self.places.park(number, Parked { call, owner: acquire.owner, dest: acquire.dest, until, mark: None });
        self.seek_or_refuse(number, now);
    }

    /// Lets a parked call that is not to wait seek among what is in flight, or refuses it if
    /// nothing there could serve it.
    pub(super) fn seek_or_refuse(&mut self, number: PlaceNumber, now: Now) {
        let Some(place) = self.places.get(number) else { return };
        if place.parked.as_ref().is_none_or(|parked| parked.until.is_some()) {
            return;
        }
        let pool = self.inventory.pool_mut(place.pool);
        match pool.candidates.last().copied() {
            Some(mark) => {
                pool.seekers.push_back((mark, number));
                self.places.set_mark(number, mark);
            }
            None => self.unpark_refused(number, now),
        }
    }

    /// A call whose id is being granted to an earlier call: judged when that is settled.
    fn follow(&mut self, number: PlaceNumber, call: CallId, acquire: Acquire) {
        let place = self.places.granting_mut(number).expect("an id without rank has its grant in flight");
        if let Some((before, acquire)) = place.follower.replace((call, acquire)) {
            self.refuse(before, Refusal::NoneAvailable(acquire.r#type.as_str().to_owned()));
        }
    }

    /// Judges a call that came while its id was being granted to another one.
    pub(super) fn judge_follower(&mut self, follower: Option<(CallId, Acquire)>, now: Now) {
        if let Some((call, acquire)) = follower {
            self.decide(call, Command::Acquire(acquire), now);
        }
    }

    fn oldest(&self, pool: PoolKey) -> ResourceKey {
        *self.inventory.pool(pool).unowned.first_key_value().expect("ranks are within what matches").1
    }

    /// Grants the oldest resource of a place's pool to a call there.
    fn grant_to_place(&mut self, number: PlaceNumber, to: Parked, now: Now) {
        let place = self.places.get(number).expect("only standing places are granted");
        let (pool, asked) = (place.pool, place.asked);
        let from = self.inventory.pool(pool).state.clone();
        let key = self.oldest(pool);
        self.inventory.pool_mut(pool).line.leave(number);
        self.places.begin_grant(number);
        let grant =
            Grant { call: to.call, place: Some(number), request_id: None, asked, until: to.until, from, gone: false };
        self.grant(key, to.owner, to.dest, grant, now);
    }

    fn grant(&mut self, key: ResourceKey, owner: Owner, dest: State, grant: Grant, now: Now) {
        let record = self.moved(key, dest, Some(owner));
        let mut draft = self.draft();
        self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
        if let Some(number) = grant.place
            && self.places.granting_mut(number).is_some_and(|place| place.request_id.is_some())
        {
            draft.write(Write::DeletePlace(number));
        }
        self.launch(draft, Purpose::Grant(grant));
    }

    /// Creates a resource for a caller that is alone in the queue, owned from the start.
    fn create_granted(&mut self, call: CallId, acquire: Acquire, now: Now) {
        let until = until(&acquire, now);
        let name = (self.names)();
        let mut resource = Resource::new(name, acquire.r#type, acquire.dest, now.wall);
        resource.owner = Some(acquire.owner);
        let mut draft = self.draft();
        self.draft_create(&mut draft, Record::new(resource), false, now);
        let request_id = acquire.request_id;
        let grant = Grant { call, place: None, request_id, asked: now.mono, until, from: acquire.state, gone: false };
        self.launch(draft, Purpose::Grant(grant));
    }

    /// Creates an unowned resource of a dynamic type.
    pub(super) fn create_member(&mut self, kind: KindKey, initial: State, now: Now) {
        let name = (self.names)();
        let r#type = self.inventory.kind(kind).r#type.clone();
        let mut draft = self.draft();
        self.draft_create(&mut draft, Record::new(Resource::new(name, r#type, initial, now.wall)), false, now);
        self.launch(draft, Purpose::Upkeep);
    }

    /// Serves the one place that may have become eligible after a resource came to a pool or a
    /// place left its line.
    ///
    /// All places up to the number of matching resources are eligible; those parked among them
    /// are granted at once. So one more resource, or one place less, makes at most the last of
    /// them eligible anew.
    pub(super) fn serve_next(&mut self, pool: PoolKey, now: Now) {
        if self.halted || self.held == Some(pool) {
            return;
        }
        let pool = self.inventory.pool(pool);
        let Some(number) = pool.line.at(pool.unowned.len()) else { return };
        self.serve(number, now);
    }

    /// Grants to a place if a call is parked there; whether it did.
    pub(super) fn serve(&mut self, number: PlaceNumber, now: Now) -> bool {
        let Some(parked) = self.places.get(number).and_then(|place| place.parked.clone()) else { return false };
        self.grant_to_place(number, parked, now);
        true
    }

    /// Grants to a place if a call is parked there and resources suffice for its rank; whether it did.
    pub(super) fn serve_if_eligible(&mut self, number: PlaceNumber, now: Now) -> bool {
        let Some(place) = self.places.get(number) else { return false };
        let pool = self.inventory.pool(place.pool);
        let eligible = pool.line.rank(number).is_some_and(|rank| rank <= pool.unowned.len());
        eligible && !self.halted && self.serve(number, now)
    }

    /// Serves a queue as far as it goes, lowest rank first.
    pub(super) fn serve_queue(&mut self, key: PoolKey, now: Now) {
        let mut rank = 1;
        while !self.halted && self.inventory.has_pool(key) {
            let pool = self.inventory.pool(key);
            let Some(number) = pool.line.at(rank).filter(|_| rank <= pool.unowned.len()) else { return };
            if !self.serve(number, now) {
                rank += 1;
            }
        }
    }

    /// Refuses the calls in a queue that waited only for plans that are settled now.
    pub(super) fn settle_seekers(&mut self, pool: PoolKey, now: Now) {
        // The last one to go may take the pool with it.
        while self.inventory.has_pool(pool) {
            let entry = self.inventory.pool_mut(pool);
            let oldest = entry.candidates.first().copied();
            let Some(&(mark, number)) = entry.seekers.front() else { return };
            if oldest.is_some_and(|oldest| oldest <= mark) {
                return;
            }
            entry.seekers.pop_front();
            // Its turn may still be to come after a time in which nothing was granted.
            if self.places.clear_mark(number, mark).is_some_and(|parked| parked.until.is_none())
                && !self.serve_if_eligible(number, now)
            {
                self.unpark_refused(number, now);
            }
        }
    }
}

/// When the wait that a call asks for ends.
fn until(acquire: &Acquire, now: Now) -> Option<MonoTime> {
    (acquire.wait > Duration::ZERO).then(|| now.mono.saturating_add(acquire.wait))
}

impl Record {
    pub(super) fn new(resource: Resource) -> Self {
        Self { resource, sequence: 0, last_transition: 0, leaving: false }
    }
}
