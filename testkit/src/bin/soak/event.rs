//! What clients tell the soak, one JSON line each.

use std::{fmt, fs::File, io::Write as _, os::fd::AsFd as _, time::Duration};

use boskos_core::WallTime;
use serde::{Deserialize, Serialize};

/// A grant that a client read. No two are equal: owners are one process each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The resource.
    pub(crate) name: String,
    /// Who was granted it.
    pub(crate) owner: String,
    /// When, by the server: the time of the transition in its history.
    pub(crate) at: WallTime,
}

/// What happened to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It holds a resource, and the file.
    Granted {
        grant: Grant,
        waited_ms: u64,
        /// The note in the resource's user data.
        note: Option<String>,
        /// The file was a former holder's, who lost the resource by a reset.
        took_over: bool,
    },
    /// It is about to write a note to the user data.
    Noting { grant: Grant, note: String },
    /// The server has said that the note is written.
    Noted { grant: Grant, note: String, sent_at: WallTime },
    /// It has let go of the file and is about to send a release.
    Releasing { grant: Grant, dest: String },
    /// The server has said that the resource is released.
    Released { grant: Grant },
    /// It found that the resource is no longer its own, and stopped.
    Lost { grant: Grant, why: String },
    /// It ends without giving back, on purpose.
    Dying { grant: Grant },
    /// What must not be.
    Violation { text: String },
}

/// Where events go: a pipe that all clients share. A write up to `PIPE_BUF` (4 KiB) goes in whole or not at all,
/// whenever the writer is killed.
#[derive(Debug)]
pub(crate) struct Teller(File);

// === impl Grant ===

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (granted {})", self.owner, self.at)
    }
}

// === impl Teller ===

impl Teller {
    /// Tells on standard output.
    pub(crate) fn stdout() -> std::io::Result<Self> {
        Ok(Self(File::from(std::io::stdout().as_fd().try_clone_to_owned()?)))
    }

    /// # Errors
    ///
    /// If nobody listens.
    pub(crate) fn tell(&self, event: &Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        Ok((&self.0).write_all(line.as_bytes())?)
    }
}

/// Milliseconds for a line of JSON.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
