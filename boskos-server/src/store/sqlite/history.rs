//! Reads history beside the writer.

use std::path::{Path, PathBuf};

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

/// A read-only connection of its own, opened when it is first needed.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl History {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), connection: Mutex::new(None) }
    }

    /// The newest `limit` rows of the resource whose newest row is `newest`.
    pub(super) fn rows(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, SqliteError> {
        let mut connection = self.connection.lock();
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(format::connect(&self.path, Access::Read)?),
        };
        follow(connection, newest, limit).map_err(|error| error.in_file(&self.path))
    }

    /// Lets go of the file.
    pub(super) fn close(&self) {
        self.connection.lock().take();
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
