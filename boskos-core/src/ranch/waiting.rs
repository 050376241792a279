//! Commands that wait for a resource in flight.

use std::collections::VecDeque;

use super::{
    Ranch,
    command::{CallId, Command, Receipt, Refusal, SyncChange},
    plan::{Foreign, ResourceKey, Version},
};
use crate::Now;

/// What waits for a resource in flight.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A command that names it.
    Command(CallId, Command),
    /// A reset that would have taken it.
    Reset(CallId),
    /// A grant of it that is to be taken back.
    Undo(Receipt),
    /// What someone else made of it meanwhile.
    Foreign(Foreign),
    /// What the config says of it.
    Change(CallId, SyncChange),
}

impl Ranch {
    /// Lets a command wait for a resource in flight.
    pub(super) fn wait_for(&mut self, key: ResourceKey, call: CallId, command: Command) {
        let waiting = self.waiting.entry(key).or_default();
        if waiting.len() >= self.limits.waiting_per_resource {
            let name = self.inventory.get(key).record.resource.name.clone();
            return self.refuse(call, Refusal::Crowded(name));
        }
        waiting.push_back(Waiting::Command(call, command));
    }

    pub(super) fn wait_with_undo(&mut self, key: ResourceKey, receipt: Receipt) {
        self.waiting.entry(key).or_default().push_back(Waiting::Undo(receipt));
    }

    pub(super) fn wait_with_foreign(&mut self, key: ResourceKey, foreign: Foreign) {
        self.waiting.entry(key).or_default().push_front(Waiting::Foreign(foreign));
    }

    pub(super) fn wait_for_reset(&mut self, key: ResourceKey, call: CallId) {
        self.waiting.entry(key).or_default().push_back(Waiting::Reset(call));
    }

    /// Counts as an open part of the sync.
    pub(super) fn wait_with_change(&mut self, key: ResourceKey, call: CallId, change: SyncChange) {
        self.open_part(call);
        self.waiting.entry(key).or_default().push_back(Waiting::Change(call, change));
    }

    /// Takes in what was heard of a resource while it was in flight, from others or from the
    /// config: before its fate, which that may change.
    pub(super) fn take_in_news(&mut self, key: ResourceKey, now: Now) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        let (mut heard, mut changes, mut rest) = (None::<Foreign>, Vec::new(), VecDeque::new());
        for next in std::mem::take(waiting) {
            match next {
                // Of what others made of it the newest counts.
                Waiting::Foreign(foreign) if heard.as_ref().is_some_and(|heard| heard.version > foreign.version) => {}
                Waiting::Foreign(foreign) => heard = Some(foreign),
                Waiting::Change(call, change) => changes.push((call, change)),
                next @ (Waiting::Command(..) | Waiting::Reset(_) | Waiting::Undo(_)) => rest.push_back(next),
            }
        }
        *waiting = rest;
        if let Some(foreign) = heard {
            self.observe(foreign, now);
        }
        for (call, change) in changes {
            self.run_change(call, change, now);
        }
    }

    /// Judges what waited for a resource until it is in flight again.
    pub(super) fn run_waiting(&mut self, key: ResourceKey, now: Now) {
        let Some(mut waiting) = self.waiting.remove(&key) else { return };
        while let Some(next) = waiting.pop_front() {
            self.run(key, next, now);
            let in_flight = self.inventory.contains(key) && self.inventory.get(key).flight.is_some();
            if in_flight && !waiting.is_empty() {
                // Commands that were just judged may have lined up again: they stay behind.
                let behind = self.waiting.remove(&key).unwrap_or_default();
                waiting.extend(behind);
                self.waiting.insert(key, waiting);
                return;
            }
        }
    }

    /// Judges what waited for a resource that is gone since `version`. Its key may be another's
    /// by now.
    pub(super) fn run_orphaned(&mut self, key: ResourceKey, version: Version, now: Now) {
        for next in self.waiting.remove(&key).unwrap_or_default() {
            self.run_gone(next, version, now);
        }
    }

    fn run_gone(&mut self, next: Waiting, version: Version, now: Now) {
        match next {
            Waiting::Reset(call) => self.gather_part(call, None),
            // What was before the deletion.
            Waiting::Foreign(foreign) if foreign.version <= version => {}
            Waiting::Foreign(foreign) => self.observe(foreign, now),
            Waiting::Command(call, command) => self.decide(call, command, now),
            Waiting::Undo(receipt) => self.undo(receipt, now),
            Waiting::Change(call, change) => self.run_change(call, change, now),
        }
    }

    fn run(&mut self, key: ResourceKey, next: Waiting, now: Now) {
        match next {
            Waiting::Command(call, command) => self.decide(call, command, now),
            Waiting::Reset(call) => self.reset_one(call, key, now),
            Waiting::Undo(receipt) => self.undo(receipt, now),
            Waiting::Foreign(foreign) => self.observe(foreign, now),
            Waiting::Change(call, change) => self.run_change(call, change, now),
        }
    }

    fn run_change(&mut self, call: CallId, change: SyncChange, now: Now) {
        self.apply_change(call, change, now);
        self.gather_part(call, None);
    }

    /// Takes a call that waits for a resource out of its line, unless it gives something back.
    pub(super) fn cancel_waiting(&mut self, call: CallId) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|entry| !matches!(entry, Waiting::Command(of, Command::AcquireByState(_)) if *of == call));
            !waiting.is_empty()
        });
    }
}
