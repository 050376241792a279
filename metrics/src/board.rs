//! What is known of each type, and since when.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use boskos_client::{Clock, Metric, ResourceType, State};
use boskos_core::{MonoTime, WallTime};
use boskos_runtime::health::Readiness;
use parking_lot::Mutex;

/// How often it is refreshed.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Older than this is stale even if no refresh failed: one may hang.
const STALE_AFTER: Duration = Duration::from_secs(75);

/// Counts by type. Clones are the same.
#[derive(Clone, Debug)]
pub struct Board {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// Whether the server is there, as far as anybody knows: refreshes that are not due yet fail late, or not at all.
    readiness: Readiness,
    /// Those shown by themselves.
    states: Vec<State>,
    types: Mutex<BTreeMap<ResourceType, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Resources by state.
    counts: BTreeMap<String, u64>,
    /// When it was refreshed last, on both clocks; `None` is never.
    refreshed: Option<(MonoTime, WallTime)>,
    /// The last refresh failed.
    failed: bool,
}

/// One type as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) r#type: ResourceType,
    /// By state in the order of the board, then those of all other states; `None` is stale.
    pub(crate) counts: Option<(Vec<u64>, u64)>,
    /// When that was last known.
    pub(crate) refreshed: Option<WallTime>,
    pub(crate) age: Option<Duration>,
}

// === impl Board ===

impl Board {
    /// An empty board that shows `states` by themselves. What is on it is stale while `readiness` says not ready.
    #[must_use]
    pub fn new(states: Vec<State>, clock: Clock, readiness: Readiness) -> Self {
        Self { shared: Arc::new(Shared { clock, readiness, states, types: Mutex::default() }) }
    }

    pub(crate) fn states(&self) -> &[State] {
        &self.shared.states
    }

    /// These are all types there are.
    pub(crate) fn keep(&self, types: &[ResourceType]) {
        let mut known = self.shared.types.lock();
        known.retain(|r#type, _| types.contains(r#type));
        for r#type in types {
            known.entry(r#type.clone()).or_default();
        }
    }

    /// The server said this.
    pub(crate) fn refresh(&self, r#type: &ResourceType, metric: Metric) {
        let now = self.shared.clock.now();
        let entry = Entry { counts: metric.current, refreshed: Some((now.mono, now.wall)), failed: false };
        self.shared.types.lock().insert(r#type.clone(), entry);
    }

    /// The server said nothing of `type`, or of any if it is `None`.
    pub(crate) fn fail(&self, r#type: Option<&ResourceType>) {
        for (known, entry) in self.shared.types.lock().iter_mut() {
            entry.failed |= r#type.is_none_or(|r#type| r#type == known);
        }
    }

    /// All types, sorted.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let now = self.shared.clock.mono();
        let is_ready = self.shared.readiness.is_ready();
        let types = self.shared.types.lock();
        types.iter().map(|(r#type, entry)| entry.shown(r#type, &self.shared.states, now, is_ready)).collect()
    }
}

// === impl Entry ===

impl Entry {
    fn shown(&self, r#type: &ResourceType, states: &[State], now: MonoTime, is_ready: bool) -> Shown {
        let age = self.refreshed.map(|(at, _)| now.saturating_since(at));
        let is_fresh = is_ready && !self.failed && age.is_some_and(|age| age <= STALE_AFTER);
        let count = |state: &State| self.counts.get(state.as_str()).copied().unwrap_or(0);
        let counts = is_fresh.then(|| {
            let by_state: Vec<u64> = states.iter().map(count).collect();
            let other = self.counts.values().sum::<u64>() - by_state.iter().sum::<u64>();
            (by_state, other)
        });
        Shown { r#type: r#type.clone(), counts, refreshed: self.refreshed.map(|(_, at)| at), age }
    }
}
