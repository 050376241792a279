//! Reading a whole store and saying what is wrong with it.

use std::{fmt, path::Path};

use boskos_core::ResourceName;
use hashbrown::HashSet;

use super::{
    folder::Folder,
    format,
    intern::Interner,
    reader::for_each,
    row::{self, RowError},
    sqlite_error,
};
use crate::store::StoreError;

/// What a whole store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Resources.
    pub resources: u64,
    /// Lifecycles.
    pub lifecycles: u64,
    /// Queue places.
    pub places: u64,
    /// Transitions in history.
    pub history: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resources, lifecycles, places, history } = self;
        write!(
            f,
            "the store is whole: {resources} resources, {lifecycles} lifecycles, {places} queue places, \
             {history} transitions"
        )
    }
}

/// Reads all of the store in `dir`, beside whoever writes it.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_store(dir: &Path) -> Result<Report, StoreError> {
    let folder = Folder::new(dir.to_owned());
    if !folder.has_store()? {
        return Err(StoreError::Missing { dir: dir.to_owned() });
    }
    check_file(&folder.store())
}

/// Reads all of a store's file, or of a backup.
pub(super) fn check_file(path: &Path) -> Result<Report, StoreError> {
    let connection = format::open_beside(path)?;
    // One moment for all that follows.
    connection.execute_batch("BEGIN").map_err(sqlite_error("read", path))?;
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(sqlite_error("read", path))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged { path: path.to_owned(), why: verdict.replace('\n', " ") });
    }
    let mut report = Report::default();
    let mut interner = Interner::default();
    let mut names: HashSet<ResourceName> = HashSet::new();
    let mut twice = None;
    for_each(&connection, path, "resource", row::SELECT_RESOURCES, |row| {
        let name = row::read_resource(row, &mut interner)?.record.resource.name;
        report.resources += 1;
        if !names.insert(name.clone()) {
            twice.get_or_insert(name);
        }
        Ok(())
    })?;
    if let Some(name) = twice {
        return Err(StoreError::Damaged { path: path.to_owned(), why: format!("resource {name:?} is there twice") });
    }
    drop(names);
    let counted = |count: &mut u64| -> Result<(), RowError> {
        *count += 1;
        Ok(())
    };
    for_each(&connection, path, "lifecycle", row::SELECT_LIFECYCLES, |row| {
        row::read_lifecycle(row)?;
        counted(&mut report.lifecycles)
    })?;
    for_each(&connection, path, "place", row::SELECT_PLACES, |row| {
        row::read_place(row, &mut interner)?;
        counted(&mut report.places)
    })?;
    for_each(&connection, path, "total", row::SELECT_TOTALS, |row| row::read_total(row).map(drop))?;
    for_each(&connection, path, "history", row::SELECT_HISTORY, |row| {
        row::read_transition(row, &mut interner)?;
        counted(&mut report.history)
    })?;
    Ok(report)
}
