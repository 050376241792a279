//! The steps: each is done to the ranch, then to the model.

use std::time::Duration;

use boskos_core::{
    Comparison, MonoTime, Now, ResourceName,
    ranch::{
        PlaceView,
        command::{CallId, Command, Reply, SyncChange},
    },
};

use super::{Exact, compare, names, time};
use crate::{
    model::{self, Want},
    queue::whole_queue,
    ranch::{dice::Dice, hunt::Trace, scene, tally::Tally},
};

type Check<T = ()> = Result<T, String>;

impl Exact {
    /// Lets time pass, mostly, and does what is due.
    pub(super) fn pass_time(&mut self, dice: &mut Dice, trace: &mut Trace) -> Check {
        if dice.chance(35) {
            // The next command comes before anything is looked after. (No two at the same
            // moment: which of two resources that expire together goes first is nobody's concern.)
            self.now.wall = self.now.wall.saturating_add_nanos(1);
            return Ok(());
        }
        let second = 1_000_000_000;
        let mono = match dice.weighted(&[60, 20, 8, 3]) {
            0 => dice.throw() % second,
            1 => dice.throw() % (10 * second),
            2 => dice.throw() % (40 * second),
            _ => dice.throw() % (3_600 * second),
        };
        let nanos = i64::try_from(mono).expect("less than an hour");
        let wall = match dice.weighted(&[90, 4, 4]) {
            0 => nanos,
            1 => nanos - i64::try_from(dice.throw() % (120 * second)).expect("less than an hour"),
            _ => nanos + i64::try_from(dice.throw() % (120 * second)).expect("less than an hour"),
        };
        self.now = Now {
            wall: self.now.wall.saturating_add_nanos(wall),
            mono: self.now.mono.saturating_add(Duration::from_nanos(mono)),
        };
        trace.say(|| format!("-- {:?} {}", self.now.mono.since_start(), self.now.wall));
        if dice.chance(3) {
            trace.say(|| "extend places".to_owned());
            self.ranch.extend_places(self.now);
            self.model.now = time(self.now);
            self.model.extend_places();
        }
        self.work(trace)
    }

    fn work(&mut self, trace: &mut Trace) -> Check {
        self.work_unchecked(trace)?;
        self.agree(trace)
    }

    fn work_unchecked(&mut self, trace: &mut Trace) -> Check {
        self.model.now = time(self.now);
        while self.is_due() {
            trace.say(|| "work".to_owned());
            self.ranch.work(self.now);
            self.commit_all()?;
        }
        self.model.work();
        Ok(())
    }

    pub(super) fn step(&mut self, dice: &mut Dice, tally: &mut Tally, trace: &mut Trace) -> Check {
        self.model.now = time(self.now);
        let halted = usize::from(self.ranch.is_halted());
        match dice.weighted(&[100, 12, 6, 8, 1 + 30 * halted, 2, 1]) {
            0 => {
                let command = scene::command(dice, &self.shelf);
                let call = self.new_call();
                trace.say(|| format!("{call:?} {command:?}"));
                self.ranch.decide(call, command.clone(), self.now);
                self.commit_all()?;
                ask(&mut self.model, call, command);
            }
            1 => self.sync(dice, trace)?,
            2 => self.cancel(dice, trace)?,
            3 => self.undo(dice, trace)?,
            4 => self.halt_or_resume(tally, trace)?,
            5 => self.restart(dice, trace)?,
            _ => {
                trace.say(|| "release waiters".to_owned());
                self.ranch.release_waiters(self.now);
                self.commit_all()?;
                self.model.release_waiters();
            }
        }
        self.agree(trace)
    }

    fn sync(&mut self, dice: &mut Dice, trace: &mut Trace) -> Check {
        let mut plot = self.plot.clone();
        plot.edit(dice);
        let step = 1 + dice.below(4);
        if self.ranch.is_halted() {
            let call = self.new_call();
            trace.say(|| format!("{call:?} sync while halted"));
            self.ranch.decide(call, Command::Sync(Vec::new()), self.now);
            self.model.refuse(call.0, "storage is not available, try again later");
            return self.commit_all();
        }
        self.plot = plot;
        self.work(trace)?;
        trace.say(|| format!("sync {:?}", self.plot.wanted()));
        self.model.named = self.plot.states().iter().map(ToString::to_string).collect();
        self.apply_config(step, dice, trace)?;
        if self.changes_left(100) > 0 {
            return Err("a config that was applied is not all there".to_owned());
        }
        // Between the steps a part of what was due may have been done.
        self.work_unchecked(trace)
    }

