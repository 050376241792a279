//! Jobs under way, no more than a number of them.

use boskos_runtime::signal::Shutdown;
use tokio::task::JoinSet;

/// Jobs that a pass started and does not wait for.
#[derive(Debug)]
pub struct Pool {
    jobs: JoinSet<()>,
    size: usize,
    stop: Shutdown,
    /// Somebody was told that there is no room.
    has_refused: bool,
}

// === impl Pool ===

impl Pool {
    /// Room for `size` jobs, at least one; none once `stop` is triggered.
    #[must_use]
    pub fn new(size: usize, stop: Shutdown) -> Self {
        Self { jobs: JoinSet::new(), size: size.max(1), stop, has_refused: false }
    }

    /// How many more jobs may be started now; none once the process is to stop. To be asked before something is
    /// acquired for a job.
    #[must_use]
    pub fn room(&mut self) -> usize {
        while let Some(ended) = self.jobs.try_join_next() {
            report(&ended);
        }
        let room = if self.stop.is_triggered() { 0 } else { self.size - self.jobs.len().min(self.size) };
        self.has_refused |= room == 0;
        room
    }

    pub(super) fn forget_refusals(&mut self) {
        self.has_refused = false;
    }

    /// Whether there was no room when somebody asked, though there may be by now.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Jobs under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.jobs.len()
    }

    /// What jobs look at to end early: the process's own token.
    #[must_use]
    pub fn stop(&self) -> Shutdown {
        self.stop.clone()
    }

    /// Starts a job.
    pub fn spawn(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.jobs.spawn(job);
    }

    /// Waits for one job to end; for ever if there is none. Safe to cancel.
    pub async fn one_ended(&mut self) {
        match self.jobs.join_next().await {
            Some(ended) => report(&ended),
            None => std::future::pending().await,
        }
    }

    /// Waits for all jobs to end. Safe to cancel.
    pub async fn idle(&mut self) {
        while let Some(ended) = self.jobs.join_next().await {
            report(&ended);
        }
    }

    /// Ends all jobs where they are, and waits until each has dropped what it held.
    pub async fn end(&mut self) {
        self.jobs.shutdown().await;
    }
}

fn report(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a job ended abnormally; what it held goes back");
    }
}
