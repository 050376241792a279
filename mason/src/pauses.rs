//! Resources that failed, and until when each is left alone.

use std::{collections::BTreeMap, time::Duration};

use boskos_client::{Clock, ResourceName, ResourceType, retry::Delays};
use boskos_core::MonoTime;
use parking_lot::Mutex;

/// The pause after a first failure.
const FIRST: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// One that did not fail again for so long after its pause is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// What is paused, by name.
#[derive(Debug)]
pub(crate) struct Pauses {
    clock: Clock,
    paused: Mutex<BTreeMap<ResourceName, Pause>>,
}

#[derive(Debug)]
struct Pause {
    r#type: ResourceType,
    until: MonoTime,
    delays: Delays,
}

// === impl Pauses ===

impl Pauses {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, paused: Mutex::default() }
    }

    /// It failed; returns for how long it is left alone.
    pub(crate) fn failed(&self, name: &ResourceName, r#type: &ResourceType) -> Duration {
        let now = self.clock.mono();
        let mut paused = self.paused.lock();
        paused.retain(|_, pause| pause.until.saturating_add(FORGET_AFTER) > now);
        let pause = paused.entry(name.clone()).or_insert_with(|| Pause {
            r#type: r#type.clone(),
            until: now,
            delays: Delays::new(FIRST, LONGEST),
        });
        let delay = pause.delays.next_delay();
        pause.until = now.saturating_add(delay);
        delay
    }

    /// It was made.
    pub(crate) fn made(&self, name: &ResourceName) {
        self.paused.lock().remove(name);
    }

    pub(crate) fn is_paused(&self, name: &ResourceName) -> bool {
        let now = self.clock.mono();
        self.paused.lock().get(name).is_some_and(|pause| pause.until > now)
    }

    /// Whether something of `type` is.
    pub(crate) fn has(&self, r#type: &ResourceType) -> bool {
        let now = self.clock.mono();
        self.paused.lock().values().any(|pause| pause.until > now && pause.r#type == *r#type)
    }

    /// How long until the first of them is not any more.
    pub(crate) fn next(&self) -> Option<Duration> {
        let now = self.clock.mono();
        let paused = self.paused.lock();
        paused.values().filter(|pause| pause.until > now).map(|pause| pause.until.saturating_since(now)).min()
    }
}
