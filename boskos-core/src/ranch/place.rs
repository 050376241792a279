//! Places in the queues.

use std::{collections::BTreeSet, time::Duration};

use hashbrown::HashMap;

use super::{
    Ranch,
    command::{Acquire, CallId, Refusal, Reply},
    flight::Purpose,
    plan::{PlaceNumber, PlaceRecord, PlanId, Write},
    pool::PoolKey,
};
use crate::{MonoTime, Now, Owner, State, WallTime};

/// All places of all queues.
#[derive(Debug, Default)]
pub(super) struct Places {
    standing: HashMap<PlaceNumber, Place>,
    /// Places whose grant is in flight: they are in no line.
    granting: HashMap<PlaceNumber, Place>,
    by_call: HashMap<CallId, PlaceNumber>,
    deadlines: BTreeSet<(MonoTime, PlaceNumber)>,
    /// No place ends before, whoever called at it last.
    stay_until: MonoTime,
    next_number: PlaceNumber,
}

/// One place in one queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) pool: PoolKey,
    /// What the caller calls it; `None` lasts only as long as the call that is parked there.
    pub(super) request_id: Option<String>,
    /// Who called at it last; `None` if that was before this process began.
    pub(super) owner: Option<Owner>,
    pub(super) joined: WallTime,
    /// When the wait began, as far as this process knows.
    pub(super) asked: MonoTime,
    /// How long it had lasted before that.
    pub(super) carried: Duration,
    /// When it ends if its id is not heard of again.
    pub(super) expires: MonoTime,
    pub(super) parked: Option<Parked>,
    /// A call of the same id that came while the grant was in flight.
    pub(super) follower: Option<(CallId, Acquire)>,
    /// Whether the store does not keep it, since that could not be written while its grant was
    /// in flight.
    pub(super) lost: bool,
    /// The deadline that is set, no later than the one that counts.
    pub(super) armed: Option<MonoTime>,
}

/// A call that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) call: CallId,
    pub(super) owner: Owner,
    pub(super) dest: State,
    /// When the wait that the caller asked for ends.
    pub(super) until: Option<MonoTime>,
    /// Also waits for candidates up to this plan.
    pub(super) mark: Option<PlanId>,
}

// === impl Places ===

impl Places {
    pub(super) fn len(&self) -> usize {
        self.standing.len() + self.granting.len()
    }

    pub(super) fn parked_len(&self) -> usize {
        self.by_call.len()
    }

    pub(super) fn get(&self, number: PlaceNumber) -> Option<&Place> {
        self.standing.get(&number)
    }

    pub(super) fn granting_mut(&mut self, number: PlaceNumber) -> Option<&mut Place> {
        self.granting.get_mut(&number)
    }

    pub(super) fn take_granting(&mut self, number: PlaceNumber) -> Option<Place> {
        self.granting.remove(&number)
    }

