//! Reads a whole store and says what is wrong with it.

use std::{fmt, path::Path};

use hashbrown::HashSet;
use rusqlite::Connection;

use super::{
    dir::{self, Contents},
    error::SqliteError,
    format,
    load::{Family, Marks, RowError},
    row::{
        Checksum, Columns, Damage, HistoryColumns, LifecycleColumns, MarkColumns, PlaceColumns, ResourceColumns,
        TotalColumns, Words, verified,
    },
};

/// Findings that are listed at most.
const PROBLEMS: usize = 100;

/// What a store holds and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of its format.
    pub format: u32,
    /// Resources.
    pub resources: u64,
    /// Lifecycles of dynamic types.
    pub lifecycles: u64,
    /// Queue places.
    pub places: u64,
    /// Totals of arrivals.
    pub totals: u64,
    /// Transitions.
    pub history: u64,
    /// What is wrong, at most 100 findings.
    pub problems: Vec<Problem>,
    /// Findings beyond those.
    pub more: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// SQLite finds the file malformed.
    File(String),
    /// A row is not what was written.
    Row {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// Two resources have one name.
    Twice {
        /// The name.
        name: String,
    },
    /// Resources are missing.
    Missing {
        /// Resources there are.
        has: u64,
        /// Resources there should be.
        needs: u64,
    },
}

/// Reads all of the store in `dir`: SQLite's own check, every row with its checksum, and that
/// names are unique. Works beside a running server, but not within its process, whose file locks
/// would be lost.
///
/// # Errors
///
/// If there is no store, or its file is not one that can be read at all; what is wrong with one
/// that can is in the report.
pub fn check_store(dir: &Path) -> Result<Report, SqliteError> {
    let path = existing(dir)?;
    let connection = format::connect_to_read(&path)?;
    check(&connection, &path)
}

/// The file of the store in `dir`, looked at.
pub(super) fn existing(dir: &Path) -> Result<std::path::PathBuf, SqliteError> {
    if dir::contents(dir)? != Contents::Store {
        return Err(SqliteError::NoStore { dir: super::absolute(dir) });
    }
    let path = super::absolute(dir).join(format::FILE);
    format::inspect(&path)?;
    Ok(path)
}

/// Reads everything in an open file.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<Report, SqliteError> {
    // Everything as of one moment, while a server goes on.
    let transaction = connection.unchecked_transaction().map_err(SqliteError::sqlite("read", path))?;
    let format = format::format_of(&transaction, path)?;
    format::check_format(path, format)?;
    let mut report = Report { format, ..Report::default() };
    report.check_file(&transaction, path)?;
    let mut words = Words::default();
    let mut names = HashSet::new();
    let mut twice = Vec::new();
    report.resources = report.check_rows::<ResourceColumns<'static>>(&transaction, path, |row| {
        let stored = row.stored(&mut words)?;
        if let Some(name) = names.replace(stored.record.resource.name) {
            twice.push(name.as_str().to_owned());
        }
        Ok(())
    })?;
    twice.into_iter().for_each(|name| report.add(Problem::Twice { name }));
    drop(names);
    report.lifecycles =
        report.check_rows::<LifecycleColumns<'static>>(&transaction, path, |row| row.record().map(drop))?;
    report.places = report.check_rows::<PlaceColumns<'static>>(&transaction, path, |_| Ok(()))?;
    report.totals = report.check_rows::<TotalColumns<'static>>(&transaction, path, |_| Ok(()))?;
    report.history = report.check_rows::<HistoryColumns<'static>>(&transaction, path, |_| Ok(()))?;
    report.check_rows::<MarkColumns<'static>>(&transaction, path, |_| Ok(()))?;
    if let Ok(marks) = Marks::read(&transaction)
        && report.resources < marks.resources
    {
        report.add(Problem::Missing { has: report.resources, needs: marks.resources });
    }
    Ok(report)
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// A failure that is damage is a finding, any other ends the check.
    fn found(&mut self, error: SqliteError) -> Result<(), SqliteError> {
        if !error.is_damage() {
            return Err(error);
        }
        let what = if let SqliteError::Damaged { what, .. } = error { what } else { error.to_string() };
        self.add(Problem::File(what));
        Ok(())
    }

    /// SQLite's own check.
    fn check_file(&mut self, connection: &Connection, path: &Path) -> Result<(), SqliteError> {
        let mut check = || -> rusqlite::Result<()> {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let finding: String = row.get(0)?;
                if finding != "ok" {
                    self.add(Problem::File(format::one_line(&finding)));
                }
            }
            Ok(())
        };
        let checked = check();
        checked.or_else(|error| self.found(SqliteError::sqlite("check", path)(error)))
    }

    /// Reads all rows of a table, also those after a damaged one; how many there are.
    fn check_rows<C: Family>(
        &mut self,
        connection: &Connection,
        path: &Path,
        mut check: impl FnMut(C::Of<'_>) -> Result<(), Damage>,
    ) -> Result<u64, SqliteError> {
        let mut count = 0;
        let mut sum = Checksum::default();
        let mut read = || -> Result<(), RowError> {
            let mut statement = connection.prepare(<C::Of<'static> as Columns<'static>>::select(self.format))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                count += 1;
                if let Err(Damage { table, key, what }) = verified::<C::Of<'_>>(row, &mut sum).and_then(&mut check) {
                    self.add(Problem::Row { table, key, what });
                }
            }
            Ok(())
        };
        let read = read();
        read.or_else(|error| self.found(error.in_file(path)))?;
        Ok(count)
    }
}

impl fmt::Display for Report {
    /// Findings, one a line, then one line with what there is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more findings", self.more)?;
        }
        let Self { format, resources, lifecycles, places, totals, history, .. } = self;
        write!(
            f,
            "{}: format {format}, {resources} resources, {lifecycles} lifecycles, {places} queue places, \
             {totals} totals, {history} transitions",
            if self.is_sound() { "sound" } else { "damaged" }
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(what) => write!(f, "file: {what}"),
            Self::Row { table, key, what } => write!(f, "table {table}, row {key}: {what}"),
            Self::Twice { name } => write!(f, "two resources are called {name:?}"),
            Self::Missing { has, needs } => write!(f, "{has} resources are there of {needs}"),
        }
    }
}
