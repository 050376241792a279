//! What happens by itself, and when.

use super::Ranch;
use crate::{MonoTime, Now, WallTime};

/// When [`Ranch::work`] has something to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// There is something to do already.
    pub at_once: bool,
    /// The first deadline on the monotonic clock: somebody waits, or has a place. Time in which nobody looks at that
    /// clock may not count, so that it is to be looked at now and then until the deadline comes.
    pub mono: Option<MonoTime>,
    /// The first deadline on the wall clock.
    pub wall: Option<WallTime>,
}

impl Ranch {
    /// Whether [`Self::work`] has something to do already.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let keeps = !self.upkeep.is_empty() && !self.syncing;
        let chores = !self.resets.is_empty() || keeps;
        // Resets that nothing will be written of are answered at once.
        chores && self.is_able()
            || self.is_making_up()
            || self.watches.are_searching()
            || self.halted && !self.resets.is_empty()
    }

    /// When [`Self::work`] is to be called next.
    #[must_use]
    pub fn next_wake(&self) -> Wake {
        let mono = [
            self.places.first_deadline(),
            self.watches.first_deadline(),
            self.snapshots.first_deadline(),
            self.backlog.owed_at().filter(|_| !self.halted),
        ];
        Wake {
            at_once: self.has_work(),
            mono: mono.into_iter().flatten().min(),
            wall: self.inventory.first_expiring().map(|(at, _)| at).filter(|_| self.is_able() && !self.syncing),
        }
    }

    /// Whether more changes may be sent off.
    fn is_able(&self) -> bool {
        !self.halted && self.room_for_chores() > 0
    }

    /// Ends waits and places whose time is over.
    pub(super) fn end_places_and_waits(&mut self, now: Now, budget: &mut usize) {
        self.watches.end_due(now.mono, &mut self.pending.replies);
        self.snapshots.end_due(now.mono);
        let stay_until = self.places_stay_until(now);
        while *budget > 0
            && let Some(number) = self.places.pop_due(now.mono)
        {
            *budget -= 1;
            if self.places.get(number).is_some_and(|place| place.parked.is_some()) {
                self.unpark_refused(number, now);
            } else if stay_until > now.mono {
                self.places.refresh(number, stay_until);
            } else {
                self.end_place(number, true, now);
            }
        }
    }
}
