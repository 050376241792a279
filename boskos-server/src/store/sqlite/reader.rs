//! Reading the file: all of it at the start, history later.

use std::path::{Path, PathBuf};

use boskos_core::{ResourceType, ranch::plan::Sequence};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    batch, format,
    intern::Interner,
    row::{self, RowError, signed},
    sqlite_error,
};
use crate::store::{HistoryRow, LoadSink, StoreError};

/// Hands everything but history to `sink`, each row checked.
pub(super) fn load(connection: &Connection, path: &Path, sink: &mut dyn LoadSink) -> Result<(), StoreError> {
    let mut interner = Interner::default();
    let count: i64 = connection
        .query_row("SELECT count(*) FROM resource", [], |row| row.get(0))
        .map_err(sqlite_error("read", path))?;
    sink.expect_resources(usize::try_from(count).unwrap_or(0));
    for_each(connection, path, "lifecycle", row::SELECT_LIFECYCLES, |row| {
        sink.lifecycle(row::read_lifecycle(row)?);
        Ok(())
    })?;
    for_each(connection, path, "resource", row::SELECT_RESOURCES, |row| {
        sink.resource(row::read_resource(row, &mut interner)?);
        Ok(())
    })?;
    for_each(connection, path, "place", row::SELECT_PLACES, |row| {
        sink.place(row::read_place(row, &mut interner)?);
        Ok(())
    })?;
    for_each(connection, path, "total", row::SELECT_TOTALS, |row| {
        let (r#type, state, total) = row::read_total(row)?;
        sink.total(ResourceType::from(r#type), state, total);
        Ok(())
    })?;
    let progress = batch::read_progress(connection).map_err(sqlite_error("read", path))?;
    sink.sequence(progress.sequence);
    sink.place_number(progress.place);
    Ok(())
}

/// Reads every row of a table; a row that is not as written is named by its first column.
pub(super) fn for_each(
    connection: &Connection,
    path: &Path,
    table: &'static str,
    select: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), RowError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(select).map_err(sqlite_error("read", path))?;
    let mut rows = statement.query([]).map_err(sqlite_error("read", path))?;
    while let Some(row) = rows.next().map_err(sqlite_error("read", path))? {
        take(row).map_err(|error| damaged(path, table, row, &error))?;
    }
    Ok(())
}

fn damaged(path: &Path, table: &str, row: &Row<'_>, error: &RowError) -> StoreError {
    let key = row.get_ref(0).map(rusqlite::types::Value::try_from);
    let key = match key {
        Ok(Ok(rusqlite::types::Value::Integer(key))) => key.to_string(),
        Ok(Ok(rusqlite::types::Value::Text(key))) => format!("{key:?}"),
        _ => "with an unreadable key".to_owned(),
    };
    StoreError::Damaged { path: path.to_owned(), why: format!("row {key} of table {table}: {error}") }
}

/// A connection of its own for history.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: format::open_beside(path)?, path: path.to_owned() })
    }

    /// Follows a resource's rows from the newest back.
    pub(super) fn history(&mut self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        let path = &self.path;
        let transaction = self.connection.transaction().map_err(sqlite_error("read", path))?;
        let mut statement = transaction.prepare_cached(row::SELECT_TRANSITION).map_err(sqlite_error("read", path))?;
        let mut interner = Interner::default();
        let mut found = Vec::new();
        let mut next = newest;
        while next != 0 && found.len() < limit {
            let read = statement
                .query_row([signed(next)], |row| {
                    Ok(row::read_transition(row, &mut interner).map_err(|error| damaged(path, "history", row, &error)))
                })
                .optional()
                .map_err(sqlite_error("read", path))?;
            let Some(transition) = read.transpose()? else { break };
            next = transition.previous;
            found.push(HistoryRow::from(&transition));
        }
        Ok(found)
    }
}
