//! Whether anybody answers at all, asked beside whatever else is under way.
//!
//! A server that hangs ends no connection: a watch on it is over after its wait and one call's timeout, a pass after
//! as many timeouts as a call has tries, and a daemon that waits for its interval has no call under way.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{Client, Error};

/// Times that are asked in one call's timeout. So a hang is noticed within seven sixths of that: 35 s.
const PER_TIMEOUT: u32 = 6;

/// Questions without an answer yet. The first of them is over when there are as many.
const MAX_ASKED: usize = PER_TIMEOUT as usize + 1;

/// Asks for as long as it is polled.
#[derive(Debug)]
pub(super) struct Pulse {
    client: Client,
    last: watch::Sender<Option<Error>>,
}

/// Hears of questions that got no answer.
#[derive(Debug)]
pub(super) struct Misses {
    last: watch::Receiver<Option<Error>>,
}

// === impl Pulse ===

impl Pulse {
    pub(super) fn new(client: Client) -> (Self, Misses) {
        let (sender, receiver) = watch::channel(None);
        (Self { client, last: sender }, Misses { last: receiver })
    }

    /// Never ends.
    pub(super) async fn run(self) {
        // By the timers that calls' timeouts go by, whatever clock the daemon has.
        let mut ticks = interval_at(Instant::now() + self.period(), self.period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = JoinSet::new();
        loop {
            tokio::select! {
                Some(ended) = asked.join_next() => {
                    if let Ok(missed) = ended {
                        self.last.send_replace(missed);
                    }
                }
                // Also while others have no answer yet: theirs may be lost, which takes a whole timeout to tell.
                _ = ticks.tick(), if asked.len() < MAX_ASKED => {
                    asked.spawn(ask(self.client.clone()));
                }
            }
        }
    }

    fn period(&self) -> Duration {
        self.client.transport().times.call / PER_TIMEOUT
    }
}

/// Why nobody answers; nothing if anybody does: an answer to any call since this one was sent says more than the want of
/// one here, which may be that of one connection.
async fn ask(client: Client) -> Option<Error> {
    let before = client.transport().answers();
    let missed = client.probe().await.err();
    missed.filter(|_| client.transport().answers() == before)
}

// === impl Misses ===

impl Misses {
    /// What was asked up to now counts no more.
    pub(super) fn forget(&mut self) {
        self.last.mark_unchanged();
    }

    /// Why the next question got no answer. Safe to cancel.
    pub(super) async fn next(&mut self) -> Error {
        loop {
            if let Some(error) = self.heard().await {
                return error;
            }
        }
    }

    /// The same of the next question that is over: nothing if somebody answers. Safe to cancel.
    pub(super) async fn heard(&mut self) -> Option<Error> {
        if self.last.changed().await.is_err() {
            // Nobody asks any more: the process is to stop.
            return std::future::pending().await;
        }
        self.last.borrow_and_update().clone()
    }
}
