//! Whether the server is there, and who is told.

use std::time::Duration;

use boskos_core::MonoTime;
use boskos_runtime::health::Readiness;

use super::Work;
use crate::{Clock, Error, retry::Delays};

/// While the server is away, one line in this time.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The way out where a server cannot tell what there is.
const NAME_THEM: &str = "name the types with --resource-type, or those of mason with --config";

/// Follows whether the server is there.
#[derive(Debug)]
pub(super) struct Presence {
    readiness: Readiness,
    work: Work,
    clock: Clock,
    delays: Delays,
    /// When it was last said that the server is away, while it is.
    said: Option<MonoTime>,
}

// === impl Presence ===

impl Presence {
    pub(super) fn new(readiness: Readiness, work: Work, clock: Clock) -> Self {
        Self { readiness, work, clock, delays: Delays::of_process(), said: None }
    }

    /// Whether the last that is known of the server is good.
    pub(super) fn is_here(&self) -> bool {
        self.readiness.is_ready()
    }

    /// A pass went through.
    pub(super) fn here(&mut self, url: &str) {
        self.delays.reset();
        self.work.reached(true);
        if self.readiness.set_ready() && self.said.is_some() {
            tracing::info!(url, "the server is back");
        }
        self.said = None;
    }

    /// It did not; tells how long to wait before the next.
    pub(super) fn away(&mut self, url: &str, error: &Error) -> Duration {
        self.missed(url, error);
        self.delays.next_delay()
    }

    /// The server is away, whatever may still come of a pass that is under way.
    pub(super) fn missed(&mut self, url: &str, error: &Error) {
        self.work.reached(false);
        let now = self.clock.mono();
        let say = self.said.is_none_or(|said| now.saturating_since(said) >= SAY_EVERY);
        if say {
            self.said = Some(now);
        }
        if matches!(error, Error::OlderServer { .. }) {
            self.readiness.set_not_ready(&format!("{error}; {NAME_THEM}"));
            if say {
                tracing::warn!(url, %error, "{NAME_THEM}; trying again until it can tell");
            }
            return;
        }
        self.readiness.set_not_ready(&format!("the server is away: {error}"));
        if say {
            tracing::warn!(url, %error, "the server is away; trying again until it is back");
        }
    }
}
