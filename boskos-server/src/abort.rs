//! Better no process than one whose state is torn.

use std::{process::abort, thread::panicking};

/// Ends the process when a panic comes through here.
#[derive(Debug)]
pub(crate) struct AbortOnPanic {
    /// What runs while an earlier panic unwinds tears nothing.
    was_panicking: bool,
}

impl AbortOnPanic {
    /// From now on, until this is dropped.
    pub(crate) fn armed() -> Self {
        Self { was_panicking: panicking() }
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if panicking() && !self.was_panicking {
            abort();
        }
    }
}
