//! Places that stand again: their grants failed, or were undone.

use super::{
    Ranch,
    command::{Acquire, CallId, Refusal, VacatedPlace},
    flight::{Change, Grant},
    place::{Parked, Place},
    plan::PlaceNumber,
    pool::PoolKey,
};
use crate::{Now, Resource};

impl Ranch {
    /// Puts a place back whose grant failed, unless it was there for that call only; the call
    /// that lined up behind.
    pub(super) fn stand_again(&mut self, number: PlaceNumber, now: Now) -> Option<(CallId, Acquire)> {
        let mut place = self.places.take_granting(number).expect("a place stays while its grant is in flight");
        let follower = place.follower.take();
        match &place.request_id {
            Some(id) if place.lost => drop(self.inventory.pool_mut(place.pool).ids.remove(id)),
            Some(_) => {
                place.expires = now.mono.saturating_add(self.limits.request_ttl);
                self.stand(number, place);
            }
            None => {}
        }
        follower
    }

    /// Puts a place back whose grant met a conflict, with its call parked as it was, unless
    /// another one of its id has lined up behind: that one is yielded.
    pub(super) fn stand_again_parked(
        &mut self,
        number: PlaceNumber,
        grant: &Grant,
        changes: &[Change],
        now: Now,
    ) -> Option<(CallId, Acquire)> {
        let mut place = self.places.take_granting(number).expect("a place stays while its grant is in flight");
        let follower = place.follower.take();
        if place.lost {
            self.refuse(grant.call, Refusal::Unavailable);
            let id = place.request_id.as_ref().expect("only places with an id are kept");
            self.inventory.pool_mut(place.pool).ids.remove(id);
            return follower;
        }
        place.expires = now.mono.saturating_add(self.limits.request_ttl);
        self.stand(number, place);
        let record = changes.first().and_then(|change| change.to.as_ref()).expect("a grant puts one resource");
        let Resource { owner, state: dest, .. } = record.resource.clone();
        let owner = owner.expect("a grant has an owner");
        self.places.park(number, Parked { call: grant.call, owner, dest, until: grant.until, mark: None });
        if follower.is_some() {
            self.unpark_refused(number, now);
        } else {
            self.serve_if_eligible(number, now);
        }
        follower
    }

    /// A place that was joined could not be written.
    pub(super) fn join_failed(&mut self, number: PlaceNumber, now: Now) {
        if let Some(place) = self.places.granting_mut(number) {
            place.lost = true;
            return;
        }
        if let Some(parked) = self.places.unpark(number) {
            self.refuse(parked.call, Refusal::Unavailable);
        }
        self.end_place(number, false, now);
    }

    /// What an undo of a grant needs to open the place again.
    pub(super) fn vacated(&self, number: PlaceNumber, place: &Place) -> Option<Box<VacatedPlace>> {
        let request_id = place.request_id.clone()?;
        let pool = self.inventory.pool(place.pool);
        Some(Box::new(VacatedPlace {
            number,
            r#type: self.inventory.kind(pool.kind).r#type.clone(),
            state: pool.state.clone(),
            request_id,
            owner: place.owner.clone(),
            joined: place.joined,
            asked: place.asked,
            carried: place.carried,
        }))
    }

    /// Opens a place again that an undone grant had ended. A place that the same id opened since
    /// moves up to it. Its queue.
    pub(super) fn reopen_place(&mut self, vacated: &VacatedPlace, now: Now) -> PoolKey {
        let kind = self.inventory.kind_or_new(&vacated.r#type);
        let pool = self.inventory.pool_or_new(kind, &vacated.state);
        let newer = self.inventory.pool(pool).ids.get(&vacated.request_id).copied();
        if let Some(newer) = newer
            && self.places.granting_mut(newer).is_some()
        {
            self.forget_place(vacated.number);
            return pool;
        }
        let mut place = Place {
            pool,
            request_id: Some(vacated.request_id.clone()),
            owner: vacated.owner.clone(),
            joined: vacated.joined,
            asked: vacated.asked,
            carried: vacated.carried,
            expires: now.mono.saturating_add(self.limits.request_ttl),
            parked: None,
            follower: None,
            lost: false,
            armed: None,
        };
        if let Some(newer) = newer {
            if let Some(newer) = self.places.remove(newer) {
                (place.owner, place.parked) = (newer.owner, newer.parked);
            }
            let pool = self.inventory.pool_mut(pool);
            pool.line.leave(newer);
            pool.seekers
                .iter_mut()
                .filter(|(_, number)| *number == newer)
                .for_each(|(_, number)| *number = vacated.number);
            self.forget_place(newer);
        }
        self.stand(vacated.number, place);
        pool
    }
}
