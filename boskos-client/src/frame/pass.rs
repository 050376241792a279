//! The pass loop: a pass whenever there is something to do.

use std::time::Duration;

use boskos_core::{MonoTime, ranch::command::Filter};
use boskos_runtime::signal::Shutdown;

use super::{
    Frame, Pool,
    away::Presence,
    pulse::{Misses, Pulse},
};
use crate::{Client, Error, Sequence, retry::Delays};

/// How long one call waits for something to turn up.
const WATCH: Duration = Duration::from_secs(50);

/// A watch that ends sooner than this with nothing is one that the server does not hold.
const HELD: Duration = Duration::from_secs(1);

/// An older server is asked again after this long whether it is a newer one by now.
const OLDER_FOR: Duration = Duration::from_secs(60);

/// The shortest pause after a pass that an older server is of no use for.
const OLDER_PAUSE: Duration = Duration::from_secs(3);

/// The longest pause after a pass that failed, or that did nothing though something matched.
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// Whether a pass did anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It found something to do.
    Did,
    /// It found nothing to do.
    Idle,
}

/// The work of a daemon.
pub trait Pass: Send {
    /// Does all that there is to do now, or starts it in `pool`, while that has room; returns without waiting for
    /// more to turn up. Cancelled when the process is to stop: what it holds then must go back by being dropped, as
    /// grants and leases do.
    ///
    /// An error ends this pass alone. One that [is away](Error::is_away) makes the process not ready until a pass
    /// succeeds.
    fn pass(&mut self, pool: &mut Pool) -> impl Future<Output = Result<Progress, Error>> + Send;

    /// What must turn up for the next pass to find something to do; `None` has it wait for the interval alone.
    /// Asked after each pass. What a pass leaves that did nothing, though the pool had room, rests: only what changes
    /// after that calls for the next one before the interval.
    fn wakes_on(&self) -> Option<Filter> {
        None
    }

    /// The longest time to the next pass; with an older server, which cannot tell what turns up, the only one. Asked
    /// after each pass, so that it may be the time to the next deadline.
    fn interval(&self) -> Duration;

