//! How the types stand, shared by the pass and the jobs.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use boskos_client::{Clock, ResourceName, ResourceType};
use parking_lot::Mutex;
use prometheus::{IntGaugeVec, Opts, Registry};

use crate::breaker::{Allowed, Blame, Breaker};

/// A breaker for each type. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    clock: Clock,
    limit: NonZeroU32,
    first_pause: Duration,
    /// As many as types were served.
    breakers: Arc<Mutex<BTreeMap<ResourceType, Breaker>>>,
    paused: IntGaugeVec,
}

/// The one resource that is tried, until dropped.
#[derive(Debug)]
pub(crate) struct Probe {
    standing: Standing,
    r#type: ResourceType,
}

// === impl Standing ===

impl Standing {
    pub(crate) fn register(
        registry: &Registry,
        clock: &Clock,
        limit: NonZeroU32,
        first_pause: Duration,
    ) -> Result<Self, prometheus::Error> {
        let help = "Whether nothing of the type is cleaned for now because everything failed.";
        let paused = IntGaugeVec::new(Opts::new("boskos_janitor_paused", help), &["type"])?;
        registry.register(Box::new(paused.clone()))?;
        Ok(Self { clock: clock.clone(), limit, first_pause, breakers: Arc::default(), paused })
    }

    pub(crate) fn allowed(&self, r#type: &ResourceType) -> Allowed {
        let now = self.clock.mono();
        self.with(r#type, |breaker| breaker.allowed(now))
    }

    /// Takes note that one resource of a paused type is tried.
    pub(crate) fn probe(&self, r#type: &ResourceType) -> Option<Probe> {
        self.with(r#type, |breaker| {
            breaker.probe();
            breaker.is_paused()
        })
        .then(|| Probe { standing: self.clone(), r#type: r#type.clone() })
    }

    pub(crate) fn succeeded(&self, r#type: &ResourceType) {
        let was_paused = self.with(r#type, |breaker| {
            let was_paused = breaker.is_paused();
            breaker.succeeded();
            was_paused
        });
        if was_paused {
            self.paused.with_label_values(&[r#type.as_str()]).set(0);
            tracing::info!(%r#type, "cleaning works again");
        }
    }

    pub(crate) fn failed(&self, r#type: &ResourceType, name: &ResourceName, before: u32) -> Blame {
        let now = self.clock.mono();
        let blame = self.with(r#type, |breaker| breaker.failed(name, before, now));
        self.tell(r#type, &blame);
        blame
    }

    /// Rows of failures of `type` that ended in a pause so far.
    pub(crate) fn trips(&self, r#type: &ResourceType) -> u64 {
        self.with(r#type, |breaker| breaker.trips())
    }

    /// The command of `type` cannot be run.
    pub(crate) fn unrunnable(&self, r#type: &ResourceType) -> Blame {
        let now = self.clock.mono();
        let (pause, forgiven) = self.with(r#type, |breaker| breaker.trip(now));
        let blame = Blame::Type { pause, forgiven };
        self.tell(r#type, &blame);
        blame
    }

    fn tell(&self, r#type: &ResourceType, blame: &Blame) {
        if let Blame::Type { pause, .. } = blame {
            self.paused.with_label_values(&[r#type.as_str()]).set(1);
            let seconds = pause.as_secs();
            tracing::warn!(%r#type, seconds, "everything fails: the type pauses, nothing counts against its resources");
        }
    }

    fn with<T>(&self, r#type: &ResourceType, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock();
        let breaker = breakers.entry(r#type.clone()).or_insert_with(|| Breaker::new(self.limit, self.first_pause));
        act(breaker)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.standing.with(&self.r#type, Breaker::probe_ended);
    }
}
