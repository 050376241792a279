//! Calls that wait until a resource matches, without taking anything.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{
    Ranch,
    command::{CallId, Filter, Refusal, Reply, Watch},
    inventory::Slot,
    kind::Kind,
    plan::{Record, Sequence},
};
use crate::{MonoTime, Now, Resource, State};

/// Watching calls at most; one beyond is refused.
const MAX_WATCHES: usize = 4_096;

/// All watching calls, found by the state they watch for.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_call: HashMap<CallId, Watching>,
    by_state: HashMap<Option<State>, Vec<CallId>>,
    deadlines: BTreeSet<(MonoTime, CallId)>,
}

#[derive(Debug)]
struct Watching {
    filter: Filter,
    until: MonoTime,
}

impl Watches {
    fn add(&mut self, call: CallId, filter: Filter, until: MonoTime) {
        for state in watched(&filter) {
            self.by_state.entry(state).or_default().push(call);
        }
        self.deadlines.insert((until, call));
        self.by_call.insert(call, Watching { filter, until });
    }

    /// Ends a watch; whether there was one.
    pub(super) fn cancel(&mut self, call: CallId) -> bool {
        let Some(watching) = self.by_call.remove(&call) else { return false };
        self.deadlines.remove(&(watching.until, call));
        for state in watched(&watching.filter) {
            if let Some(calls) = self.by_state.get_mut(&state) {
                calls.retain(|other| *other != call);
                if calls.is_empty() {
                    self.by_state.remove(&state);
                }
            }
        }
        true
    }

    /// Answers those whom a resource's new form concerns.
    pub(super) fn arrived(&mut self, resource: &Resource, replies: &mut Vec<(CallId, Reply)>) {
        if self.by_call.is_empty() {
            return;
        }
        let calls = [self.by_state.get(&Some(resource.state.clone())), self.by_state.get(&None)];
        let calls = calls.into_iter().flatten().flatten().copied();
        let matched: Vec<CallId> = calls.filter(|call| self.by_call[call].filter.matches(resource)).collect();
        for call in matched {
            self.cancel(call);
            replies.push((call, Reply::Watched));
        }
    }

    pub(super) fn first_deadline(&self) -> Option<MonoTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn end_due(&mut self, now: MonoTime, replies: &mut Vec<(CallId, Reply)>) {
        while let Some(&(at, call)) = self.deadlines.first()
            && at <= now
        {
            self.cancel(call);
            replies.push((call, Reply::Watched));
        }
    }

    pub(super) fn end_all(&mut self, replies: &mut Vec<(CallId, Reply)>) {
        for call in self.by_call.keys().copied().collect::<Vec<_>>() {
            self.cancel(call);
            replies.push((call, Reply::Watched));
        }
    }
}

/// When it changed last. What an undo gives back its age has a transition that is newer.
fn newest(record: &Record) -> Sequence {
    record.sequence.max(record.last_transition)
}

/// The states under which a filter's watch is found, each once; `None` is any.
fn watched(filter: &Filter) -> Vec<Option<State>> {
    if filter.states.is_empty() {
        return vec![None];
    }
    let mut states: Vec<_> = filter.states.iter().cloned().map(Some).collect();
    states.sort_unstable();
    states.dedup();
    states
}

impl Ranch {
    pub(super) fn watch(&mut self, call: CallId, watch: Watch, now: Now) {
        if watch.wait.is_zero() || self.any_matches(&watch.filter, watch.since.unwrap_or(0)) {
            return self.reply(call, Reply::Watched);
        }
        if self.watches.by_call.len() >= MAX_WATCHES {
            return self.refuse(call, Refusal::TooManyWatches);
        }
        // Whatever lands from now on is later than all that was settled before.
        self.watches.add(call, watch.filter, now.mono.saturating_add(watch.wait));
    }

    /// The sequence up to which all that was decided has landed or failed: what lands later is newer.
    #[must_use]
    pub fn settled_up_to(&self) -> Sequence {
        let in_flight = self.flights.values().flat_map(|flight| &flight.changes);
        let sequences = in_flight.filter_map(|change| change.to.as_ref()).map(|record| newest(record));
        sequences.min().map_or(self.next_sequence, |first| self.next_sequence.min(first.saturating_sub(1)))
    }

    /// Whether the committed form of any resource matches and is newer than `since`; 0 is any.
    #[must_use]
    pub fn any_matches(&self, filter: &Filter, since: Sequence) -> bool {
        let matches = |slot: &Slot| {
            !slot.phantom && (since == 0 || newest(&slot.record) > since) && filter.matches(&slot.record.resource)
        };
        let of_type = |r#type| filter.types.is_empty() || filter.types.contains(r#type);
        let of_state = |state| filter.states.is_empty() || filter.states.contains(state);
        let in_flight = self.flights.values().flat_map(|flight| &flight.changes);
        let any_owner = filter.owners.is_empty();
        let of_nobody = any_owner || filter.owners.contains(&None);
        // Very many may be owned by others.
        let of_someone =
            |kind: &Kind| any_owner || filter.owners.iter().flatten().any(|owner| kind.owners.contains_key(owner));
        in_flight.map(|change| self.inventory.get(change.key)).any(matches)
            || self
                .inventory
                .pools()
                .map(|(_, pool)| (pool, self.inventory.kind(pool.kind)))
                .filter(|(pool, kind)| of_state(&pool.state) && of_type(&kind.r#type))
                .flat_map(|(pool, kind)| {
                    let unowned = of_nobody.then(|| pool.unowned.values());
                    let owned = of_someone(kind).then(|| pool.owned.values());
                    unowned.into_iter().flatten().chain(owned.into_iter().flatten())
                })
                .any(|key| matches(self.inventory.get(*key)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ranch::{Limits, command::Command};

    #[test]
    fn watch_beyond_the_limit_is_refused_and_not_answered_as_if_there_were_a_match() {
        let mut ranch = Ranch::empty(Limits::default(), Box::new(|| "made".into()));
        let watch = Watch { filter: Filter::default(), since: None, wait: Duration::from_secs(1) };
        for call in 0..=MAX_WATCHES as u64 {
            ranch.decide(CallId(call), Command::Watch(watch.clone()), Now::default());
        }
        let replies = ranch.take_effects().replies;
        assert!(
            matches!(&replies[..], [(CallId(4_096), Reply::Refused(Refusal::TooManyWatches))]),
            "{} replies, last {:?}",
            replies.len(),
            replies.last()
        );
    }
}