    /// Ends when something besides the server calls for a pass, such as a followed file. Cancelled and called anew.
    fn called(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

pub(super) struct Loop {
    client: Client,
    shutdown: Shutdown,
    presence: Presence,
    /// The server is known to be an older one until then.
    older_until: Option<MonoTime>,
    /// What matched up to here was there for the last pass to see.
    seen: Option<Sequence>,
    idle: Delays,
}

// === impl Loop ===

impl Loop {
    pub(super) fn new(frame: &Frame) -> Self {
        let clock = frame.client.clock().clone();
        Self {
            client: frame.client.clone(),
            shutdown: frame.shutdown.clone(),
            presence: Presence::new(frame.readiness.clone(), frame.work.clone(), clock),
            older_until: None,
            seen: None,
            idle: Delays::new(Duration::from_millis(100), IDLE_PAUSE),
        }
    }

    /// Passes until the process is to stop.
    pub(super) async fn run<P: Pass>(mut self, mut pass: P, pool: &mut Pool) {
        let shutdown = self.shutdown.clone();
        let (pulse, mut misses) = Pulse::new(self.client.clone());
        tokio::select! {
            biased;
            // Also amid a pass, which may hang on a server that does: what was granted and not started goes back.
            _ = shutdown.triggered() => {}
            () = pulse.run() => {}
            () = async {
                loop {
                    self.once(&mut pass, pool, &mut misses).await;
                }
            } => {}
        }
    }

    /// One pass, and the time until the next.
    async fn once<P: Pass>(&mut self, pass: &mut P, pool: &mut Pool, misses: &mut Misses) {
        let rested = match self.pass_if_there(pass, pool, misses).await {
            Ok(was_idle) => self.rest(pass, pool, was_idle, misses).await,
            Err(error) => Err(error),
        };
        if let Err(error) = rested {
            let pause = self.pause_after(&error);
            self.client.clock().sleep(pause).await;
        }
    }

    /// One pass; tells whether it found nothing to do. A pass may well need no call, so that whether a server that was
    /// away is back is asked before.
    async fn pass_if_there<P: Pass>(
        &mut self,
        pass: &mut P,
        pool: &mut Pool,
        misses: &mut Misses,
    ) -> Result<bool, Error> {
        let was_here = self.presence.is_here();
        if !was_here {
            self.client.probe().await?;
        }
        misses.forget();
        pool.forget_refusals();
        let passing = pass.pass(pool);
        tokio::pin!(passing);
        let progress = loop {
            tokio::select! {
                biased;
                passed = &mut passing => break passed?,
                // It goes on: the answer may still come.
                missed = misses.heard() => match missed {
                    Some(error) => self.presence.missed(&self.client.url(), &error),
                    // What a pass before this one found holds again; else the end of this one tells.
                    None if was_here => self.presence.here(&self.client.url()),
                    None => {}
                },
            }
        };
        self.presence.here(&self.client.url());
        if progress == Progress::Did {
            self.idle.reset();
        }
        Ok(progress == Progress::Idle)
    }

    /// How long to do nothing at all after an error.
    fn pause_after(&mut self, error: &Error) -> Duration {
        let url = self.client.url();
        if error.is_away() {
            return self.presence.away(&url, error);
        }
        if matches!(error, Error::OlderServer { .. }) {
            return self.presence.away(&url, error).max(OLDER_PAUSE);
        }
        self.presence.here(&url);
        tracing::warn!(%error, "a pass failed");
        self.idle.next_delay()
    }

    /// Waits for what calls for the next pass.
    ///
    /// # Errors
    ///
    /// If the server is away by now.
    async fn rest<P: Pass>(
        &mut self,
        pass: &mut P,
        pool: &mut Pool,
        was_idle: bool,
        misses: &mut Misses,
    ) -> Result<(), Error> {
        let clock = self.client.clock().clone();
        let (filter, interval) = (pass.wakes_on(), pass.interval());
        // It did all that there was to do: what is left rests, and only news call for the next one.
        let was_idle = was_idle && !pool.has_refused();
        let is_full = pool.room() == 0;
        let watching = async {
            match filter {
                Some(filter) if !is_full => self.turned_up(&filter, was_idle).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            watched = watching => watched,
            () = pool.one_ended(), if is_full => Ok(()),
            () = pass.called() => Ok(()),
            () = clock.sleep(interval) => Ok(()),
            error = misses.next() => Err(error),
        }
    }

    /// Waits until something matches; without end where the server cannot tell.
    ///
    /// # Errors
    ///
    /// If the server is away.
    async fn turned_up(&mut self, filter: &Filter, was_idle: bool) -> Result<(), Error> {
        let clock = self.client.clock().clone();
        if let Some(until) = self.older_until {
            clock.sleep_until(until).await;
        }
        self.older_until = None;
        loop {
            let began = clock.mono();
            let since = self.seen.as_ref().filter(|_| was_idle);
            let watched = self.client.watch_since(filter, WATCH, since).await;
            if let Ok((_, sequence)) = &watched {
                self.seen.clone_from(sequence);
            }
            match watched {
                Ok((found, sequence)) if !found.is_empty() => {
                    if was_idle && sequence.is_none() {
                        // Something matches that the pass cannot do anything about, and the server cannot tell news
                        // from that: not again at once.
                        clock.sleep(self.idle.next_delay()).await;
                    }
                    return Ok(());
                }
                Ok(_) if clock.mono().saturating_since(began) < HELD => clock.sleep(HELD).await,
                Ok(_) => {}
                Err(Error::OlderServer { .. }) => {
                    self.older_until = Some(clock.mono().saturating_add(OLDER_FOR));
                    return std::future::pending().await;
                }
                Err(error) if error.is_away() => {
                    // Something on the way may let no call wait for so long. Whether the server is of use is for a
                    // pass to find out, if anybody answers.
                    self.client.probe().await?;
                    clock.sleep(self.idle.next_delay()).await;
                    return Ok(());
                }
                Err(_) => clock.sleep(self.idle.next_delay()).await,
            }
        }
    }
}
