//! Stores that misbehave as they are told: decorators over any other.

use std::{collections::VecDeque, sync::Arc};

use boskos_core::ranch::plan::{Foreign, Outcome, Plan, PlanId, Sequence};
use boskos_server::store::{HistoryRow, LoadSink, Outcomes, Store, StoreError};
use parking_lot::Mutex;

/// What a [`Double`] does with a plan.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The store below writes it.
    Write,
    /// It is not written.
    Fail,
    /// It is written, the outcome held back until [`Script::release`].
    Hold,
    /// It is written; what is told is that nobody knows, and [`Script::remember`] tells the truth.
    ForgetWritten,
    /// It is not written; what is told is that nobody knows, and [`Script::remember`] tells the
    /// truth.
    ForgetLost,
    /// It is not written: this is how things are instead.
    Conflict(Vec<Foreign>),
}

/// A store that does with each plan what its script says. Plans that the script says nothing of
/// are written.
pub(crate) struct Double<S> {
    below: S,
    script: Arc<Script>,
}

/// Steers a [`Double`].
#[derive(Default)]
pub(crate) struct Script(Mutex<State>);

#[derive(Default)]
struct State {
    /// What happens to the next plans, one each.
    next: VecDeque<Act>,
    /// What happens to the plans after those.
    always: Option<Act>,
    outcomes: Option<Arc<dyn Outcomes>>,
    /// Plans under way in the store below of which something else than the truth is told.
    masked: Vec<(PlanId, Mask)>,
    held: Vec<(PlanId, Outcome)>,
    /// What became of forgotten plans.
    truth: Vec<(PlanId, Outcome)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    Held,
    Forgotten,
}

// === impl Script ===

impl Script {
    /// The next plan meets `act`, after those said before.
    pub(crate) fn next(&self, act: Act) {
        self.0.lock().next.push_back(act);
    }

    /// Plans for which [`Self::next`] says nothing meet `act`.
    pub(crate) fn always(&self, act: Act) {
        self.0.lock().always = Some(act);
    }

    /// How many outcomes are held back.
    pub(crate) fn held(&self) -> usize {
        self.0.lock().held.len()
    }

    /// Whether there is something to [`Self::remember`].
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.0.lock().truth.is_empty()
    }

    /// Reports every outcome that is held back; how many.
    pub(crate) fn release(&self) -> usize {
        let mut state = self.0.lock();
        let batch = std::mem::take(&mut state.held);
        report(&state.outcomes.clone(), state, batch)
    }

    /// Reports what became of every forgotten plan; how many.
    pub(crate) fn remember(&self) -> usize {
        let mut state = self.0.lock();
        let batch = std::mem::take(&mut state.truth);
        report(&state.outcomes.clone(), state, batch)
    }

    /// Says that nothing can be written; plans meet [`Act::Fail`] until [`Self::resume`].
    pub(crate) fn halt(&self, why: &StoreError) {
        self.always(Act::Fail);
        let outcomes = self.outcomes();
        outcomes.halted(why);
    }

    /// Says that plans are written again.
    pub(crate) fn resume(&self) {
        self.0.lock().always = None;
        self.outcomes().resumed();
    }

    fn outcomes(&self) -> Arc<dyn Outcomes> {
        self.0.lock().outcomes.clone().expect("the store was started")
    }
}

/// Reports without holding on to the script: whoever hears of it may submit at once.
fn report(
    outcomes: &Option<Arc<dyn Outcomes>>,
    state: parking_lot::MutexGuard<'_, State>,
    mut batch: Vec<(PlanId, Outcome)>,
) -> usize {
    drop(state);
    let count = batch.len();
    if count > 0 {
        outcomes.as_ref().expect("the store was started").settle(&mut batch);
    }
    count
}

impl State {
    fn act(&mut self) -> Act {
        self.next.pop_front().or_else(|| self.always.clone()).unwrap_or(Act::Write)
    }

    /// What may be told of outcomes now.
    fn mask(&mut self, batch: impl Iterator<Item = (PlanId, Outcome)>) -> Vec<(PlanId, Outcome)> {
        let mut told = Vec::new();
        for (id, outcome) in batch {
            let masked = self.masked.iter().position(|(other, _)| *other == id);
            match masked.map(|index| self.masked.swap_remove(index).1) {
                None => told.push((id, outcome)),
                Some(Mask::Held) => self.held.push((id, outcome)),
                Some(Mask::Forgotten) => self.forget(id, outcome, &mut told),
            }
        }
        told
    }

    fn forget(&mut self, id: PlanId, truth: Outcome, told: &mut Vec<(PlanId, Outcome)>) {
        told.push((id, Outcome::Unknown));
        self.truth.push((id, truth));
    }
}

// === impl Double ===

impl<S: Store> Double<S> {
    /// A double of `below`, and what steers it.
    pub(crate) fn new(below: S) -> (Self, Arc<Script>) {
        let script = Arc::new(Script::default());
        (Self { below, script: script.clone() }, script)
    }
}

impl<S: Store> Store for Double<S> {
    fn name(&self) -> &'static str {
        self.below.name()
    }

    fn load(&self, sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        self.below.load(sink)
    }

    fn start(&self, outcomes: Arc<dyn Outcomes>) {
        self.script.0.lock().outcomes = Some(outcomes.clone());
        self.below.start(Arc::new(Masked { script: self.script.clone(), outcomes }));
    }

    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        let mut state = self.script.0.lock();
        let mut through = Vec::new();
        for plan in plans.drain(..) {
            match state.act() {
                Act::Write => through.push(plan),
                Act::Fail => known.push((plan.id, Outcome::NotWritten)),
                Act::Conflict(foreign) => known.push((plan.id, Outcome::Conflict(foreign))),
                Act::ForgetLost => state.forget(plan.id, Outcome::NotWritten, known),
                Act::Hold => {
                    state.masked.push((plan.id, Mask::Held));
                    through.push(plan);
                }
                Act::ForgetWritten => {
                    state.masked.push((plan.id, Mask::Forgotten));
                    through.push(plan);
                }
            }
        }
        drop(state);
        let mut below = Vec::new();
        self.below.submit(&mut through, &mut below);
        known.extend(self.script.0.lock().mask(below.into_iter()));
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        self.below.history(newest, limit)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.below.close()
    }
}

/// Tells of the store below what may be told.
struct Masked {
    script: Arc<Script>,
    outcomes: Arc<dyn Outcomes>,
}

impl Outcomes for Masked {
    fn settle(&self, batch: &mut Vec<(PlanId, Outcome)>) {
        let mut told = self.script.0.lock().mask(batch.drain(..));
        if !told.is_empty() {
            self.outcomes.settle(&mut told);
        }
    }

    fn observed(&self, news: &mut Vec<Foreign>) {
        self.outcomes.observed(news);
    }

    fn halted(&self, why: &StoreError) {
        self.outcomes.halted(why);
    }

    fn resumed(&self) {
        self.outcomes.resumed();
    }
}
