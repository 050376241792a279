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
        let mut inner = self.inner.lock();
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
        let mono = wake.mono.map(|at| self.clock.until(at));
        let wall = wake.wall.map(|at| self.clock.until_wall(at).min(LOOK_AT_WALL_EVERY));
        let look = wake.places.then_some(LOOK_EVERY);
        [mono, wall, look].into_iter().flatten().min().unwrap_or(LOOK_AT_WALL_EVERY)
    }
}
