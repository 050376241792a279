//! What holds when nothing is in flight and nothing is due, and how it all ends.

use std::time::Duration;

use boskos_core::{
    Now,
    ranch::command::{Command, Release, Reset},
    state,
};

use super::{Check, Loose};
use crate::{
    queue::whole_queue,
    ranch::{dice::Dice, scene::Plot},
};

impl Loose<'_> {
    /// Settles everything and does all that is due.
    pub(super) fn come_to_rest(&mut self, dice: &mut Dice) -> Check {
        self.say(|| "come to rest".to_owned());
        let mut resumed = false;
        for _ in 0..300 {
            self.go_on_following(dice)?;
            if self.ranch.is_halted() {
                self.ranch.resume(self.now);
                self.absorb()?;
            } else if !self.events.is_empty() {
                self.tell_event()?;
            } else if !self.unread.is_empty() {
                self.report_unread(dice)?;
            } else if !self.flying.is_empty() {
                self.everything_is_written()?;
            } else if self.is_due() {
                self.work()?;
            } else if self.following.failed {
                self.begin_following()?;
            } else if !resumed {
                // What failed while the store took writes is owed for a second: not now.
                resumed = true;
                self.ranch.resume(self.now);
                self.absorb()?;
            } else {
                return self.check_rest();
            }
            self.check()?;
        }
        Err("the ranch never comes to rest".to_owned())
    }

    fn is_due(&self) -> bool {
        let wake = self.ranch.next_wake();
        wake.at_once
            || wake.mono.is_some_and(|at| at <= self.now.mono)
            || wake.wall.is_some_and(|at| at <= self.now.wall)
    }

    fn check_rest(&self) -> Check {
        if !self.following.is_done() {
            return Err("a sync is never answered".to_owned());
        }
        let left = self.changes_left();
        if !left.is_empty() && !self.shelf.versions {
            return Err(format!("the config is applied and yet {left:?}"));
        }
        self.check_places()?;
        self.check_calls()?;
        self.check_members()
    }

    /// The store keeps the places with an id, and no others.
    fn check_places(&self) -> Check {
        let mut kept: Vec<_> = self
            .shelf
            .places
            .iter()
            .map(|place| (place.r#type.clone(), place.state.clone(), place.request_id.clone(), place.joined))
            .collect();
        let queue = whole_queue(&self.ranch, self.now);
        let mut standing: Vec<_> = queue
            .into_iter()
            .filter_map(|place| Some((place.r#type, place.state, place.request_id?, place.since)))
            .collect();
        // Places are kept in the order of their numbers, and each queue is in that order.
        for (r#type, state, _, _) in &standing {
            let of = |all: &[(_, _, String, _)]| -> Vec<String> {
                let of = all.iter().filter(|(a, b, _, _)| (a, b) == (r#type, state));
                of.map(|(_, _, id, _)| id.clone()).collect()
            };
            if of(&kept) != of(&standing) {
                return Err(format!("places stand in the order {:?}, kept in {:?}", of(&standing), of(&kept)));
            }
        }
        kept.sort();
        standing.sort();
        if kept != standing {
            return Err(format!("places are {standing:?}, kept {kept:?}"));
        }
        Ok(())
    }

    /// Whoever waits is parked, and nobody else is without an answer.
    fn check_calls(&self) -> Check {
        let mut parked = 0;
        for (id, call) in self.calls.iter().filter(|(_, call)| call.hung_up.is_none()) {
            let acquires = matches!(&call.command, Command::Acquire(asked) if !asked.wait.is_zero());
            if !acquires && !matches!(call.command, Command::Watch(_)) {
                return Err(format!("{id:?} {:?} is never answered", call.command));
            }
            parked += usize::from(acquires);
        }
        if self.ranch.parked() != parked {
            return Err(format!("{parked} calls wait for an answer and {} are parked", self.ranch.parked()));
        }
        Ok(())
    }

    fn check_members(&self) -> Check {
        for record in self.ranch.lifecycles() {
            let life = &record.lifecycle;
            let members: Vec<_> = self
                .shelf
                .kept
                .iter()
                .map(|kept| &kept.record)
                .filter(|record| record.resource.r#type == life.r#type)
                .filter(|record| !self.plot.lists(record.resource.name.as_str(), life.r#type.as_str()))
                .filter(|record| !self.is_listed_elsewhere(record.resource.name.as_str()))
                .collect();
            let unowned = members.iter().filter(|record| record.resource.owner.is_none());
            let dead = |state: &str| state == state::TOMBSTONE;
            if unowned.clone().any(|record| dead(record.resource.state.as_str())) {
                return Err(format!("an unowned tombstone is left of {}", life.r#type));
            }
            let expired = |record: &&&boskos_core::ranch::plan::Record| {
                record.resource.expiration.is_some_and(|at| at <= self.now.wall)
                    && record.resource.state.as_str() != state::TO_BE_DELETED
            };
            if let Some(record) = unowned.clone().find(expired) {
                return Err(format!("{record:?} has expired"));
            }
            let there = members.iter().filter(|record| !dead(record.resource.state.as_str())).count();
            if there < life.min_count as usize {
                return Err(format!("{there} of {} are fewer than {}", life.r#type, life.min_count));
            }
            let goes = |record: &boskos_core::ranch::plan::Record| match record.resource.state.as_str() {
                state::TO_BE_DELETED | state::TOMBSTONE => true,
                state::CLEANING => record.leaving,
                _ => false,
            };
            let staying = members.iter().filter(|record| !goes(record));
            let spare = staying.clone().any(|record| record.resource.owner.is_none());
            if staying.count() > life.max_count as usize && spare && !self.shelf.versions {
                return Err(format!("of {} there are more than {}: {members:?}", life.r#type, life.max_count));
            }
            if record.draining && members.is_empty() {
                return Err(format!("{} is drained and still there", life.r#type));
            }
        }
        Ok(())
    }

    /// Whether the config lists the name under another type, to be remade when it is let go.
    fn is_listed_elsewhere(&self, name: &str) -> bool {
        self.plot.wanted().names.iter().any(|(other, _, _)| other == name)
    }

    /// Everybody stops waiting, the config becomes empty, and everything is given back: nothing
    /// is left.
    pub(super) fn bid_farewell(&mut self) -> Check {
        let mut dice = Dice::new(0);
        self.come_to_rest(&mut dice)?;
        for _ in 0..2 {
            self.now = Now {
                wall: self.now.wall.saturating_add_nanos(60_000_000_000),
                mono: self.now.mono.saturating_add(Duration::from_secs(60)),
            };
            self.say(|| "a minute passes".to_owned());
            self.come_to_rest(&mut dice)?;
        }
        let open = self.calls.values().filter(|call| call.hung_up.is_none()).count();
        if open + self.ranch.parked() + self.ranch.places() + self.shelf.places.len() > 0 {
            return Err(format!("{open} calls, {} places, {:?} kept", self.ranch.places(), self.shelf.places));
        }
        self.plot = Plot::default();
        self.begin_following()?;
        self.come_to_rest(&mut dice)?;
        for dest in ["free", state::TO_BE_DELETED, state::TOMBSTONE] {
            for resource in self.shelf.resources() {
                self.give_back(&resource, dest)?;
            }
            self.come_to_rest(&mut dice)?;
        }
        if !self.shelf.kept.is_empty() || !self.shelf.lifecycles.is_empty() || !self.ranch.is_empty() {
            return Err(format!("{:?} and {:?} are left", self.shelf.kept, self.shelf.lifecycles));
        }
        Ok(())
    }

    fn give_back(&mut self, resource: &boskos_core::Resource, dest: &str) -> Check {
        if self.shelf.find(resource.name.as_str()).is_none() {
            return Ok(());
        }
        let Some(owner) = resource.owner.clone() else {
            self.ask(Command::AcquireByState(boskos_core::ranch::command::AcquireByState {
                state: resource.state.clone(),
                dest: "busy".into(),
                owner: "janitor".into(),
                names: vec![resource.name.clone()],
            }))?;
            self.everything_is_written()?;
            self.unread.clear();
            let reset = Reset {
                r#type: resource.r#type.clone(),
                state: "busy".into(),
                expire: boskos_core::GoDuration::from_nanos(0),
                dest: dest.into(),
            };
            self.ask(Command::Reset(reset))?;
            return self.everything_is_written();
        };
        self.ask(Command::Release(Release { name: resource.name.clone(), dest: dest.into(), owner }))?;
        self.everything_is_written()
    }
}
