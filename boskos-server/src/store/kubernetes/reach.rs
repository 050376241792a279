//! Whether the API server can be reached, as far as writes tell.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use boskos_kube::Collection;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{error::KubernetesError, objects::ResourceObject};
use crate::store::Outcomes;

/// The pause before the API server is tried again, at first and at most.
const PAUSE_MILLIS: (u64, u64) = (100, 3_000);

/// Says when nothing can be written, and finds out when it can be again.
#[derive(Clone)]
pub(super) struct Reach(Arc<Shared>);

struct Shared {
    resources: Collection<ResourceObject>,
    outcomes: OnceLock<Arc<dyn Outcomes>>,
    halted: AtomicBool,
    /// Grows with every halt until something is written.
    pause_millis: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl Reach ===

impl Reach {
    pub(super) fn new(resources: Collection<ResourceObject>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let (halted, pause_millis) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(Shared { resources, outcomes: OnceLock::new(), halted, pause_millis, tasks, stop }))
    }

    pub(super) fn start(&self, outcomes: Arc<dyn Outcomes>) {
        assert!(self.0.outcomes.set(outcomes).is_ok(), "a store is started once");
    }

    pub(super) fn outcomes(&self) -> &Arc<dyn Outcomes> {
        self.0.outcomes.get().expect("plans come after the start")
    }

    /// Something was written.
    pub(super) fn wrote(&self) {
        self.0.pause_millis.store(0, Ordering::Relaxed);
    }

    /// Nothing can be written: says so, and has it tried again until it can.
    pub(super) fn lost(&self, why: KubernetesError) {
        if self.0.halted.swap(true, Ordering::AcqRel) {
            return;
        }
        self.outcomes().halted(&why.into());
        let reach = self.clone();
        self.0.tasks.spawn(async move {
            let stop = reach.0.stop.clone();
            stop.run_until_cancelled(reach.find_again()).await;
        });
    }

    async fn find_again(&self) {
        loop {
            sleep(self.longer_pause()).await;
            if self.0.resources.probe().await.is_ok() {
                self.0.halted.store(false, Ordering::Release);
                self.outcomes().resumed();
                return;
            }
        }
    }

    fn longer_pause(&self) -> Duration {
        let longer = |millis: u64| (millis * 2).clamp(PAUSE_MILLIS.0, PAUSE_MILLIS.1);
        let millis = longer(self.0.pause_millis.load(Ordering::Relaxed));
        self.0.pause_millis.store(millis, Ordering::Relaxed);
        Duration::from_millis(millis)
    }
}
