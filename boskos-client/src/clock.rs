//! The two clocks of a process, which tests turn by hand.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use boskos_core::{MonoTime, Now, WallTime};
use tokio::sync::watch;

/// Tells the time and sleeps. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System { start: Instant },
    Manual(Arc<watch::Sender<Now>>),
}

/// Turns a clock made by [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct Hand(Arc<watch::Sender<Now>>);

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The clocks of this machine. The monotonic one goes on while the process is stopped.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System { start: Instant::now() })
    }

    /// A clock that stands still until its hand is turned.
    #[must_use]
    pub fn manual() -> (Self, Hand) {
        let now = Arc::new(watch::Sender::new(Now::default()));
        (Self(Kind::Manual(Arc::clone(&now))), Hand(now))
    }

    /// The time on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        match &self.0 {
            Kind::System { start } => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Now {
                    wall: WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)),
                    mono: MonoTime::new(start.elapsed()),
                }
            }
            Kind::Manual(now) => *now.borrow(),
        }
    }

    /// The monotonic time.
    #[must_use]
    pub fn mono(&self) -> MonoTime {
        self.now().mono
    }

    /// Sleeps until `at` on the monotonic clock. Safe to cancel.
    pub async fn sleep_until(&self, at: MonoTime) {
        match &self.0 {
            Kind::System { .. } => {
                // A timer may come early by its grain.
                while self.mono() < at {
                    tokio::time::sleep(at.saturating_since(self.mono())).await;
                }
            }
            Kind::Manual(now) => {
                let mut now = now.subscribe();
                now.wait_for(|now| now.mono >= at).await.expect("self holds the sender");
            }
        }
    }

    /// Sleeps for `duration` on the monotonic clock. Safe to cancel.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.mono().saturating_add(duration)).await;
    }
}

// === impl Hand ===

impl Hand {
    /// Turns both clocks on by `duration` and wakes who slept until then.
    pub fn advance(&self, duration: Duration) {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        self.0.send_modify(|now| {
            *now = Now { wall: now.wall.saturating_add_nanos(nanos), mono: now.mono.saturating_add(duration) };
        });
    }

    /// Waits until somebody sleeps on the clock.
    pub async fn slept_on(&self) {
        while self.0.receiver_count() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
