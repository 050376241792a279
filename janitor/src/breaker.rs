//! What pauses a whole type when it is not its resources that are at fault.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use boskos_client::ResourceName;
use boskos_core::MonoTime;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Counts different resources of one type that failed in a row.
#[derive(Debug)]
pub(crate) struct Breaker {
    limit: NonZeroU32,
    first_pause: Duration,
    /// Resources that failed since the last success, and how often each had before.
    streak: BTreeMap<ResourceName, u32>,
    pause: Option<Pause>,
    /// Rows that ended in a pause.
    trips: u64,
}

#[derive(Debug)]
struct Pause {
    until: MonoTime,
    /// Pauses in a row.
    count: u32,
    /// One resource is being tried.
    probing: bool,
    /// How often those of the rows that it is for had failed before: some are being cleaned still.
    row: BTreeMap<ResourceName, u32>,
}

/// What may be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// As many as there is room for.
    All,
    /// One, to see whether things are well again.
    Probe,
    /// Nothing until then.
    After(MonoTime),
    /// Nothing until the one that is tried has ended.
    AfterProbe,
}

/// What a failure means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It counts against the resource, unless its row ends in a pause.
    Resource {
        /// How many rows had so far.
        trips: u64,
        /// How often it had failed before this row.
        before: u32,
    },
    /// The type pauses. Nothing counts: what counted in this row is set back to these numbers.
    Type {
        /// How long.
        pause: Duration,
        /// Who had failed how often before the row: all of it for who ended it, who failed itself for those that were
        /// under way then.
        forgiven: Vec<(ResourceName, u32)>,
    },
}

// === impl Breaker ===

impl Breaker {
    pub(crate) fn new(limit: NonZeroU32, first_pause: Duration) -> Self {
        Self { limit, first_pause, streak: BTreeMap::new(), pause: None, trips: 0 }
    }

    pub(crate) fn allowed(&self, now: MonoTime) -> Allowed {
        match &self.pause {
            None => Allowed::All,
            Some(pause) if pause.probing => Allowed::AfterProbe,
            Some(pause) if pause.until > now => Allowed::After(pause.until),
            Some(_) => Allowed::Probe,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// One is being tried.
    pub(crate) fn probe(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.probing = true;
        }
    }

    /// The one that was tried ended without telling anything.
    pub(crate) fn probe_ended(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.probing = false;
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.streak.clear();
        self.pause = None;
    }

    /// `name` failed, which had failed `before` times.
    pub(crate) fn failed(&mut self, name: &ResourceName, before: u32, now: MonoTime) -> Blame {
        if let Some(pause) = &self.pause {
            let own = pause.row.get(name).map(|failures| (name.clone(), *failures));
            let (pause, _) = self.trip(now);
            return Blame::Type { pause, forgiven: own.into_iter().collect() };
        }
        let before = *self.streak.entry(name.clone()).or_insert(before);
        if u32::try_from(self.streak.len()).is_ok_and(|length| length < self.limit.get()) {
            return Blame::Resource { trips: self.trips, before };
        }
        let (pause, forgiven) = self.trip(now);
        Blame::Type { pause, forgiven }
    }

    /// Rows that ended in a pause so far.
    pub(crate) fn trips(&self) -> u64 {
        self.trips
    }

    /// Nothing can be cleaned at all. Tells how long the type pauses, and who had failed how often before the row.
    pub(crate) fn trip(&mut self, now: MonoTime) -> (Duration, Vec<(ResourceName, u32)>) {
        self.trips += 1;
        let row = std::mem::take(&mut self.streak);
        let forgiven = row.clone().into_iter().collect();
        let pause = self.pause.get_or_insert(Pause { until: now, count: 0, probing: false, row: BTreeMap::new() });
        pause.row.extend(row);
        if pause.until <= now {
            // Those that were under way when the pause began do not make it longer.
            let length = self.first_pause.saturating_mul(1 << pause.count.min(16)).min(LONGEST.max(self.first_pause));
            pause.until = now.saturating_add(length);
            pause.count += 1;
        }
        pause.probing = false;
        (pause.until.saturating_since(now), forgiven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> MonoTime {
        MonoTime::new(Duration::from_secs(seconds))
    }

    fn breaker(limit: u32) -> Breaker {
        Breaker::new(NonZeroU32::new(limit).unwrap(), FIRST)
    }

    #[test]
    fn different_resources_in_a_row_pause_the_type_and_are_forgiven() {
        let mut breaker = breaker(3);
        assert_eq!(breaker.failed(&"a".into(), 0, at(0)), Blame::Resource { trips: 0, before: 0 });
        assert_eq!(breaker.failed(&"a".into(), 1, at(0)), Blame::Resource { trips: 0, before: 0 });
        assert_eq!(breaker.failed(&"b".into(), 2, at(0)), Blame::Resource { trips: 0, before: 2 });
        let forgiven = vec![("a".into(), 0), ("b".into(), 2), ("c".into(), 0)];
        assert_eq!(breaker.failed(&"c".into(), 0, at(0)), Blame::Type { pause: FIRST, forgiven });
        assert_eq!(breaker.allowed(at(29)), Allowed::After(at(30)));
        // One that was under way already.
        assert_eq!(
            breaker.failed(&"d".into(), 0, at(10)),
            Blame::Type { pause: FIRST - Duration::from_secs(10), forgiven: vec![] }
        );
        // The same of one that had failed in the row: nobody could set it back meanwhile.
        let own = vec![("a".into(), 0)];
        assert_eq!(
            breaker.failed(&"a".into(), 2, at(10)),
            Blame::Type { pause: FIRST - Duration::from_secs(10), forgiven: own }
        );
        assert_eq!(breaker.allowed(at(30)), Allowed::Probe);
    }

    #[test]
    fn success_between_begins_a_new_row() {
        let mut breaker = breaker(2);
        for _ in 0..10 {
            assert_eq!(breaker.failed(&"bad".into(), 0, at(0)), Blame::Resource { trips: 0, before: 0 });
            breaker.succeeded();
        }
        assert_eq!(breaker.failed(&"a".into(), 0, at(0)), Blame::Resource { trips: 0, before: 0 });
        assert_eq!(breaker.allowed(at(0)), Allowed::All);
    }

    #[test]
    fn one_is_tried_after_each_pause_and_pauses_grow_to_a_bound() {
        let mut breaker = breaker(1);
        let (mut now, mut last) = (0, 0);
        for count in 0..10 {
            let Blame::Type { pause, .. } = breaker.failed(&"a".into(), 0, at(now)) else { panic!("{count}") };
            assert!(pause.as_secs() >= last && pause <= LONGEST);
            last = pause.as_secs();
            now += last;
            assert_eq!(breaker.allowed(at(now)), Allowed::Probe);
            breaker.probe();
            assert_eq!(breaker.allowed(at(now)), Allowed::AfterProbe);
        }
        assert_eq!(last, LONGEST.as_secs());
        breaker.probe_ended();
        assert_eq!(breaker.allowed(at(now)), Allowed::Probe);
        breaker.succeeded();
        assert_eq!(breaker.allowed(at(now)), Allowed::All);
    }
}