    pub(super) fn next_number(&mut self) -> PlaceNumber {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn raise_next_number(&mut self, at_least: PlaceNumber) {
        self.next_number = self.next_number.max(at_least);
    }

    pub(super) fn insert(&mut self, number: PlaceNumber, place: Place) {
        if let Some(parked) = &place.parked {
            self.by_call.insert(parked.call, number);
        }
        self.standing.insert(number, place);
        self.arm(number);
    }

    /// Takes a place out of the standing ones.
    pub(super) fn remove(&mut self, number: PlaceNumber) -> Option<Place> {
        let mut place = self.standing.remove(&number)?;
        if let Some(at) = place.armed.take() {
            self.deadlines.remove(&(at, number));
        }
        if let Some(parked) = &place.parked {
            self.by_call.remove(&parked.call);
        }
        Some(place)
    }

    /// Moves a standing place to those whose grant is in flight and takes its call.
    pub(super) fn begin_grant(&mut self, number: PlaceNumber) -> Option<Parked> {
        let mut place = self.remove(number)?;
        let parked = place.parked.take();
        self.granting.insert(number, place);
        parked
    }

    pub(super) fn of_call(&self, call: CallId) -> Option<PlaceNumber> {
        self.by_call.get(&call).copied()
    }

    pub(super) fn park(&mut self, number: PlaceNumber, parked: Parked) {
        let place = self.standing.get_mut(&number).expect("only standing places are parked at");
        self.by_call.insert(parked.call, number);
        place.parked = Some(parked);
        self.arm(number);
    }

    pub(super) fn unpark(&mut self, number: PlaceNumber) -> Option<Parked> {
        let parked = self.standing.get_mut(&number)?.parked.take()?;
        self.by_call.remove(&parked.call);
        Some(parked)
    }

    /// Gives a place a life of its own until `expires`.
    pub(super) fn refresh(&mut self, number: PlaceNumber, expires: MonoTime) {
        if let Some(place) = self.standing.get_mut(&number) {
            place.expires = expires;
            self.arm(number);
        }
    }

    /// Somebody calls at a standing place.
    pub(super) fn called(&mut self, number: PlaceNumber, owner: Owner) {
        if let Some(place) = self.standing.get_mut(&number) {
            place.owner = Some(owner);
        }
    }

    /// Until when no place ends.
    pub(super) const fn stays_until(&self) -> MonoTime {
        self.stay_until
    }

    /// No place ends before this.
    pub(super) fn stay_until(&mut self, until: MonoTime) {
        self.stay_until = until;
    }

    /// Drops a call that lined up behind the grant of its id.
    pub(super) fn cancel_follower(&mut self, call: CallId) -> bool {
        let is_it = |place: &&mut Place| place.follower.as_ref().is_some_and(|(of, _)| *of == call);
        self.granting.values_mut().find(is_it).is_some_and(|place| place.follower.take().is_some())
    }

    /// The call parked at a place waits for candidates up to `mark`.
    pub(super) fn set_mark(&mut self, number: PlaceNumber, mark: PlanId) {
        if let Some(parked) = self.standing.get_mut(&number).and_then(|place| place.parked.as_mut()) {
            parked.mark = Some(mark);
        }
    }

    pub(super) fn clear_mark(&mut self, number: PlaceNumber, mark: PlanId) -> Option<&Parked> {
        let parked = self.standing.get_mut(&number)?.parked.as_mut()?;
        if parked.mark != Some(mark) {
            return None;
        }
        parked.mark = None;
        Some(parked)
    }

    pub(super) fn parked_numbers(&self) -> Vec<PlaceNumber> {
        let mut numbers: Vec<_> = self.by_call.values().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    pub(super) fn numbers(&self) -> Vec<PlaceNumber> {
        self.standing.keys().copied().collect()
    }

    /// When the first deadline is set; it may turn out to have moved.
    pub(super) fn first_deadline(&self) -> Option<MonoTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The next place whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: MonoTime) -> Option<PlaceNumber> {
        loop {
            let &(at, number) = self.deadlines.first()?;
            if at > now {
                return None;
            }
            self.deadlines.pop_first();
            let place = self.standing.get_mut(&number).expect("deadlines go with their places");
            place.armed = None;
            // One that has moved is due in its new turn.
            if place.deadline() == Some(at) {
                return Some(number);
            }
            self.arm(number);
        }
    }

    /// Sets the deadline of a place unless an earlier one is set already.
    fn arm(&mut self, number: PlaceNumber) {
        let Some(place) = self.standing.get_mut(&number) else { return };
        let Some(deadline) = place.deadline() else { return };
        match place.armed {
            Some(armed) if armed <= deadline => {}
            armed => {
                if let Some(armed) = armed {
                    self.deadlines.remove(&(armed, number));
                }
                place.armed = Some(deadline);
                self.deadlines.insert((deadline, number));
            }
        }
    }
}

// === impl Place ===

impl Place {
    /// When something happens to the place by itself.
    fn deadline(&self) -> Option<MonoTime> {
        match &self.parked {
            Some(parked) => parked.until,
            None => Some(self.expires),
        }
    }

    pub(super) fn waited(&self, now: Now) -> Duration {
        self.carried + now.mono.saturating_since(self.asked)
    }
}

impl Ranch {
    /// Opens a place at the end of a queue.
    pub(super) fn join(&mut self, pool: PoolKey, request_id: Option<String>, owner: Owner, now: Now) -> PlaceNumber {
        let number = self.places.next_number();
        let place = Place {
            pool,
            request_id: request_id.clone(),
            owner: Some(owner),
            joined: now.wall,
            asked: now.mono,
            carried: Duration::ZERO,
            expires: now.mono.saturating_add(self.limits.request_ttl),
            parked: None,
            follower: None,
            lost: false,
            armed: None,
        };
        self.stand(number, place);
        if request_id.is_some() {
            let mut draft = self.draft();
            draft.write(Write::PutPlace(self.place_record(number).expect("just joined")));
            self.add_candidate(&mut draft, pool);
            self.launch(draft, Purpose::Join { place: number });
        }
        number
    }

