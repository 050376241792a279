//! The two clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use boskos_core::{MonoTime, Now, WallTime};
use parking_lot::Mutex;

/// The longest that the process lets pass between two looks at the clock while somebody waits.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A gap between two looks that is longer than this is time in which the process did not run.
const STALL: Duration = Duration::from_secs(3);

/// Tells the time. Monotonic time stands still while the process is stopped, so that a stop costs
/// nobody a queue place.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    // One lock for both: a look that comes between the end of a stop and its account would see all
    // of the stop as time that passed.
    looks: Mutex<Looks>,
    whole_seconds: bool,
}

#[derive(Debug, Default)]
struct Looks {
    /// Time since `start` in which the process did not run.
    lost: Duration,
    /// When the clock was last looked at, since `start`.
    last: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), looks: Mutex::default(), whole_seconds: false }
    }

    /// A clock that starts now and whose wall time is in whole seconds, for stores that keep no
    /// finer times.
    #[must_use]
    pub fn of_whole_seconds() -> Self {
        Self { whole_seconds: true, ..Self::start() }
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX));
        let wall = if self.whole_seconds { wall.whole_seconds() } else { wall };
        Now { wall, mono: MonoTime::new(self.looks.lock().at(self.start.elapsed())) }
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

impl Looks {
    /// How much of the time since `start` the process ran.
    fn at(&mut self, elapsed: Duration) -> Duration {
        // The lock may be had in another order than `elapsed` was read.
        let gap = elapsed.saturating_sub(self.last);
        self.last = self.last.max(elapsed);
        if gap > STALL {
            self.lost += gap - LOOK_EVERY;
        }
        self.last - self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_counts_as_one_look_whoever_looks_first_after_it() {
        let mut looks = Looks::default();
        let seconds = Duration::from_secs;
        assert_eq!(looks.at(seconds(2)), seconds(2));
        assert_eq!(looks.at(seconds(60)), seconds(3));
        assert_eq!(looks.at(seconds(2)), seconds(3), "read before the stop, counted after it");
        assert_eq!(looks.at(seconds(60)), seconds(3));
        assert_eq!(looks.at(seconds(61)), seconds(4));
    }
}
