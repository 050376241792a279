//! The two clocks.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use boskos_core::{MonoTime, Now, WallTime};

/// The longest that the process lets pass between two looks at the clock while somebody waits.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A gap between two looks that is longer than this is time in which the process did not run.
const STALL: Duration = Duration::from_secs(3);

/// Tells the time. Monotonic time stands still while the process is stopped, so that a stop costs
/// nobody a queue place.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Nanoseconds since `start` in which the process did not run.
    lost: AtomicU64,
    /// When the clock was last looked at, in nanoseconds since `start`.
    looked: AtomicU64,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), lost: AtomicU64::new(0), looked: AtomicU64::new(0) }
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX));
        let elapsed = nanos(self.start.elapsed());
        let before = self.looked.swap(elapsed, Ordering::Relaxed);
        let gap = elapsed.saturating_sub(before);
        if gap > nanos(STALL) {
            self.lost.fetch_add(gap - nanos(LOOK_EVERY), Ordering::Relaxed);
        }
        let mono = MonoTime::new(Duration::from_nanos(elapsed.saturating_sub(self.lost.load(Ordering::Relaxed))));
        Now { wall, mono }
    }

    /// How long it is until `at`, as things stand.
    pub fn until(&self, at: MonoTime) -> Duration {
        at.saturating_since(self.now().mono)
    }

    /// How long it is until `at` on the wall clock, as things stand.
    pub fn until_wall(&self, at: WallTime) -> Duration {
        Duration::from_nanos(u64::try_from(at.nanos_since(self.now().wall)).unwrap_or(0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
