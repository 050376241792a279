//! Lets tests break the writer at moments that cannot be brought about from outside.

use rusqlite::Connection;

/// A moment in the life of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is written yet.
    Begin,
    /// Everything is about to be committed.
    Commit,
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
}

/// Does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undisturbed;

impl Disturbance for Undisturbed {
    fn at(&self, _moment: Moment, _connection: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }
}
