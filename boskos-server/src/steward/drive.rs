//! What happens by itself happens when it is due.

use std::{sync::Arc, time::Duration};

use boskos_core::ranch::Wake;
use tokio::time::sleep;

use super::{Steward, deliver};
use crate::clock::LOOK_EVERY;

/// Wall clocks are set: their deadlines are looked at again at least this often.
const LOOK_AT_WALL_EVERY: Duration = Duration::from_secs(30);

impl Steward {
    /// Does what is due, when it is due, for ever: ends places and waits, expires resources, keeps
    /// dynamic types between min and max. Bounded steps, so that requests come in between.
    pub async fn drive(self: Arc<Self>) {
        loop {
            let wake = self.step();
            if wake.at_once {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = sleep(self.pause(wake)) => {}
                () = self.rouse.notified() => {}
            }
        }
    }

    fn step(self: &Arc<Self>) -> Wake {
        let mut inner = self.lock();
        let now = self.clock.now();
        let more = inner.ranch.work(now);
        let parcels = self.exchange(&mut inner, now, None);
        let mut wake = inner.ranch.next_wake();
        wake.at_once |= more;
        inner.armed = wake;
        drop(inner);
        deliver(self, parcels);
        wake
    }

    fn pause(&self, wake: Wake) -> Duration {
        shortest(wake.mono.map(|at| self.clock.until(at)), wake.wall.map(|at| self.clock.until_wall(at)))
    }
}

/// How long to sleep with these deadlines ahead.
///
/// While a monotonic one is ahead the clock is looked at every second: it takes a longer gap for time in which the
/// process did not run, and who waits would wait that much longer.
fn shortest(mono: Option<Duration>, wall: Option<Duration>) -> Duration {
    let (mono, wall) =
        (mono.map_or(LOOK_AT_WALL_EVERY, |mono| mono.min(LOOK_EVERY)), wall.unwrap_or(LOOK_AT_WALL_EVERY));
    mono.min(wall).min(LOOK_AT_WALL_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_by_the_monotonic_clock_has_it_looked_at_every_second() {
        let seconds = Duration::from_secs;
        assert_eq!(shortest(Some(seconds(30)), None), LOOK_EVERY);
        assert_eq!(shortest(Some(seconds(30)), Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(shortest(Some(Duration::from_millis(5)), Some(seconds(9))), Duration::from_millis(5));
        assert_eq!(shortest(None, Some(seconds(9))), seconds(9));
        assert_eq!(shortest(None, Some(seconds(3600))), LOOK_AT_WALL_EVERY);
        assert_eq!(shortest(None, None), LOOK_AT_WALL_EVERY);
    }
}
