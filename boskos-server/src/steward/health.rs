//! How the store is, as the log tells it.

use std::time::Duration;

use boskos_core::ranch::plan::PlanId;

use super::{
    halt::Halt,
    stall::{Look, Stall},
};

/// How often it is looked whether it is time to speak of what is wrong.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is wrong with the store, if anything is.
#[derive(Debug)]
pub(super) struct Health {
    /// What the store is called.
    store: &'static str,
    halt: Halt,
    stall: Stall,
}

impl Health {
    pub(super) fn of(store: &'static str) -> Self {
        Self { store, halt: Halt::default(), stall: Stall::default() }
    }

    /// It cannot be written, or still cannot, for this reason.
    pub(super) fn halted(&mut self, why: String) {
        let store = self.store;
        self.halt.goes_on(why, |why| say_halted(store, why));
    }

    /// It can be written again.
    pub(super) fn resumed(&mut self) {
        if self.halt.end() {
            tracing::info!(store = self.store, "the store can be written again");
        }
    }

    /// Time has passed, and `oldest` is the first write under way. Whether the store keeps it to itself.
    pub(super) fn look(&mut self, oldest: Option<PlanId>) -> bool {
        let store = self.store;
        if self.halt.lasts() {
            self.halt.look(|why| say_halted(store, why));
            // That is what there is to say; what is under way is in doubt, and waits for its end.
            self.stall.forget();
            return false;
        }
        let look = self.stall.look(oldest, |lasts| {
            tracing::error!(
                seconds = lasts.as_secs(),
                store,
                "the store does not answer: a write is under way, and neither done nor failed"
            );
        });
        if look == Look::Ended {
            tracing::info!(store, "the store answers again");
        }
        look == Look::Stalled
    }
}

fn say_halted(store: &str, why: &str) {
    tracing::error!(error = why, store, "the store cannot be written");
}
