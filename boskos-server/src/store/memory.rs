//! A store that keeps nothing: everything is gone when the process ends.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId, Sequence, Transition, Write};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{HistoryRow, LoadSink, Outcomes, Store, StoreError};

/// Transitions kept for history, the oldest go first.
const HISTORY_ROWS: usize = 100_000;

/// Resources live in the ranch alone; the newest transitions are kept for history.
#[derive(Debug, Default)]
pub struct MemoryStore {
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    rows: HashMap<Sequence, Transition>,
    order: VecDeque<Sequence>,
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
                    Write::Put(put) => history.extend(put.transition),
                    Write::Delete(delete) => history.extend(Some(delete.transition)),
                    Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => {
                    }
                }
            }
            known.push((plan.id, Outcome::Committed(SmallVec::new())));
        }
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        let history = self.history.lock();
        let first = history.rows.get(&newest);
        let rows = std::iter::successors(first, |row| history.rows.get(&row.previous));
        Ok(rows.take(limit).map(HistoryRow::from).collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl History {
    fn extend(&mut self, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        self.order.push_back(transition.id);
        self.rows.insert(transition.id, transition);
        if self.order.len() > HISTORY_ROWS
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
    }
}

impl From<&Transition> for HistoryRow {
    fn from(transition: &Transition) -> Self {
        Self {
            id: transition.id,
            at: transition.at,
            name: transition.name.as_str().to_owned(),
            r#type: transition.r#type.as_str().to_owned(),
            from: transition.from.clone(),
            to: transition.to.clone(),
        }
    }
}
