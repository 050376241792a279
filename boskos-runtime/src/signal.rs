//! The signals that end a process or have it read its config again.
//!
//! SIGPIPE needs nothing: Rust ignores it, and a closed pipe is an error of the write that met it.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{exit, log};

/// The first signal, come again this soon, is still the same: `timeout` sends it to a process and then to the group that
/// the process is in.
const SAME: Duration = Duration::from_secs(1);

/// Why an orderly stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: an init or a cluster ends the process.
    Terminate,
    /// The process itself asked.
    Requested,
}

/// A token that is triggered once, when the process or a part of it should stop.
///
/// Clones are the same token.
#[derive(Clone, Debug)]
pub struct Shutdown {
    cause: Arc<watch::Sender<Option<Cause>>>,
}

/// The deadline passed before what was drained had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not finished {} s after the stop was asked for", deadline.as_secs_f64())]
pub struct Overdue {
    /// How long was waited.
    pub deadline: Duration,
}

/// SIGHUPs as they come.
#[derive(Debug)]
pub struct Hangups {
    signal: Signal,
}

/// Takes over SIGTERM and SIGINT: the first triggers the token, the second ends the process at once with 128 + signal,
/// but for the first one that comes again within a second.
///
/// They are served by a thread of their own, so that the second one works where the process is stuck.
///
/// # Errors
///
/// When the handlers or the thread cannot be had.
pub fn install() -> io::Result<Shutdown> {
    install_with(|| {})
}

/// The same, where `last` is to be done before the second signal ends the process. It must not wait for anything that
/// may be stuck.
///
/// # Errors
///
/// The same.
pub fn install_with(last: impl FnOnce() + Send + 'static) -> io::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let (terminate, interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let token = shutdown.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(serve(terminate, interrupt, token, last)))?;
    Ok(shutdown)
}

/// Takes over SIGHUP, which otherwise ends the process.
///
/// # Errors
///
/// When the handler cannot be had.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn hangups() -> io::Result<Hangups> {
    Ok(Hangups { signal: signal(SignalKind::hangup())? })
}

/// Waits for `work` to end, at most for `deadline`.
///
/// # Errors
///
/// When the deadline passed; `work` is dropped then.
pub async fn drain<F: Future>(deadline: Duration, work: F) -> Result<F::Output, Overdue> {
    tokio::time::timeout(deadline, work).await.map_err(|_| Overdue { deadline })
}

async fn serve(mut terminate: Signal, mut interrupt: Signal, shutdown: Shutdown, last: impl FnOnce()) {
    let first = next(&mut terminate, &mut interrupt).await;
    let came = Instant::now();
    tracing::info!(
        signal = first.name(),
        "stopping; another signal, or the same after a second, ends the process at once"
    );
    shutdown.trigger(first);
    let second = loop {
        let signal = next(&mut terminate, &mut interrupt).await;
        if signal != first || came.elapsed() >= SAME {
            break signal;
        }
    };
    last();
    let line = format!("{} while stopping: ended at once", second.name());
    if !log::fatal(&line) {
        exit::eprintln_quietly(&line);
    }
    log::flush();
    std::process::exit(128 + second.number());
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> Cause {
    tokio::select! {
        _ = terminate.recv() => Cause::Terminate,
        _ = interrupt.recv() => Cause::Interrupt,
    }
}

// === impl Cause ===

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Requested => "request",
        }
    }

    fn number(self) -> i32 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate | Self::Requested => 15,
        }
    }
}

// === impl Shutdown ===

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A token that no signal triggers.
    #[must_use]
    pub fn new() -> Self {
        Self { cause: Arc::new(watch::Sender::new(None)) }
    }

    /// Triggers the token. The first cause stays.
    pub fn trigger(&self, cause: Cause) {
        self.cause.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(cause);
            first
        });
    }

    /// Whether the token was triggered.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.cause.borrow().is_some()
    }

    /// Waits until the token is triggered and tells why; at once if it was. Safe to cancel.
    pub async fn triggered(&self) -> Cause {
        let mut cause = self.cause.subscribe();
        let told = cause.wait_for(Option::is_some).await.expect("self holds the sender");
        told.expect("waited for")
    }
}

// === impl Hangups ===

impl Hangups {
    /// Waits for the next SIGHUP; those that came since the last call count as one. Safe to cancel.
    pub async fn next(&mut self) {
        self.signal.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn token_wakes_who_waits_and_who_comes_late_and_keeps_the_first_cause() {
        let shutdown = Shutdown::new();
        let clone = shutdown.clone();
        let waiter = tokio::spawn(async move { clone.triggered().await });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_triggered());
        shutdown.trigger(Cause::Terminate);
        shutdown.trigger(Cause::Interrupt);
        assert_eq!(waiter.await.unwrap(), Cause::Terminate);
        assert_eq!(shutdown.triggered().await, Cause::Terminate);
        assert!(shutdown.is_triggered());
    }

    #[tokio::test]
    async fn drain_ends_at_the_deadline() {
        assert_eq!(drain(Duration::from_secs(60), async { 7 }).await, Ok(7));
        let deadline = Duration::from_millis(1);
        assert_eq!(drain(deadline, std::future::pending::<()>()).await, Err(Overdue { deadline }));
    }
}