    /// Puts a place into its line.
    pub(super) fn stand(&mut self, number: PlaceNumber, place: Place) {
        let pool = self.inventory.pool_mut(place.pool);
        pool.line.join(number);
        if let Some(id) = &place.request_id {
            pool.ids.insert(id.clone(), number);
        }
        self.places.insert(number, place);
    }

    pub(super) fn place_record(&self, number: PlaceNumber) -> Option<PlaceRecord> {
        let place = self.places.get(number)?;
        let pool = self.inventory.pool(place.pool);
        Some(PlaceRecord {
            number,
            r#type: self.inventory.kind(pool.kind).r#type.clone(),
            state: pool.state.clone(),
            request_id: place.request_id.clone()?,
            joined: place.joined,
        })
    }

    /// Ends a standing place for good, and serves the one place that this may make eligible.
    pub(super) fn end_place(&mut self, number: PlaceNumber, forget: bool, now: Now) {
        let Some(place) = self.places.remove(number) else { return };
        let pool = self.inventory.pool_mut(place.pool);
        pool.line.leave(number);
        if let Some(id) = &place.request_id {
            pool.ids.remove(id);
            if forget {
                self.forget_place(number);
            }
        }
        self.serve_next(place.pool, now);
        self.inventory.drop_pool_if_unused(place.pool);
    }

    /// Ends the parked call of a place, if it has one, with the ordinary refusal.
    pub(super) fn unpark_refused(&mut self, number: PlaceNumber, now: Now) {
        let Some(place) = self.places.get(number) else { return };
        let r#type = self.inventory.kind(self.inventory.pool(place.pool).kind).r#type.as_str().to_owned();
        if let Some(parked) = self.unpark(number, now) {
            self.reply(parked.call, Reply::Refused(Refusal::NoneAvailable(r#type)));
        }
    }

    /// Takes the parked call off a place. A place with an id gets a whole TTL, one without ends.
    pub(super) fn unpark(&mut self, number: PlaceNumber, now: Now) -> Option<Parked> {
        let parked = self.places.unpark(number)?;
        if self.places.get(number).is_some_and(|place| place.request_id.is_some()) {
            self.places.refresh(number, now.mono.saturating_add(self.limits.request_ttl));
        } else {
            self.end_place(number, false, now);
        }
        Some(parked)
    }

    /// The caller has gone: nothing will be granted to its call.
    ///
    /// A grant that is decided already stays; whoever cannot hand it on asks for its undo.
    pub fn cancel(&mut self, call: CallId, now: Now) {
        if let Some(number) = self.places.of_call(call) {
            self.unpark(number, now);
        } else if !self.watches.cancel(call) && !self.places.cancel_follower(call) {
            self.cancel_waiting(call);
            self.abandon_grant(call);
        }
    }

    /// Gives every place a whole TTL from now: time without a server costs nobody's place.
    pub fn extend_places(&mut self, now: Now) {
        let expires = now.mono.saturating_add(self.limits.request_ttl);
        for number in self.places.numbers() {
            self.places.refresh(number, expires);
        }
    }

    pub(super) fn unpark_all(&mut self, now: Now) {
        for number in self.places.parked_numbers() {
            self.unpark_refused(number, now);
        }
    }
}

/// A place as a store kept it, opened at a start.
pub(super) fn restored(pool: PoolKey, record: &PlaceRecord, ttl: Duration, now: Now) -> Place {
    Place {
        pool,
        request_id: Some(record.request_id.clone()),
        owner: None,
        joined: record.joined,
        asked: now.mono,
        carried: Duration::from_nanos(u64::try_from(now.wall.nanos_since(record.joined)).unwrap_or(0)),
        expires: now.mono.saturating_add(ttl),
        parked: None,
        follower: None,
        lost: false,
        armed: None,
    }
}
