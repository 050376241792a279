//! Undo: a grant that nobody read is taken back by a second commit.

use std::time::Duration;

use super::{
    Ranch,
    command::Receipt,
    flight::{Age, Purpose, Role},
    plan::Write,
};
use crate::Now;

/// How long after a failed undo the next one is tried, while the store takes writes at all.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Ranch {
    /// Gives what was granted its state, owner and age from before, unless someone has changed
    /// it since. A place that the grant ended opens again where it was.
    pub(super) fn undo(&mut self, mut receipt: Receipt, now: Now) {
        if self.halted {
            self.owed_undos.push(receipt);
            return;
        }
        receipt.granted.retain(|granted| {
            self.inventory.contains(granted.key) && self.inventory.get(granted.key).record.sequence == granted.sequence
        });
        let keys: Vec<_> = receipt.granted.iter().map(|granted| granted.key).collect();
        if let Some(key) = self.first_in_flight(&keys) {
            return self.wait_with_undo(key, receipt);
        }
        if receipt.granted.is_empty() {
            return;
        }
        let mut draft = self.draft();
        for granted in &receipt.granted {
            let mut record = granted.before.clone();
            record.last_transition = self.inventory.get(granted.key).record.last_transition;
            self.draft_put(&mut draft, granted.key, record, Age::Kept, Role::Plain, now);
        }
        if let Some(vacated) = &receipt.place {
            let number = self.reopen_place(vacated, now);
            if let Some(record) = self.place_record(number) {
                draft.write(Write::PutPlace(record));
            }
        }
        self.launch(draft, Purpose::Undo(receipt));
    }

    /// The undo could not be written: it stays owed.
    pub(super) fn owe_undo(&mut self, receipt: Receipt, now: Now) {
        self.owed_undos.push(receipt);
        self.owed_at = Some(now.mono.saturating_add(RETRY_AFTER));
    }

    pub(super) fn pay_owed_undos(&mut self, now: Now) {
        if self.owed_at.is_some_and(|at| at <= now.mono) {
            self.owed_at = None;
            for receipt in std::mem::take(&mut self.owed_undos) {
                self.undo(receipt, now);
            }
        }
    }
}
