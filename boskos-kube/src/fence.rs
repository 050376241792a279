//! Whether this process may still write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::clock::since_boot;

/// Tells whether this process may still write. Cloning shares it; cheap to ask before each write.
///
/// The clock goes on while the process is stopped and while the machine is suspended: whoever comes
/// back after that finds the fence shut, whatever else it knows.
#[derive(Clone, Debug)]
pub struct Fence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// When it shuts by itself, in nanoseconds since the machine started; 0 once it is shut for good.
    until: AtomicU64,
    shut: Notify,
}

const FOR_EVER: u64 = u64::MAX;

// === impl Fence ===

impl Fence {
    /// One that never shuts by itself.
    #[must_use]
    pub fn open() -> Self {
        Self::new(FOR_EVER)
    }

    /// One that shuts at `until`, as [`since_boot`] tells the time.
    pub(crate) fn until(until: Duration) -> Self {
        Self::new(nanos(until))
    }

    fn new(until: u64) -> Self {
        Self { shared: Arc::new(Shared { until: AtomicU64::new(until), shut: Notify::new() }) }
    }

    /// Whether this process may write now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.shared.until.load(Ordering::Acquire) {
            FOR_EVER => true,
            until => nanos(since_boot()) < until,
        }
    }

    /// Lets it shut later, unless it was shut for good.
    pub(crate) fn extend(&self, until: Duration) {
        let until = nanos(until);
        let later = |old: u64| (old != 0 && old < until).then_some(until);
        // A fence that stays as it is was shut, or lasts longer already.
        let _ = self.shared.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// Shuts it for good.
    pub fn shut(&self) {
        self.shared.until.store(0, Ordering::Release);
        self.shared.shut.notify_waiters();
    }

    /// Waits until it was shut for good. One that only ran out of time may still be extended.
    pub async fn until_shut(&self) {
        let notified = self.shared.shut.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if self.shared.until.load(Ordering::Acquire) != 0 {
            notified.await;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_shuts_when_its_time_is_over_and_opens_when_it_is_extended() {
        let fence = Fence::until(since_boot());
        assert!(!fence.is_open());
        fence.extend(since_boot() + Duration::from_secs(60));
        assert!(fence.is_open());
        fence.extend(since_boot());
        assert!(fence.is_open(), "never sooner than said before");
    }

    #[tokio::test]
    async fn a_fence_that_is_shut_stays_so() {
        let fence = Fence::until(since_boot() + Duration::from_secs(60));
        let waits = tokio::spawn({
            let fence = fence.clone();
            async move { fence.until_shut().await }
        });
        fence.shut();
        waits.await.unwrap();
        fence.until_shut().await;
        fence.extend(since_boot() + Duration::from_secs(60));
        assert!(!fence.is_open());
    }
}
