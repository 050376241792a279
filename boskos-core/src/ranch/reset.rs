//! Reset: stale resources are taken from their owners, and calls made of several plans.

use std::collections::BTreeMap;

use super::{
    Ranch,
    command::{CallId, Refusal, Reply, Reset},
    flight::{Age, Purpose, Role},
    plan::{ResourceKey, Sequence},
};
use crate::{Now, Owner, ResourceName};

/// A call with several plans, answered when all are settled.
#[derive(Debug)]
pub(super) struct Gather {
    /// Parts without an outcome.
    open: usize,
    /// Whether no further part will come.
    complete: bool,
    /// Whether a part could not be written.
    failed: bool,
    /// For a reset: what it asks, how far it is, and what it took.
    reset: Option<ResetProgress>,
}

#[derive(Debug)]
struct ResetProgress {
    asked: Reset,
    /// Owned resources up to here were looked at.
    done: Sequence,
    /// Resources that changed after the call came are not its concern.
    last: Sequence,
    taken: BTreeMap<ResourceName, Owner>,
}

impl Ranch {
    pub(super) fn reset(&mut self, call: CallId, asked: Reset, now: Now) {
        let Some(pool) = self.inventory.find_pool(asked.r#type.as_str(), asked.state.as_str()) else {
            return self.reply(call, Reply::Reset(BTreeMap::new()));
        };
        let in_flight: Vec<ResourceKey> = self
            .flights
            .values()
            .flat_map(|flight| &flight.changes)
            .map(|change| change.key)
            .filter(|key| {
                let slot = self.inventory.get(*key);
                !slot.phantom && slot.pool == pool && slot.record.resource.owner.is_some()
            })
            .collect();
        let reset = ResetProgress { asked, done: 0, last: self.next_sequence, taken: BTreeMap::new() };
        let gather = Gather { open: in_flight.len(), complete: false, failed: false, reset: Some(reset) };
        self.gathers.insert(call, gather);
        for key in in_flight {
            self.wait_for_reset(key, call);
        }
        self.resets.push_back(call);
        let mut budget = self.limits.step.min(self.room_for_chores());
        self.continue_resets(now, &mut budget);
    }

    /// Decides further parts of the resets under way.
    pub(super) fn continue_resets(&mut self, now: Now, budget: &mut usize) {
        while *budget > 0 {
            let Some(&call) = self.resets.front() else { return };
            let reset = self.gathers.get(&call).and_then(|gather| gather.reset.as_ref()).expect("resets are gathered");
            let (done, last) = (reset.done, reset.last);
            let pool = self.inventory.find_pool(reset.asked.r#type.as_str(), reset.asked.state.as_str());
            let owned = pool.map(|pool| &self.inventory.pool(pool).owned);
            let next: Vec<(Sequence, ResourceKey)> = owned
                .filter(|_| done < last)
                .map(|owned| owned.range(done + 1..=last).take(*budget).map(|(at, key)| (*at, *key)))
                .into_iter()
                .flatten()
                .collect();
            if next.is_empty() {
                self.resets.pop_front();
                self.complete(call);
                continue;
            }
            *budget = budget.saturating_sub(next.len());
            for (at, key) in next {
                self.gather_mut(call).reset.as_mut().expect("it is a reset").done = at;
                self.gather_mut(call).open += 1;
                self.reset_one(call, key, now);
            }
        }
    }

    /// Takes one settled resource from its owner if it is stale. Counts as one open part.
    pub(super) fn reset_one(&mut self, call: CallId, key: ResourceKey, now: Now) {
        let Some(slot) = self.inventory.contains(key).then(|| self.inventory.get(key)) else {
            return self.gather_part(call, None);
        };
        if slot.flight.is_some() {
            return self.wait_for_reset(key, call);
        }
        let Some(gather) = self.gathers.get(&call) else { return };
        let asked = &gather.reset.as_ref().expect("only resets reset").asked;
        let resource = &slot.record.resource;
        // Zero means all, even those that were stamped before the wall clock was set back.
        let expire = asked.expire.as_nanos();
        let stale = expire <= 0 || now.wall.nanos_since(resource.last_update) >= expire;
        let meant = resource.r#type == asked.r#type && resource.state == asked.state;
        let (true, Some(owner)) = (stale && meant && !self.halted, resource.owner.clone()) else {
            return self.gather_part(call, None);
        };
        let mut record = self.moved(key, asked.dest.clone(), None);
        record.resource.expiration = None;
        let mut draft = self.draft();
        self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
        self.launch(draft, Purpose::ResetPart { call, owner });
    }

    /// Ends resets under way where they are: the store is out of reach.
    pub(super) fn abandon_resets(&mut self) {
        while let Some(call) = self.resets.pop_front() {
            self.gather_mut(call).failed = true;
            self.complete(call);
        }
    }

    // --- calls with several plans ---

    pub(super) fn begin_gather(&mut self, call: CallId) {
        self.gathers.insert(call, Gather { open: 0, complete: false, failed: false, reset: None });
    }

    pub(super) fn open_part(&mut self, call: CallId) {
        self.gather_mut(call).open += 1;
    }

    /// No further part will come.
    pub(super) fn complete(&mut self, call: CallId) {
        self.gather_mut(call).complete = true;
        self.finish_gather(call);
    }

    /// One part is settled; what it took, if anything.
    pub(super) fn gather_part(&mut self, call: CallId, taken: Option<(ResourceName, Owner)>) {
        let gather = self.gather_mut(call);
        gather.open -= 1;
        if let (Some(reset), Some((name, owner))) = (&mut gather.reset, taken) {
            reset.taken.insert(name, owner);
        }
        self.finish_gather(call);
    }

    pub(super) fn gather_failed(&mut self, call: CallId) {
        self.gather_mut(call).failed = true;
        self.gather_part(call, None);
    }

    fn gather_mut(&mut self, call: CallId) -> &mut Gather {
        self.gathers.get_mut(&call).expect("a call stays while parts of it are open")
    }

    fn finish_gather(&mut self, call: CallId) {
        let gather = self.gather_mut(call);
        if gather.open > 0 || !gather.complete {
            return;
        }
        let gather = self.gathers.remove(&call).expect("just looked up");
        let reply = match gather.reset {
            Some(reset) if !gather.failed || !reset.taken.is_empty() => Reply::Reset(reset.taken),
            None if !gather.failed => Reply::Synced,
            _ => Reply::Refused(Refusal::Unavailable),
        };
        self.reply(call, reply);
    }
}
