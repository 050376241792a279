//! Signals that end boskosctl, or go on to its command.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CtlError;

/// The signals that are passed on, as they come.
pub(crate) struct Signals(Vec<(i32, Signal)>);

const INTERRUPT: i32 = 2;

impl Signals {
    /// Takes over those that end a process.
    pub(crate) fn ending() -> Result<Self, CtlError> {
        Self::of(&[SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()])
    }

    /// Takes over all that a command may want to hear of.
    pub(crate) fn all() -> Result<Self, CtlError> {
        Self::of(&[
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ])
    }

    fn of(kinds: &[SignalKind]) -> Result<Self, CtlError> {
        let taken = kinds.iter().map(|kind| Ok((kind.as_raw_value(), signal(*kind)?)));
        taken.collect::<Result<_, _>>().map(Self).map_err(CtlError::Signals)
    }

    /// The number of the next one. Safe to cancel.
    pub(crate) async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// The exit code after such a signal.
    pub(crate) fn code(number: i32) -> u8 {
        u8::try_from(128 + number).unwrap_or(u8::MAX)
    }

    pub(crate) fn is_interrupt(number: i32) -> bool {
        number == INTERRUPT
    }
}
