//! Lets tests break the writer at moments that cannot be brought about from outside.

use std::time::Duration;

use rusqlite::Connection;

/// Long enough that a client which calls now and then does not have each of its rows written by itself.
const QUIET: Duration = Duration::from_secs(10);

/// A moment in the life of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is written yet.
    Begin,
    /// Everything is about to be committed.
    Commit,
    /// Rows that were left for later are about to be written, though no plan is.
    Enter,
    /// Everything is committed, and the writer about to know.
    Committed,
    /// The file is about to be opened anew after a failure.
    Reopen,
}

/// Comes between the writer and SQLite. For tests.
pub trait Disturbance: Send + Sync + 'static {
    /// What the writer is to take for SQLite's answer at `moment`.
    ///
    /// # Errors
    ///
    /// As SQLite would fail.
    fn at(&self, moment: Moment, connection: &Connection) -> rusqlite::Result<()>;

    /// How long no plan must come before rows that were left for later are written all the same.
    fn quiet(&self) -> Duration {
        QUIET
    }
}

/// Does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undisturbed;

impl Disturbance for Undisturbed {
    fn at(&self, _moment: Moment, _connection: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }
}
