//! Calls that wait until a resource matches, without taking anything.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use hashbrown::HashMap;

use super::{
    Ranch,
    command::{CallId, Filter, Refusal, Reply, Watch},
    inventory::Slot,
    kind::Kind,
    plan::{Record, ResourceKey, Sequence},
};
use crate::{MonoTime, Now, Resource, ResourceName, State};

/// All watching calls, found by the state they watch for.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_call: HashMap<CallId, Watching>,
    by_state: HashMap<Option<State>, Vec<CallId>>,
    /// When waits end of those who do not search any more.
    deadlines: BTreeSet<(MonoTime, CallId)>,
    /// Those who search, and some of those who did.
    searches: VecDeque<CallId>,
}

#[derive(Debug)]
struct Watching {
    filter: Filter,
    since: Sequence,
    until: MonoTime,
    stage: Stage,
}

/// How far it is looked whether a resource matches that was there before. What lands meanwhile is noticed anyway.
#[derive(Debug)]
enum Stage {
    /// Names up to here were looked at, in their order: nothing that changes or is in flight meanwhile is left out.
    Searches(Option<ResourceName>),
    /// None of those did.
    Waits,
}

impl Watches {
    fn add(&mut self, call: CallId, watching: Watching) {
        for state in watched(&watching.filter) {
            self.by_state.entry(state).or_default().push(call);
        }
        match watching.stage {
            Stage::Searches(_) => self.searches.push_back(call),
            Stage::Waits => drop(self.deadlines.insert((watching.until, call))),
        }
        self.by_call.insert(call, watching);
    }

    pub(super) fn are_searching(&self) -> bool {
        !self.searches.is_empty()
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
            self.end(call, true, replies);
        }
    }

    fn end(&mut self, call: CallId, found: bool, replies: &mut Vec<(CallId, Reply)>) {
        self.cancel(call);
        replies.push((call, Reply::Watched { found }));
    }

    pub(super) fn first_deadline(&self) -> Option<MonoTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn end_due(&mut self, now: MonoTime, replies: &mut Vec<(CallId, Reply)>) {
        while let Some(&(at, call)) = self.deadlines.first()
            && at <= now
        {
            self.end(call, false, replies);
        }
    }

    pub(super) fn end_all(&mut self, replies: &mut Vec<(CallId, Reply)>) {
        for call in self.by_call.keys().copied().collect::<Vec<_>>() {
            self.end(call, false, replies);
        }
    }
}

/// When it changed last. What an undo gives back its age has a transition that is newer.
fn newest(record: &Record) -> Sequence {
    record.sequence.max(record.last_transition)
}

/// Whether a resource's committed form matches and is newer than `since`; 0 is any.
fn is_meant(slot: &Slot, filter: &Filter, since: Sequence) -> bool {
    !slot.phantom && (since == 0 || newest(&slot.record) > since) && filter.matches(&slot.record.resource)
}

