//! The store that keeps nothing but the newest history: whatever was decided is committed at once
//! and gone when the process ends.

use std::{collections::VecDeque, sync::Arc};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId, Sequence, Transition, Write};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{HistoryRow, LoadSink, Outcomes, Store, StoreError};

/// Transitions kept; beyond, the oldest go first. Few enough to stay in the processor's cache, which every change goes
/// through.
pub const HISTORY_ROWS: usize = 10_000;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// Sorted by number.
    history: Mutex<VecDeque<Transition>>,
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn load(&self, _sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        Ok(())
    }

    fn start(&self, _outcomes: Arc<dyn Outcomes>) {}

    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        let mut history = self.history.lock();
        for plan in plans.drain(..) {
            for write in plan.writes {
                match write {
                    Write::Put(put) => put.transition.into_iter().for_each(|row| append(&mut history, row)),
                    Write::Delete(delete) => append(&mut history, delete.transition),
                    Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => {
                    }
                }
            }
            known.push((plan.id, Outcome::Committed(SmallVec::new())));
        }
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        let history = self.history.lock();
        let mut rows = Vec::new();
        let mut next = newest;
        while rows.len() < limit
            && let Ok(index) = history.binary_search_by_key(&next, |row| row.id)
        {
            let row = &history[index];
            rows.push(HistoryRow {
                id: row.id,
                at: row.at,
                name: row.name.as_str().to_owned(),
                r#type: row.r#type.as_str().to_owned(),
                from: row.from.clone(),
                to: row.to.clone(),
            });
            next = row.previous;
        }
        Ok(rows)
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn append(history: &mut VecDeque<Transition>, row: Transition) {
    if history.len() >= HISTORY_ROWS {
        history.pop_front();
    }
    // Plans may be sent off in another order than that in which their rows were numbered.
    if history.back().is_none_or(|newest| newest.id < row.id) {
        history.push_back(row);
    } else {
        let index = history.partition_point(|older| older.id < row.id);
        history.insert(index, row);
    }
}
