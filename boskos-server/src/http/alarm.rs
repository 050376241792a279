//! The one timer of a connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    task::coop,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    limits::Limits,
    traffic::{Phase, Traffic},
};

/// Ends a connection that waits too long for its client.
///
/// Moving a timer costs more than a request may, so a later deadline does not move it: it fires at the earlier time
/// and is set anew then. On a busy connection it moves once per idle limit, not once per request.
#[derive(Debug)]
pub(crate) struct Alarm {
    phase: Phase,
    progress: u32,
    calls: u32,
    /// When the phase began; in phases that progress prolongs, when there was some last.
    since: Instant,
    /// When the timer fires; `None` while it will not wake the task.
    armed: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Until when the client may hold up a stop; `None` before there is one.
    stop_by: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            progress: 0,
            calls: 0,
            since: Instant::now(),
            armed: None,
            sleep: None,
            stop_by: None,
        }
    }

    /// Completes with what the connection waited for too long. To be called whenever the connection waits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, traffic: &Traffic, limits: &Limits) -> Poll<Phase> {
        let phase = traffic.phase();
        let progress = traffic.progress();
        let calls = traffic.calls();
        // A head must be whole in time however many bytes of it trickle in; only the next one has a time of its own.
        let is_prolonged = match phase {
            Phase::Head => calls != self.calls,
            Phase::Idle | Phase::Service | Phase::Write => progress != self.progress,
        };
        if phase != self.phase || is_prolonged {
            self.phase = phase;
            self.since = Instant::now();
        }
        self.progress = progress;
        self.calls = calls;
        let (limit, waits_for_client) = match phase {
            Phase::Idle => (Some(limits.idle), false),
            Phase::Head => (Some(limits.head), true),
            Phase::Write => (Some(limits.write), true),
            // A service bounds itself, and one whose request is whole is worth waiting for.
            Phase::Service => (None, traffic.has_unread_body()),
        };
        let stop_by = self.stop_by.filter(|_| waits_for_client);
        let Some(deadline) = limit.map(|limit| self.since + limit).into_iter().chain(stop_by).min() else {
            return Poll::Pending;
        };
        if self.wakes_before(deadline) {
            return Poll::Pending;
        }
        while Instant::now() < deadline {
            if self.arm(cx, deadline).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(phase)
    }

    /// From now on there is a stop, which the client may hold up until `by`.
    pub(crate) fn hurry(&mut self, by: Instant) {
        self.stop_by = Some(by);
    }

    fn wakes_before(&self, deadline: Instant) -> bool {
        let pending = self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed());
        pending && self.armed.is_some_and(|armed| armed <= deadline)
    }

    fn arm(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => self.sleep.insert(Box::pin(sleep_until(deadline))),
        };
        // Without budget a timer only has the task polled again and does not remember it.
        self.armed = coop::has_budget_remaining().then_some(deadline);
        sleep.as_mut().poll(cx)
    }
}
