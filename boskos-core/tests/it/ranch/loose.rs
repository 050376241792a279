//! Several plans in flight, settled in any order and with any outcome: what holds all the same.

mod check;
mod config;
mod rest;
mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use boskos_core::{
    MonoTime, Now, Resource, WallTime,
    ranch::{
        Limits, Ranch, SnapshotId,
        command::{CallId, Command, Filter, Receipt},
        plan::{Foreign, Plan, PlanId, Sequence, Write},
    },
};

use self::config::Following;
use super::{
    dice::{Dice, mix},
    exact::names,
    hunt::Trace,
    scene::Plot,
    shelf::Shelf,
    tally::Tally,
};

type Check<T = ()> = Result<T, String>;

/// What has to happen often for the test to mean something.
pub(super) const EXPECTED: &[&str] = &[
    "grants",
    "parked grants",
    "undone grants",
    "failed writes",
    "unknown writes that were written",
    "unknown writes that were not",
    "conflicts",
    "batches of several",
    "halts",
    "restarts",
    "calls that sought among what was in flight",
    "hang-ups with the grant in flight",
    "snapshots read",
    "news",
    "no news",
    "drains ended",
];

struct Loose<'a> {
    ranch: Ranch,
    shelf: Shelf,
    now: Now,
    plot: Plot,
    limits: Limits,
    generated: Arc<AtomicU64>,
    flying: Vec<Flying>,
    /// Calls without a reply.
    calls: BTreeMap<CallId, Call>,
    last_call: u64,
    last_plan: Option<PlanId>,
    /// Grants that nobody read, still to be reported.
    unread: Vec<Receipt>,
    following: Following,
    snapshot: Option<Snapshot>,
    /// What someone else did and the ranch was not told yet.
    events: Vec<Foreign>,
    /// Up to where the ranch had settled at moments before.
    marks: Vec<Sequence>,
    /// The names of those, and of what the ranch looks at only when it is no longer in flight.
    meddled: BTreeSet<String>,
    /// Which plan wrote a resource last.
    written_by: BTreeMap<String, PlanId>,
    /// Resources granted by plans committed in this step, less those in replies.
    granted: i64,
    /// Calls refused in this step because nothing was available.
    refused: Vec<(CallId, Call)>,
    tally: &'a mut Tally,
    trace: &'a mut Trace,
}

struct Flying {
    plan: Plan,
    /// Whether the store said that it does not know.
    unknown: bool,
}

struct Call {
    command: Command,
    asked: MonoTime,
    /// The last plan decided before the caller hung up.
    hung_up: Option<Option<PlanId>>,
    /// What was in flight when it came and could have served it.
    candidates: Vec<PlanId>,
}

struct Snapshot {
    id: SnapshotId,
    /// When it is closed if it is not read to its end.
    until: MonoTime,
    filter: Filter,
    expected: Vec<Resource>,
    read: Vec<Resource>,
}

pub(super) fn play(world: u64, steps: &[u64], tally: &mut Tally, trace: &mut Trace) -> Result<(), String> {
    Loose::new(&mut Dice::new(mix(world)), tally, trace).play(steps)
}

impl<'a> Loose<'a> {
    fn new(dice: &mut Dice, tally: &'a mut Tally, trace: &'a mut Trace) -> Self {
        let limits = Limits {
            request_ttl: Duration::from_secs(30),
            places: 100,
            parked: 100,
            watches: 100,
            listing: Duration::from_secs(20),
            step: if dice.chance(50) { 1_000 } else { 1 + dice.below(3) },
            chores: if dice.chance(50) { 128 } else { 1 + dice.below(3) },
            waiting_per_resource: if dice.chance(80) { 1_000 } else { 1 },
        };
        let generated = Arc::new(AtomicU64::new(0));
        Self {
            ranch: Ranch::empty(limits.clone(), names(&generated)),
            shelf: Shelf { versions: dice.chance(50), fails: true, ..Shelf::default() },
            now: Now { wall: WallTime::from_nanos(1_700_000_000_000_000_000), mono: MonoTime::default() },
            plot: Plot::default(),
            limits,
            generated,
            flying: Vec::new(),
            calls: BTreeMap::new(),
            last_call: 0,
            last_plan: None,
            unread: Vec::new(),
            following: Following::default(),
            snapshot: None,
            events: Vec::new(),
            marks: Vec::new(),
            meddled: BTreeSet::new(),
            written_by: BTreeMap::new(),
            granted: 0,
            refused: Vec::new(),
            tally,
            trace,
        }
    }

    fn play(&mut self, steps: &[u64]) -> Check {
        for step in steps {
            self.step(&mut Dice::new(*step))?;
        }
        self.bid_farewell()
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        self.trace.say(text);
    }

    fn new_call(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    /// Has the ranch decide a command.
    fn ask(&mut self, command: Command) -> Check<CallId> {
        let call = self.new_call();
        self.say(|| format!("{call:?} {command:?}"));
        let mut candidates = Vec::new();
        if let Command::Acquire(acquire) = &command {
            let meant = |resource: &Resource| {
                resource.r#type == acquire.r#type && resource.state == acquire.state && resource.owner.is_none()
            };
            let plans = self.flying.iter().map(|flying| &flying.plan);
            candidates = plans.filter(|plan| self.may_yield(plan, meant)).map(|plan| plan.id).collect();
        }
        if !matches!(command, Command::Undo(_)) {
            let asked = self.now.mono;
            self.calls.insert(call, Call { command: command.clone(), asked, hung_up: None, candidates });
        }
        self.ranch.decide(call, command, self.now);
        self.absorb()?;
        Ok(call)
    }

    /// Whether after a plan there may be such a resource, be it written or not.
    fn may_yield(&self, plan: &Plan, meant: impl Fn(&Resource) -> bool) -> bool {
        let now = |name: &str| self.ranch.resource(name).is_some_and(|(resource, _)| meant(resource));
        plan.writes.iter().any(|write| match write {
            Write::Put(put) => meant(&put.record.resource) || now(put.record.resource.name.as_str()),
            Write::Delete(delete) => now(delete.name.as_str()),
            Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => false,
        })
    }

    /// Takes what the ranch wants written and told.
    fn absorb(&mut self) -> Check {
        let effects = self.ranch.take_effects();
        let known = self.flying.len();
        for plan in effects.plans {
            self.say(|| format!("      plan {plan:?}"));
            if plan.writes.is_empty() {
                return Err(format!("{:?} writes nothing", plan.id));
            }
            for name in plan.names() {
                if self.flying.iter().any(|flying| flying.plan.names().any(|other| other == name)) {
                    return Err(format!("two plans in flight touch {name}"));
                }
            }
            if self.last_plan >= Some(plan.id) {
                return Err(format!("{:?} is not newer than those before", plan.id));
            }
            self.last_plan = Some(plan.id);
            self.flying.push(Flying { plan, unknown: false });
        }
        if self.meddled.is_empty() {
            self.flying.iter().skip(known).try_for_each(|flying| self.check_surplus(&flying.plan))?;
        }
        for (call, reply) in effects.replies {
            self.say(|| format!("      {call:?} <- {reply:?}"));
            self.check_reply(call, reply)?;
        }
        self.check_refused()
    }
}
