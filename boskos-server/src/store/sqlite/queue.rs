//! Where plans wait for the writer.

use std::{
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::store::Outcomes;

/// Plans that are committed together at most.
///
/// Bounds how long the first of them waits for the last: some 15 ms.
const BATCH: usize = 4_096;

/// The longest that a batch waits for more plans.
const GATHER: Duration = Duration::from_micros(200);

/// So often others are let run without a plan coming of it, before none is expected.
const QUIET_TURNS: u32 = 4;

/// Plans on their way to the writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    plans: Vec<Plan>,
    outcomes: Option<Arc<dyn Outcomes>>,
    /// Nothing can be written: what comes is not taken.
    halted: bool,
    /// Nothing more is taken; what is here will be written.
    closing: bool,
}

/// What came of waiting for plans.
pub(super) enum Taken {
    /// There are some.
    Plans,
    /// None came in time.
    Nothing,
    /// There will be none.
    End,
}

impl Queue {
    /// Says whom to report to; the writer begins.
    pub(super) fn start(&self, outcomes: Arc<dyn Outcomes>) {
        self.state.lock().outcomes = Some(outcomes);
        self.changed.notify_all();
    }

    /// Waits for [`Self::start`]; `None` if [`Self::close`] comes instead.
    pub(super) fn started(&self) -> Option<Arc<dyn Outcomes>> {
        let mut state = self.state.lock();
        while state.outcomes.is_none() && !state.closing {
            self.changed.wait(&mut state);
        }
        state.outcomes.clone()
    }

    /// Takes plans in, or says at once that they will not be written.
    pub(super) fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        let mut state = self.state.lock();
        if state.halted || state.closing {
            known.extend(plans.drain(..).map(|plan| (plan.id, Outcome::NotWritten)));
            return;
        }
        if state.plans.is_empty() {
            mem::swap(&mut state.plans, plans);
        } else {
            state.plans.append(plans);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for plans and moves them to `batch`, which is empty; at most for `patience`, if there is one.
    ///
    /// A commit takes as long for one plan as for many, and those whose plans were committed just now, `last` of them,
    /// are about to call again. So where there are several, they are let do so before.
    pub(super) fn take(&self, batch: &mut Vec<Plan>, last: usize, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        let mut until = None;
        while state.plans.is_empty() {
            if state.closing {
                return Taken::End;
            }
            let Some(patience) = patience else {
                self.changed.wait(&mut state);
                continue;
            };
            let until = *until.get_or_insert_with(|| Instant::now() + patience);
            if self.changed.wait_until(&mut state, until).timed_out() && state.plans.is_empty() && !state.closing {
                return Taken::Nothing;
            }
        }
        if state.plans.len().max(last) > 1 {
            gather(&mut state);
        }
        if state.plans.len() <= BATCH {
            mem::swap(&mut state.plans, batch);
        } else {
            batch.extend(state.plans.drain(..BATCH));
        }
        Taken::Plans
    }

    /// Takes nothing from now on; returns what was taken and not written yet.
    pub(super) fn halt(&self) -> Vec<Plan> {
        let mut state = self.state.lock();
        state.halted = true;
        mem::take(&mut state.plans)
    }

    /// Takes plans again.
    pub(super) fn resume(&self) {
        self.state.lock().halted = false;
    }

    /// Waits for `pause`. `false`: it was cut short by [`Self::close`].
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.closing {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return !state.closing;
            }
        }
        false
    }

    /// Takes nothing more; the writer ends when it has written what is here.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }
}

/// Lets whoever wants to run do so until no more plans come of it.
fn gather(state: &mut MutexGuard<'_, State>) {
    let until = Instant::now() + GATHER;
    let mut quiet = 0;
    while quiet < QUIET_TURNS && !state.closing && state.plans.len() < BATCH && Instant::now() < until {
        let before = state.plans.len();
        MutexGuard::unlocked(state, thread::yield_now);
        quiet = if state.plans.len() > before { 0 } else { quiet + 1 };
    }
}
