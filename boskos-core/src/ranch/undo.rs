//! Undo: a grant that nobody read is taken back by a second commit.

use std::time::Duration;

use super::{
    Ranch,
    command::Receipt,
    flight::{Age, Purpose, Role},
    plan::{PlaceNumber, Record, Write},
};
use crate::Now;

/// How long after a failed undo the next one is tried, while the store takes writes at all.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is to be written once the store takes writes again.
#[derive(Debug)]
pub(super) enum Owed {
    /// A grant that nobody read is to be taken back.
    Undo(Receipt),
    /// A place that has ended is to be forgotten.
    Forget(PlaceNumber),
}

impl Owed {
    /// How many changes it takes.
    fn changes(&self) -> usize {
        match self {
            Self::Undo(receipt) => receipt.granted.len().max(1),
            Self::Forget(_) => 1,
        }
    }
}

impl Ranch {
    /// Gives what was granted its state, owner and age from before, unless someone has changed
    /// it since. A place that the grant ended opens again where it was.
    pub(super) fn undo(&mut self, mut receipt: Receipt, now: Now) {
        if self.halted {
            self.backlog.owe(Owed::Undo(receipt));
            return;
        }
        receipt.granted.retain(|granted| {
            self.inventory.contains(granted.key) && self.inventory.get(granted.key).record.sequence == granted.sequence
        });
        // They land in this order, and who waits gets the least recently updated.
        receipt.granted.sort_by_key(|granted| granted.before.sequence);
        let keys: Vec<_> = receipt.granted.iter().map(|granted| granted.key).collect();
        if let Some(key) = self.first_in_flight(&keys) {
            return self.wait_with_undo(key, receipt);
        }
        if receipt.granted.is_empty() {
            return;
        }
        let mut draft = self.draft();
        for granted in &receipt.granted {
            let mut record = Record::clone(&granted.before);
            record.last_transition = self.inventory.get(granted.key).record.last_transition;
            self.draft_put(&mut draft, granted.key, record, Age::Kept, Role::Plain, now);
        }
        if let Some(vacated) = &receipt.place {
            draft.write(Write::PutPlace(vacated.record()));
        }
        self.launch(draft, Purpose::Undo(receipt));
    }

    /// Has the store forget a place that has ended.
    pub(super) fn forget_place(&mut self, number: PlaceNumber) {
        let mut draft = self.draft();
        draft.write(Write::DeletePlace(number));
        self.launch(draft, Purpose::Forget(number));
    }

    /// It could not be written: it stays owed.
    pub(super) fn owe(&mut self, owed: Owed, now: Now) {
        self.backlog.owe_until(owed, now.mono.saturating_add(RETRY_AFTER));
    }

    /// Tries again what is owed and due.
    pub(super) fn pay_owed(&mut self, now: Now, budget: &mut usize) {
        while *budget > 0
            && let Some(owed) = self.backlog.next_owed()
        {
            *budget = budget.saturating_sub(owed.changes());
            match owed {
                Owed::Undo(receipt) => self.undo(receipt, now),
                Owed::Forget(number) => self.forget_place(number),
            }
        }
    }
}
