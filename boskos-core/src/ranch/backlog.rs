//! What could not be done while the store was out of reach: fates are carried out at once when it is back, the rest is
//! made up for in steps.

use std::collections::VecDeque;

use super::{
    Ranch,
    plan::{PlaceNumber, ResourceKey},
    undo::Owed,
};
use crate::{MonoTime, Now};

/// All that is to be made up for, in this order: fates take resources away before anyone may get them, what is owed
/// gives resources and places back, and whoever waits gets what is left.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// To be written once the store is there again.
    owed: VecDeque<Owed>,
    /// When that is tried again by itself.
    owed_at: Option<MonoTime>,
    /// How many of what is owed, from the front, are being tried. What fails again lines up behind them.
    trying: usize,
    /// Resources that came to rest unowned while their fate could not be carried out, in that order.
    fates: Vec<ResourceKey>,
    /// Places at which calls were parked when the store came back, first come first.
    unserved: VecDeque<PlaceNumber>,
}

impl Backlog {
    pub(super) fn owe(&mut self, owed: Owed) {
        self.owed.push_back(owed);
    }

    pub(super) fn owe_until(&mut self, owed: Owed, retry_at: MonoTime) {
        self.owe(owed);
        self.owed_at = Some(retry_at);
    }

    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    pub(super) const fn owed_at(&self) -> Option<MonoTime> {
        self.owed_at
    }

    /// All that is owed now is to be tried, once.
    pub(super) fn try_owed(&mut self) {
        self.owed_at = None;
        self.trying = self.owed.len();
    }

    /// The next of what is to be tried.
    pub(super) fn next_owed(&mut self) -> Option<Owed> {
        self.trying = self.trying.checked_sub(1)?;
        self.owed.pop_front()
    }

    /// The fate of an unowned resource has to wait.
    pub(super) fn note_fate(&mut self, key: ResourceKey) {
        self.fates.push(key);
    }

    /// The resources whose fate had to wait, some perhaps twice.
    pub(super) fn take_fates(&mut self) -> Vec<ResourceKey> {
        std::mem::take(&mut self.fates)
    }

    /// Whether anything is being made up for.
    pub(super) fn is_open(&self) -> bool {
        self.trying > 0 || !self.unserved.is_empty()
    }
}

impl Ranch {
    /// The store can be written again. What is to go goes now; what else rested meanwhile is made up for in steps, the
    /// first of which is taken here, and the others by [`Self::work`].
    pub fn resume(&mut self, now: Now) {
        let places_stay_until = self.places_stay_until(now);
        self.places.stay_until(places_stay_until);
        self.halted = false;
        // In one go, and first, or others would get what is to go. No more can be let go while nothing is written than
        // was in flight, or than others changed behind the ranch's back.
        self.carry_out_fates(now);
        self.backlog.try_owed();
        // A look at all who are parked takes 2 ms: there are no more of them than connections, 20,000.
        self.backlog.unserved = self.places.parked_numbers().into();
        let mut budget = self.limits.step;
        self.make_up(now, &mut budget);
    }

    /// Until when no place ends. While nothing can be written every call is refused, so that nobody can keep a place by
    /// calling: places stay until then, and a whole TTL after.
    pub(super) fn places_stay_until(&self, now: Now) -> MonoTime {
        if self.halted { now.mono.saturating_add(self.limits.request_ttl) } else { self.places.stays_until() }
    }

    /// Whether what rested while the store was out of reach is being made up for: some who wait may still have to,
    /// although there is something for them.
    #[must_use]
    pub fn is_making_up(&self) -> bool {
        !self.halted && self.backlog.is_open()
    }

    /// Takes a step of what is to be made up for.
    pub(super) fn make_up(&mut self, now: Now, budget: &mut usize) {
        if self.backlog.owed_at.is_some_and(|at| at <= now.mono) {
            self.backlog.try_owed();
        }
        self.pay_owed(now, budget);
        self.serve_parked(now, budget);
    }

    /// Serves those who were parked when the store came back, as far as resources go.
    fn serve_parked(&mut self, now: Now, budget: &mut usize) {
        while *budget > 0
            && let Some(number) = self.backlog.unserved.pop_front()
        {
            *budget -= 1;
            self.serve_if_eligible(number, now);
        }
    }
}
