//! Dirty resources that may be cleaned, and those that are left alone for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use boskos_client::{Resource, ResourceName, ResourceType};
use boskos_core::MonoTime;

use crate::FAILURES;

/// The longest time that a resource is left alone.
const LONGEST: Duration = Duration::from_secs(3600);

/// What was listed last, by type, the longest dirty first.
#[derive(Debug)]
pub(crate) struct Candidates {
    first_backoff: Duration,
    ready: BTreeMap<ResourceType, VecDeque<ResourceName>>,
    /// Those with failures. Bounded by what was listed last.
    resting: BTreeMap<ResourceName, Rest>,
}

/// A resource that failed is left alone. Counted from when this process first saw that it did: clocks are not
/// compared, and every replica leaves it alone.
#[derive(Debug)]
struct Rest {
    failures: u32,
    until: MonoTime,
}

// === impl Candidates ===

impl Candidates {
    pub(crate) fn new(first_backoff: Duration) -> Self {
        Self { first_backoff, ready: BTreeMap::new(), resting: BTreeMap::new() }
    }

    /// Replaces what was listed.
    pub(crate) fn fill(&mut self, mut listed: Vec<Resource>, now: MonoTime) {
        listed.sort_unstable_by(|a, b| (a.last_update, &a.name).cmp(&(b.last_update, &b.name)));
        self.ready.clear();
        let mut resting = BTreeMap::new();
        for resource in listed {
            let rest = self.rest(&resource, now);
            if rest.as_ref().is_none_or(|rest| rest.until <= now) {
                self.ready.entry(resource.r#type.clone()).or_default().push_back(resource.name.clone());
            }
            resting.extend(rest.map(|rest| (resource.name, rest)));
        }
        self.resting = resting;
    }

    /// Until when `resource` is left alone, if it ever was.
    fn rest(&mut self, resource: &Resource, now: MonoTime) -> Option<Rest> {
        let failures = failures(resource);
        if failures == 0 {
            return None;
        }
        let known = self.resting.remove(&resource.name).filter(|rest| rest.failures == failures);
        Some(known.unwrap_or_else(|| Rest { failures, until: now.saturating_add(self.backoff(failures)) }))
    }

    /// Whether one that an older server handed out is to be left alone. If it is new here, it is from now on.
    pub(crate) fn is_resting(&mut self, resource: &Resource, now: MonoTime) -> bool {
        let Some(rest) = self.rest(resource, now) else { return false };
        let is_resting = rest.until > now;
        self.resting.insert(resource.name.clone(), rest);
        is_resting
    }

    fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.first_backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(LONGEST.max(self.first_backoff))
    }

    /// The next of `type`.
    pub(crate) fn next(&mut self, r#type: &ResourceType) -> Option<ResourceName> {
        self.ready.get_mut(r#type)?.pop_front()
    }

    pub(crate) fn has(&self, r#type: &ResourceType) -> bool {
        self.ready.get(r#type).is_some_and(|names| !names.is_empty())
    }

    /// When the first of those that are left alone may be cleaned.
    pub(crate) fn first_due(&self, now: MonoTime) -> Option<MonoTime> {
        self.resting.values().map(|rest| rest.until).filter(|until| *until > now).min()
    }
}

/// How often in a row cleaning it failed; a note that is no number counts as none.
pub(crate) fn failures(resource: &Resource) -> u32 {
    resource.user_data.get(FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use boskos_core::WallTime;

    use super::*;

    const FIRST: Duration = Duration::from_secs(30);

    fn dirty(name: &str, failures: u32, updated: i64) -> Resource {
        let mut resource = Resource::new(name.into(), "t".into(), "dirty".into(), WallTime::from_nanos(updated));
        if failures > 0 {
            resource.user_data =
                [(FAILURES.to_owned(), failures.to_string())].into_iter().collect::<BTreeMap<_, _>>().into();
        }
        resource
    }

    fn all(candidates: &mut Candidates) -> Vec<String> {
        std::iter::from_fn(|| candidates.next(&"t".into())).map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_longest_dirty_is_first_and_what_failed_is_left_alone_longer_each_time() {
        let mut candidates = Candidates::new(FIRST);
        let at = |seconds| MonoTime::new(Duration::from_secs(seconds));
        candidates.fill(vec![dirty("a", 0, 2), dirty("b", 0, 1), dirty("c", 1, 0), dirty("d", 2, 0)], at(0));
        assert_eq!(all(&mut candidates), ["b", "a"]);
        assert_eq!(candidates.first_due(at(0)), Some(at(30)));
        candidates.fill(vec![dirty("c", 1, 0), dirty("d", 2, 0)], at(30));
        assert_eq!(all(&mut candidates), ["c"]);
        // It failed again: from now on.
        candidates.fill(vec![dirty("c", 2, 0), dirty("d", 2, 0)], at(60));
        assert_eq!(all(&mut candidates), ["d"]);
        candidates.fill(vec![dirty("c", 0, 0)], at(61));
        assert_eq!(all(&mut candidates), ["c"], "somebody wiped the note");
        assert_eq!(candidates.first_due(at(61)), None);
    }
}