    /// Follows the config as the server does: lifecycles first, then names page by page.
    fn apply_config(&mut self, step: usize, dice: &mut Dice, trace: &mut Trace) -> Check {
        let config = self.plot.config();
        let mut comparison = Comparison::new(&config);
        self.ranch.begin_sync(self.plot.states());
        let wanted = self.plot.wanted();
        self.sync_step(comparison.lifecycle_changes(&self.ranch.lifecycles()), dice, trace)?;
        self.model.sync_lives(&wanted);
        let mut after: Option<ResourceName> = None;
        loop {
            let page = self.ranch.names_page(after.as_ref(), step);
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let mut changes = Vec::new();
            comparison.name_changes(&page, &mut changes);
            let names = names_in(&changes);
            self.sync_step(changes, dice, trace)?;
            self.model.sync_names(&wanted, &names);
        }
        loop {
            let rest = comparison.rest(step);
            if rest.is_empty() {
                break;
            }
            let names = names_in(&rest);
            self.sync_step(rest, dice, trace)?;
            self.model.sync_names(&wanted, &names);
        }
        self.ranch.end_sync();
        // There is nothing left to do, whatever the comparison said.
        self.model.sync_all_names(&wanted);
        Ok(())
    }

    fn sync_step(&mut self, changes: Vec<SyncChange>, dice: &mut Dice, trace: &mut Trace) -> Check {
        self.calls += 1;
        let call = CallId(self.calls);
        trace.say(|| format!("{call:?} {changes:?}"));
        self.ranch.decide(call, Command::Sync(changes), self.now);
        self.commit_all()?;
        let index = self.replies.iter().position(|(other, _)| *other == call);
        let (_, reply) = self.replies.remove(index.ok_or("a sync is not answered")?);
        if !matches!(reply, Reply::Synced) {
            return Err(format!("a sync is answered {reply:?}"));
        }
        if dice.chance(30) {
            trace.say(|| "work".to_owned());
            self.ranch.work(self.now);
            self.commit_all()?;
        }
        Ok(())
    }

    fn changes_left(&self, page: usize) -> usize {
        let config = self.plot.config();
        let mut comparison = Comparison::new(&config);
        let mut changes = comparison.lifecycle_changes(&self.ranch.lifecycles());
        comparison.name_changes(&self.ranch.names_page(None, page), &mut changes);
        changes.len() + comparison.rest(page).len()
    }

    fn cancel(&mut self, dice: &mut Dice, trace: &mut Trace) -> Check {
        let parked: Vec<u64> = self.model.line.iter().filter_map(|waiter| Some(waiter.parked.as_ref()?.call)).collect();
        let call = if !parked.is_empty() && dice.chance(70) {
            CallId(*dice.pick(&parked))
        } else {
            let Some(call) = self.open.get(dice.below(12)) else { return Ok(()) };
            *call
        };
        trace.say(|| format!("{call:?} hangs up"));
        self.ranch.cancel(call, self.now);
        self.commit_all()?;
        self.model.cancel(call.0);
        Ok(())
    }

    fn undo(&mut self, dice: &mut Dice, trace: &mut Trace) -> Check {
        if self.receipts.is_empty() {
            return Ok(());
        }
        let back = if dice.chance(70) { 1 } else { 1 + dice.below(self.receipts.len()) };
        let (receipt, grant) = self.receipts.remove(self.receipts.len() - back);
        trace.say(|| format!("undo the grant of {}: {receipt:?}", grant.call));
        self.calls += 1;
        self.ranch.decide(CallId(self.calls), Command::Undo(receipt), self.now);
        self.commit_all()?;
        self.model.undo(grant);
        Ok(())
    }

    fn halt_or_resume(&mut self, tally: &mut Tally, trace: &mut Trace) -> Check {
        if self.ranch.is_halted() {
            trace.say(|| "resume".to_owned());
            self.ranch.resume(self.now);
            self.commit_all()?;
            self.model.resume();
        } else {
            trace.say(|| "halt".to_owned());
            tally.note("halts");
            self.ranch.halt();
            self.model.halt();
        }
        Ok(())
    }

