//! Whether the API server can be reached, as far as writes tell.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
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

/// So many plans in doubt at a time tell that nothing can be written, though reads are answered: a quarter of
/// those that are carried out side by side.
const MANY_IN_DOUBT: usize = super::SIDE_BY_SIDE / 4;

/// Says when nothing can be written, and finds out when it can be again.
#[derive(Clone)]
pub(super) struct Reach(Arc<Shared>);

struct Shared {
    resources: Collection<ResourceObject>,
    outcomes: OnceLock<Arc<dyn Outcomes>>,
    halted: AtomicBool,
    /// Whether it is being found out if the API server answers.
    asking: AtomicBool,
    /// Plans of which it is not known what became of them.
    in_doubt: AtomicUsize,
    /// Grows with every halt until something is written.
    pause_millis: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl Reach ===

impl Reach {
    pub(super) fn new(resources: Collection<ResourceObject>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let (halted, asking) = (AtomicBool::new(false), AtomicBool::new(false));
        let (in_doubt, pause_millis) = (AtomicUsize::new(0), AtomicU64::new(0));
        let outcomes = OnceLock::new();
        Self(Arc::new(Shared { resources, outcomes, halted, asking, in_doubt, pause_millis, tasks, stop }))
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

    /// Whether the API server answers.
    pub(super) async fn answers(&self) -> bool {
        self.0.resources.probe().await.is_ok()
    }

    /// It is not known what became of a write, be it the `first` time for its plan. One slow object does not
    /// mean that nothing can be written; an API server that does not answer does.
    pub(super) fn doubt(&self, first: bool, why: KubernetesError) {
        let in_doubt = self.0.in_doubt.fetch_add(usize::from(first), Ordering::AcqRel) + usize::from(first);
        if in_doubt >= MANY_IN_DOUBT {
            return self.lost(why);
        }
        if self.0.halted.load(Ordering::Acquire) || self.0.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let reach = self.clone();
        self.0.tasks.spawn(async move {
            let stop = reach.0.stop.clone();
            let answers = stop.run_until_cancelled(reach.answers()).await;
            reach.0.asking.store(false, Ordering::Release);
            if answers == Some(false) {
                reach.lost(why);
            }
        });
    }

    /// A plan that was in doubt is not any more.
    pub(super) fn doubt_ended(&self) {
        self.0.in_doubt.fetch_sub(1, Ordering::AcqRel);
    }

    async fn find_again(&self) {
        loop {
            sleep(self.longer_pause()).await;
            if self.answers().await {
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