/// What is newer than `since` of resources by their sequence; 0 is any.
fn newer(side: &BTreeMap<Sequence, ResourceKey>, since: Sequence) -> impl Iterator<Item = ResourceKey> {
    let from = if since == 0 { Bound::Unbounded } else { Bound::Excluded(since) };
    side.range((from, Bound::Unbounded)).map(|(_, key)| *key)
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
        let Watch { filter, since, wait } = watch;
        let since = since.unwrap_or(0);
        let glance = self.glance(&filter, since);
        if let Some(found) = glance
            && (found || wait.is_zero())
        {
            return self.reply(call, Reply::Watched { found });
        }
        if self.watches.by_call.len() >= self.limits.watches {
            return self.refuse(call, Refusal::TooManyWatches);
        }
        // Whatever lands from now on is later than all that was settled before.
        let stage = if glance.is_some() { Stage::Waits } else { Stage::Searches(None) };
        self.watches.add(call, Watching { filter, since, until: now.mono.saturating_add(wait), stage });
    }

    /// Whether it is still being looked for some calls whether what they watch for is there already.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.watches.are_searching()
    }

    /// The sequence up to which all that was decided has landed or failed: what lands later is newer.
    #[must_use]
    pub fn settled_up_to(&self) -> Sequence {
        let in_flight = self.flights.values().flat_map(|flight| &flight.changes);
        let sequences = in_flight.filter_map(|change| change.to.as_ref()).map(|record| newest(record));
        sequences.min().map_or(self.next_sequence, |first| self.next_sequence.min(first.saturating_sub(1)))
    }

    /// Whether the committed form of any resource matches and is newer than `since`, 0 for any; `None` if too many
    /// would have to be looked at, such as all that are owned for one owner's.
    fn glance(&self, filter: &Filter, since: Sequence) -> Option<bool> {
        let is_meant = |key| is_meant(self.inventory.get(key), filter, since);
        // As many as there are calls that wait for the store, and a step of a config.
        if self.flights.values().flat_map(|flight| &flight.changes).any(|change| is_meant(change.key)) {
            return Some(true);
        }
        let mut looks = 0..self.limits.step;
        // Where anything counts, pools have them too.
        for key in self.inventory.turned_back_after(since).take_while(|_| since > 0) {
            looks.next()?;
            if is_meant(key) {
                return Some(true);
            }
        }
        let any_owner = filter.owners.is_empty();
        let of_nobody = any_owner || filter.owners.contains(&None);
        let of_someone = |kind: &Kind| filter.owners.iter().flatten().any(|owner| kind.owners.contains_key(owner));
        let every_kind = filter.types.is_empty().then(|| self.inventory.kinds().map(|(_, kind)| kind));
        let named = filter.types.iter().filter_map(|r#type| self.inventory.kind_key(r#type.as_str()));
        let named = named.map(|key| self.inventory.kind(key));
        for kind in every_kind.into_iter().flatten().chain(named) {
            looks.next()?;
            let of_someone = of_someone(kind);
            if of_someone && since == 0 && filter.states.is_empty() {
                return Some(true);
            }
            let every_pool = filter.states.is_empty().then(|| kind.pools.values().map(Some));
            let named = filter.states.iter().map(|state| kind.pools.get(state));
            for pool in every_pool.into_iter().flatten().chain(named) {
                looks.next()?;
                let Some(pool) = pool.map(|pool| self.inventory.pool(*pool)) else { continue };
                if of_nobody && newer(&pool.unowned, since).next().is_some()
                    || any_owner && newer(&pool.owned, since).next().is_some()
                {
                    return Some(true);
                }
                for key in newer(&pool.owned, since).filter(|_| of_someone) {
                    looks.next()?;
                    if is_meant(key) {
                        return Some(true);
                    }
                }
            }
        }
        Some(false)
    }

    /// Goes on looking for those who search, each in turn, at as many resources as make a step.
    pub(super) fn search(&mut self, now: Now) {
        let mut looks = self.limits.step;
        while looks > 0
            && let Some(call) = self.watches.searches.pop_front()
        {
            let Some(watching) = self.watches.by_call.get_mut(&call) else { continue };
            let Stage::Searches(last) = &mut watching.stage else { continue };
            let (mut looked, mut found, mut reached) = (0, false, None);
            for (name, key) in self.inventory.names_after(last.as_ref()).take(looks) {
                looked += 1;
                reached = Some(name);
                found = is_meant(self.inventory.get(*key), &watching.filter, watching.since);
                if found {
                    break;
                }
            }
            let was_last = looked < looks;
            looks -= looked;
            let until = watching.until;
            if found || was_last && until <= now.mono {
                self.watches.end(call, found, &mut self.pending.replies);
            } else if was_last {
                watching.stage = Stage::Waits;
                self.watches.deadlines.insert((until, call));
            } else {
                *last = reached.cloned();
                self.watches.searches.push_back(call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ranch::{Limits, command::Command};

    #[test]
    fn watch_beyond_the_limit_is_refused_and_not_answered_as_if_there_were_a_match() {
        let limits = Limits { watches: 3, ..Limits::default() };
        let mut ranch = Ranch::empty(limits, Box::new(|| "made".into()));
        let watch = Watch { filter: Filter::default(), since: None, wait: Duration::from_secs(1) };
        for call in 1..=4 {
            ranch.decide(CallId(call), Command::Watch(watch.clone()), Now::default());
        }
        let replies = ranch.take_effects().replies;
        assert!(
            matches!(&replies[..], [(CallId(4), Reply::Refused(Refusal::TooManyWatches))]),
            "{} replies, last {:?}",
            replies.len(),
            replies.last()
        );
    }
}
