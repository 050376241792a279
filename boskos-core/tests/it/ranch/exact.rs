//! Every plan is committed at once: ranch and model agree on everything.

mod compare;
mod play;

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use boskos_core::{
    MonoTime, Now, WallTime,
    ranch::{
        Limits, Names, Ranch,
        command::{CallId, Receipt, Reply},
        plan::{Outcome, Write},
    },
};

use super::{
    dice::{Dice, mix},
    hunt::Trace,
    scene::Plot,
    shelf::Shelf,
    tally::Tally,
};
use crate::model::{Grant, Model, Time};

/// What has to happen often for the test to mean something.
pub(super) const EXPECTED: &[&str] = &[
    "grants at rank > 1",
    "parked grants",
    "replaced parked calls",
    "expired ids",
    "expired resources",
    "on-demand creations",
    "adoptions",
    "drains ended",
    "deferred deletions",
    "remade types",
    "surplus",
    "undone grants",
    "reopened places",
    "restarts",
    "halts",
];

/// Both ranches, and what the players need to know of them.
struct Exact {
    ranch: Ranch,
    model: Model,
    shelf: Shelf,
    now: Now,
    plot: Plot,
    calls: u64,
    generated: Arc<AtomicU64>,
    limits: Limits,
    /// Grants that can still be taken back.
    receipts: Vec<(Receipt, Grant)>,
    replies: Vec<(CallId, Reply)>,
    /// Calls that may still be answered.
    open: VecDeque<CallId>,
}

pub(super) fn play(world: u64, steps: &[u64], tally: &mut Tally, trace: &mut Trace) -> Result<(), String> {
    let mut exact = Exact::new(&mut Dice::new(mix(world)));
    for step in steps {
        let mut dice = Dice::new(*step);
        exact.pass_time(&mut dice, trace)?;
        exact.step(&mut dice, tally, trace)?;
        for event in std::mem::take(&mut exact.model.events) {
            tally.note(event);
        }
    }
    tally.add("steps", steps.len());
    Ok(())
}

impl Exact {
    fn new(dice: &mut Dice) -> Self {
        let limits = Limits {
            request_ttl: Duration::from_secs(30),
            places: if dice.chance(80) { 100 } else { 3 },
            parked: if dice.chance(80) { 100 } else { 2 },
            ..Limits::default()
        };
        let now = Now { wall: WallTime::from_nanos(1_700_000_000_000_000_000), mono: MonoTime::default() };
        let ttl = u64::try_from(limits.request_ttl.as_nanos()).expect("30 s");
        let generated = Arc::new(AtomicU64::new(0));
        let shelf = Shelf { versions: dice.chance(50), ..Shelf::default() };
        Self {
            ranch: Ranch::empty(limits.clone(), names(&generated)),
            model: Model::new(ttl, limits.places, limits.parked, time(now)),
            shelf,
            now,
            plot: Plot::default(),
            calls: 0,
            generated,
            limits,
            receipts: Vec::new(),
            replies: Vec::new(),
            open: VecDeque::new(),
        }
    }

    fn new_call(&mut self) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.open.push_back(call);
        if self.open.len() > 12 {
            self.open.pop_front();
        }
        call
    }

    /// Commits whatever the ranch decides until nothing is left.
    fn commit_all(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let effects = self.ranch.take_effects();
            self.replies.extend(effects.replies);
            if effects.plans.is_empty() {
                return Ok(());
            }
            let mut outcomes = Vec::new();
            for plan in effects.plans {
                for write in &plan.writes {
                    if let Write::Put(put) = write
                        && put.replaces.is_none()
                        && put.record.resource.name.as_str().starts_with("gen-")
                    {
                        let resource = &put.record.resource;
                        let fresh = (resource.r#type.to_string(), resource.name.to_string());
                        self.model.fresh_names.push_back(fresh);
                    }
                }
                if self.shelf.versions && !self.shelf.conflicts(&plan).is_empty() {
                    return Err(format!("{plan:?} takes objects for what they are not"));
                }
                outcomes.push((plan.id, Outcome::Committed(self.shelf.apply(&plan)?)));
            }
            self.ranch.settle(outcomes, self.now);
        }
        Err("the ranch never comes to rest".to_owned())
    }

    /// Whether the ranch says that something is due.
    fn is_due(&self) -> bool {
        let wake = self.ranch.next_wake();
        wake.at_once
            || wake.mono.is_some_and(|at| at <= self.now.mono)
            || wake.wall.is_some_and(|at| at <= self.now.wall)
    }
}

/// A generator of names in no order.
pub(super) fn names(counter: &Arc<AtomicU64>) -> Names {
    let counter = Arc::clone(counter);
    Box::new(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        format!("gen-{:016x}", mix(number)).into()
    })
}

fn time(now: Now) -> Time {
    let mono = u64::try_from(now.mono.since_start().as_nanos()).expect("short");
    Time { wall: now.wall.as_nanos(), mono }
}
