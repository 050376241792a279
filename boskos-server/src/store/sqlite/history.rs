//! Reads history beside the writer.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use boskos_core::ranch::plan::Sequence;
use parking_lot::Mutex;
use rusqlite::Connection;

use super::{
    error::SqliteError,
    format::{self, Access},
    load::RowError,
    row::{Checksum, Columns as _, HistoryColumns, verified},
};
use crate::store::HistoryRow;

/// How long the end waits for a reader: far longer than any takes, unless the disk hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// A read-only connection of its own. It is open as long as the store: one that came up only when it is needed would find
/// no room for the index of the log on a disk that is full by then.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl History {
    /// Opens the file once more.
    pub(super) fn open(path: &Path) -> Result<Self, SqliteError> {
        Ok(Self { path: path.into(), connection: Mutex::new(Some(format::connect(path, Access::Read)?)) })
    }

    /// The newest `limit` rows of the resource whose newest row is `newest`.
    pub(super) fn rows(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, SqliteError> {
        let connection = self.connection.lock();
        let connection = connection.as_ref().ok_or(SqliteError::Closed)?;
        follow(connection, newest, limit).map_err(|error| error.in_file(&self.path))
    }

    /// Lets go of the file, for good.
    pub(super) fn close(&self) {
        // Whoever reads from a disk that hangs lets go of it with the process.
        if let Some(mut connection) = self.connection.try_lock_for(PATIENCE) {
            connection.take();
        }
    }
}

fn follow(connection: &Connection, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, RowError> {
    let mut statement = connection.prepare_cached(&format!("{} WHERE id = ?", HistoryColumns::SELECT))?;
    let mut sum = Checksum::default();
    let mut shown = Vec::new();
    let mut next = newest.cast_signed();
    while next != 0 && shown.len() < limit {
        let mut rows = statement.query([next])?;
        let Some(row) = rows.next()? else { break };
        let row = verified::<HistoryColumns<'_>>(row, &mut sum)?;
        shown.push(row.shown());
        next = row.previous;
    }
    Ok(shown)
}
