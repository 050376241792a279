//! One step of a sequence.

use std::{mem, time::Duration};

use boskos_core::{
    MonoTime, Now,
    ranch::{
        SnapshotRead,
        command::{CallId, Command, Watch},
        plan::{Foreign, Outcome, Plan, Write},
    },
};
use smallvec::SmallVec;

use super::{Check, Flying, Following, Loose, Snapshot};
use crate::ranch::{dice::Dice, exact::names, scene};

impl Loose<'_> {
    pub(super) fn step(&mut self, dice: &mut Dice) -> Check {
        let halted = usize::from(self.ranch.is_halted());
        match dice.weighted(&[60, 60, 15, 25, 8, 8, 12, 1 + 20 * halted, 1, 4, 4, 2, 6]) {
            0 => drop(self.ask(scene::command(dice, &self.shelf))?),
            1 => self.settle_some(dice)?,
            2 => self.pass_time(dice),
            3 => self.work()?,
            4 => self.follow_config(dice)?,
            5 => self.hang_up(dice)?,
            6 => self.report_unread(dice)?,
            7 => self.halt_or_resume()?,
            8 => self.restart(dice)?,
            9 => self.look_at_snapshot(dice)?,
            10 => self.meddle(dice)?,
            11 => self.come_to_rest(dice)?,
            _ => self.look_for_news(dice)?,
        }
        self.go_on_following(dice)?;
        self.check()
    }

    pub(super) fn work(&mut self) -> Check {
        self.say(|| "work".to_owned());
        self.ranch.work(self.now);
        self.absorb()
    }

    fn pass_time(&mut self, dice: &mut Dice) {
        let second = 1_000_000_000;
        let mono = dice.throw() % ([1, 10, 40][dice.weighted(&[6, 3, 1])] * second);
        let mut wall = i64::try_from(mono).expect("less than a minute");
        if dice.chance(8) {
            wall -= i64::try_from(dice.throw() % (120 * second)).expect("two minutes");
        } else if dice.chance(8) {
            wall += i64::try_from(dice.throw() % (120 * second)).expect("two minutes");
        }
        self.now = Now {
            wall: self.now.wall.saturating_add_nanos(wall),
            mono: self.now.mono.saturating_add(Duration::from_nanos(mono)),
        };
        let now = self.now;
        self.say(|| format!("-- {:?} {}", now.mono.since_start(), now.wall));
    }

    /// Tells the ranch what became of some plans, in any order that a store may choose.
    fn settle_some(&mut self, dice: &mut Dice) -> Check {
        let mut batch = Vec::new();
        for _ in 0..=dice.below(4) {
            let free: Vec<usize> = (0..self.flying.len()).filter(|index| self.may_settle(*index)).collect();
            if free.is_empty() {
                break;
            }
            let index = *dice.pick(&free);
            let unknown = self.flying[index].unknown;
            match dice.weighted(&[80, 8, if unknown { 0 } else { 7 }, 2]) {
                0 => batch.push(self.write(index)?),
                1 => batch.push(self.fail(index)),
                2 => {
                    self.flying[index].unknown = true;
                    let id = self.flying[index].plan.id;
                    self.say(|| format!("{id:?} is unknown"));
                    self.ranch.settle([(id, Outcome::Unknown)], self.now);
                }
                _ => {
                    // A full disk: nothing is written from now on.
                    self.say(|| "halt".to_owned());
                    self.tally.note("halts");
                    self.ranch.halt();
                    batch.push(self.fail(index));
                }
            }
        }
        self.settle(batch)
    }

    pub(super) fn settle(&mut self, batch: Vec<(boskos_core::ranch::plan::PlanId, Outcome)>) -> Check {
        if batch.len() > 1 {
            self.tally.note("batches of several");
        }
        self.say(|| format!("settle {batch:?}"));
        self.ranch.settle(batch, self.now);
        self.absorb()?;
        if self.granted != 0 {
            return Err(format!("{} more resources were granted than callers told", self.granted));
        }
        Ok(())
    }

    /// Whether no earlier plan has to be written before this one.
    fn may_settle(&self, index: usize) -> bool {
        let objects = |plan: &Plan| -> Vec<String> {
            let object = |write: &Write| match write {
                Write::PutPlace(place) => Some(format!("place {}", place.number)),
                Write::DeletePlace(number) => Some(format!("place {number}")),
                Write::PutLifecycle(record) => Some(format!("lifecycle {}", record.lifecycle.r#type)),
                Write::DeleteLifecycle(r#type) => Some(format!("lifecycle {}", r#type)),
                Write::Put(_) | Write::Delete(_) => None,
            };
            plan.writes.iter().filter_map(object).collect()
        };
        let own = objects(&self.flying[index].plan);
        self.flying[..index].iter().all(|earlier| objects(&earlier.plan).iter().all(|object| !own.contains(object)))
    }

    /// Writes a plan, unless someone else was faster.
    pub(super) fn write(&mut self, index: usize) -> Check<(boskos_core::ranch::plan::PlanId, Outcome)> {
        let Flying { plan, unknown } = self.flying.remove(index);
        let conflicts = self.shelf.conflicts(&plan);
        if !conflicts.is_empty() {
            self.tally.note("conflicts");
            return Ok((plan.id, Outcome::Conflict(conflicts)));
        }
        if unknown {
            self.tally.note("unknown writes that were written");
        }
        self.granted += self.grants_in(&plan);
        for write in &plan.writes {
            if matches!(write, Write::DeleteLifecycle(_)) {
                self.tally.note("drains ended");
            }
            if let Write::Delete(delete) = write {
                // A store says nothing of an object that it has deleted.
                self.events.retain(|event| event.name != delete.name);
            }
            if let Write::Put(put) = write {
                let old = self.shelf.find(put.record.resource.name.as_str());
                if old.is_some_and(|old| {
                    put.record.sequence <= old.record.sequence && put.record.resource.owner.is_none()
                }) {
                    self.tally.note("undone grants");
                }
                self.written_by.insert(put.record.resource.name.to_string(), plan.id);
            }
        }
        let versions = self.shelf.apply(&plan)?;
        Ok((plan.id, Outcome::Committed(versions)))
    }

    fn grants_in(&self, plan: &Plan) -> i64 {
        let grants = plan.writes.iter().filter(|write| match write {
            Write::Put(put) => {
                let old = self.shelf.find(put.record.resource.name.as_str());
                put.record.resource.owner.is_some() && old.is_none_or(|old| old.record.resource.owner.is_none())
            }
            Write::Delete(_)
            | Write::PutPlace(_)
            | Write::DeletePlace(_)
            | Write::PutLifecycle(_)
            | Write::DeleteLifecycle(_) => false,
        });
        i64::try_from(grants.count()).expect("few")
    }

    fn fail(&mut self, index: usize) -> (boskos_core::ranch::plan::PlanId, Outcome) {
        let Flying { plan, unknown } = self.flying.remove(index);
        self.tally.note(if unknown { "unknown writes that were not" } else { "failed writes" });
        (plan.id, Outcome::NotWritten)
    }

    fn hang_up(&mut self, dice: &mut Dice) -> Check {
        let open: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| !matches!(call.command, Command::Sync(_)) && call.hung_up.is_none())
            .map(|(id, _)| *id)
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let id = *dice.pick(&open);
        self.say(|| format!("{id:?} hangs up"));
        let call = self.calls.get_mut(&id).expect("just listed");
        call.hung_up = Some(self.last_plan);
        self.ranch.cancel(id, self.now);
        self.absorb()
    }

    pub(super) fn report_unread(&mut self, dice: &mut Dice) -> Check {
        if self.unread.is_empty() {
            return Ok(());
        }
        let receipt = self.unread.swap_remove(dice.below(self.unread.len()));
        self.ask(Command::Undo(receipt)).map(drop)
    }

    fn halt_or_resume(&mut self) -> Check {
        if self.ranch.is_halted() {
            self.say(|| "resume".to_owned());
            self.ranch.resume(self.now);
        } else {
            self.say(|| "halt".to_owned());
            self.tally.note("halts");
            self.ranch.halt();
        }
        self.absorb()
    }

    /// The process ends at once: of what is in flight some is written. A new one starts.
    fn restart(&mut self, dice: &mut Dice) -> Check {
        self.tally.note("restarts");
        while !self.flying.is_empty() {
            let free: Vec<usize> = (0..self.flying.len()).filter(|index| self.may_settle(*index)).collect();
            let index = *dice.pick(&free);
            if dice.chance(50) {
                self.write(index)?;
            } else {
                self.fail(index);
            }
        }
        let keep_keys = dice.chance(50);
        self.say(|| format!("restart, keep keys: {keep_keys}"));
        self.calls.clear();
        self.refused.clear();
        self.unread.clear();
        self.events.clear();
        self.marks.clear();
        self.meddled.clear();
        self.snapshot = None;
        self.granted = 0;
        self.last_plan = None;
        self.written_by.clear();
        self.following = Following::default();
        self.now.mono = MonoTime::default();
        let plot = self.plot.clone();
        let names = names(&self.generated);
        self.ranch = self.shelf.load(self.limits.clone(), names, keep_keys, self.now, |resource| {
            plot.lists(resource.name.as_str(), resource.r#type.as_str())
        });
        self.begin_following()
    }

    fn look_at_snapshot(&mut self, dice: &mut Dice) -> Check {
        if let Some(mut snapshot) = self.snapshot.take() {
            let scan = 1 + dice.below(4);
            match self.ranch.read_snapshot(snapshot.id, &snapshot.filter, scan, &mut snapshot.read) {
                SnapshotRead::More => {
                    self.snapshot = Some(snapshot);
                    return Ok(());
                }
                SnapshotRead::Closed if snapshot.until <= self.now.mono => {
                    self.tally.note("snapshots closed");
                    return Ok(());
                }
                SnapshotRead::Closed => return Err("a snapshot is closed too early".to_owned()),
                SnapshotRead::Last => {}
            }
            self.ranch.close_snapshot(snapshot.id);
            self.tally.note("snapshots read");
            if snapshot.read != snapshot.expected {
                return Err(format!("a snapshot has {:?}, not {:?}", snapshot.read, snapshot.expected));
            }
            return Ok(());
        }
        let all: Vec<_> = self.ranch.resources().cloned().collect();
        let filter =
            if dice.chance(50) { scene::filter(dice, &all) } else { boskos_core::ranch::command::Filter::default() };
        let after = dice.chance(20).then(|| "n3".into());
        let id = self.ranch.open_snapshot(after.clone(), self.now).ok_or("no snapshot is open and none can be")?;
        let all = all.into_iter().filter(|resource| after.as_ref().is_none_or(|after| resource.name > *after));
        let expected = all.filter(|resource| filter.matches(resource)).collect();
        let until = self.now.mono.saturating_add(self.limits.listing);
        self.snapshot = Some(Snapshot { id, until, filter, expected, read: Vec::new() });
        Ok(())
    }

    /// Whether there is anything new since some time before.
    fn look_for_news(&mut self, dice: &mut Dice) -> Check {
        self.marks.push(self.ranch.settled_up_to());
        let all: Vec<_> = self.ranch.resources().cloned().collect();
        let since = Some(*dice.pick(&self.marks[self.marks.len().saturating_sub(6)..]));
        let wait = if dice.chance(60) { Duration::ZERO } else { scene::wait(dice) };
        self.ask(Command::Watch(Watch { filter: scene::filter(dice, &all), since, wait })).map(drop)
    }

    /// Someone else changes an object, or the ranch is told what they did.
    fn meddle(&mut self, dice: &mut Dice) -> Check {
        if !self.shelf.versions {
            return Ok(());
        }
        if !self.events.is_empty() && dice.chance(50) {
            return self.tell_event();
        }
        let all = self.shelf.resources();
        if all.is_empty() {
            return Ok(());
        }
        let mut resource = dice.pick(&all).clone();
        let name = resource.name.to_string();
        let now = match dice.below(4) {
            0 => None,
            1 => {
                resource.owner = resource.owner.is_none().then(|| "mallory".into());
                Some(resource)
            }
            _ => {
                resource.state = scene::state(dice);
                resource.owner = None;
                Some(resource)
            }
        };
        let event = self.shelf.meddle(&name, now);
        self.say(|| format!("meddle {event:?}"));
        self.meddled.insert(name);
        self.events.push(event);
        Ok(())
    }

    pub(super) fn tell_event(&mut self) -> Check {
        let event: Foreign = self.events.remove(0);
        self.say(|| format!("observe {event:?}"));
        self.ranch.observe(event, self.now);
        self.absorb()
    }

    pub(super) fn everything_is_written(&mut self) -> Check {
        while !self.flying.is_empty() {
            let mut batch: SmallVec<[_; 8]> = SmallVec::new();
            while !self.flying.is_empty() {
                batch.push(self.write(0)?);
            }
            self.settle(mem::take(&mut batch).into_vec())?;
        }
        Ok(())
    }
}