    fn restart(&mut self, dice: &mut Dice, trace: &mut Trace) -> Check {
        let keep_keys = dice.chance(50);
        trace.say(|| format!("restart, keep keys: {keep_keys}"));
        self.receipts.clear();
        self.open.clear();
        let plot = self.plot.clone();
        let lists = |name: &str, kind: &str| plot.lists(name, kind);
        self.now.mono = MonoTime::default();
        self.model.now = time(self.now);
        let listed = |resource: &boskos_core::Resource| lists(resource.name.as_str(), resource.r#type.as_str());
        let generated = names(&self.generated);
        self.ranch = self.shelf.load(self.limits.clone(), generated, keep_keys, self.now, listed);
        self.model.restart(lists);
        self.apply_config(1 + dice.below(4), dice, trace)?;
        self.work_unchecked(trace)
    }

    fn agree(&mut self, trace: &mut Trace) -> Check {
        let mut replies = std::mem::take(&mut self.replies);
        for (call, reply) in &replies {
            trace.say(|| format!("      {call:?} <- {reply:?}"));
        }
        replies.sort_by_key(|(call, _)| *call);
        let mut said: Vec<_> = replies.iter().map(|(call, reply)| (call.0, compare::answer(reply))).collect();
        let mut expected = std::mem::take(&mut self.model.answers);
        said.sort_by_key(|(call, _)| *call);
        expected.sort_by_key(|(call, _)| *call);
        compare::same("replies", &said, &expected)?;
        if !self.model.fresh_names.is_empty() {
            return Err(format!("the ranch creates {:?} and the model does not", self.model.fresh_names));
        }
        let grants = std::mem::take(&mut self.model.grants);
        for (call, reply) in replies {
            let receipt = match reply {
                Reply::Granted(granted) => granted.receipt,
                Reply::GrantedAll(_, receipt) => receipt,
                Reply::Done | Reply::Reset(_) | Reply::Synced | Reply::Watched { .. } | Reply::Refused(_) => continue,
            };
            let grant = grants.iter().find(|grant| grant.call == call.0).ok_or("the model granted nothing")?;
            let mut grant = grant.clone();
            for (before, _) in &mut grant.taken {
                if let Some(record) = self.shelf.find(&before.name).and_then(|kept| kept.before.as_ref()) {
                    before.order = record.sequence;
                }
            }
            self.receipts.push((receipt, grant));
        }
        self.compare_all()
    }

    pub(super) fn queue(&self) -> Vec<PlaceView> {
        whole_queue(&self.ranch, self.now)
    }
}

fn names_in(changes: &[SyncChange]) -> Vec<String> {
    let name = |change: &SyncChange| match change {
        SyncChange::List { name, .. } | SyncChange::Unlist { name } => Some(name.to_string()),
        SyncChange::SetLifecycle(_) | SyncChange::DrainLifecycle(_) => None,
    };
    changes.iter().filter_map(name).collect()
}

/// Asks the model what the ranch was asked.
fn ask(model: &mut model::Model, call: CallId, command: Command) {
    let call = call.0;
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).expect("a short wait");
    match command {
        Command::Acquire(asked) => model.acquire(
            call,
            Want {
                kind: asked.r#type.to_string(),
                state: asked.state.to_string(),
                dest: asked.dest.to_string(),
                owner: asked.owner.to_string(),
                id: asked.request_id,
                wait: nanos(asked.wait),
            },
        ),
        Command::AcquireByState(asked) => {
            let names: Vec<String> = asked.names.iter().map(ToString::to_string).collect();
            model.acquire_by_state(call, asked.state.as_str(), asked.dest.as_str(), asked.owner.as_str(), &names);
        }
        Command::Release(asked) => {
            model.release(call, asked.name.as_str(), asked.dest.as_str(), asked.owner.as_str());
        }
        Command::Update(asked) => {
            let patch: Vec<(String, Option<String>)> = asked.patch.into_iter().collect();
            model.update(call, asked.name.as_str(), asked.owner.as_str(), asked.state.as_str(), &patch);
        }
        Command::Reset(asked) => {
            let expire = asked.expire.as_nanos();
            model.reset(call, asked.r#type.as_str(), asked.state.as_str(), expire, asked.dest.as_str());
        }
        Command::Watch(asked) => {
            let sieve = model::Sieve {
                kinds: asked.filter.types.iter().map(ToString::to_string).collect(),
                states: asked.filter.states.iter().map(ToString::to_string).collect(),
                owners: asked.filter.owners.iter().map(|owner| owner.as_ref().map(ToString::to_string)).collect(),
            };
            model.watch(call, sieve, nanos(asked.wait));
        }
        Command::Sync(_) | Command::Undo(_) => unreachable!("these are steps of their own"),
    }
}
