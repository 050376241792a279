//! Trouble that may go on for long.

use std::time::Duration;

use boskos_runtime::text;
use tokio::time::Instant;

/// How often trouble that goes on is spoken of.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Says what is wrong when it begins, and once in a while.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    told: Option<Instant>,
}

impl Trouble {
    /// It begins, or goes on.
    pub(crate) fn goes_on(&mut self, what: &str, error: &dyn std::error::Error) {
        if self.told.is_none_or(|at| at.elapsed() > TELL_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(error = text::chain(error), "{what}");
        }
    }

    /// It is over; whether there was any.
    pub(crate) fn is_over(&mut self) -> bool {
        self.told.take().is_some()
    }
}
