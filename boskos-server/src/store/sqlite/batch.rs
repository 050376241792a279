//! Writes batches of plans, each in one transaction.

use boskos_core::ranch::plan::{Plan, Transition, Write};
use rusqlite::{Connection, ErrorCode, Statement, ffi};

use super::{
    deferred::Deferred,
    disturbance::{Disturbance, Moment},
    load::{Marks, RowError, count_history},
    row::{
        Checksum, HistoryColumns, LifecycleColumns, MarkColumns, PlaceColumns, ResourceColumns, TotalColumns,
        definition,
    },
    totals::Totals,
};

/// History rows that one batch trims at least, if so many are too many. More when it adds more.
const TRIM: u64 = 1_000;

/// Trimming begins when history is longer than asked by this fraction, at most [`SLACK_ROWS`]:
/// not with every row, which would touch one page more each time.
const SLACK: u64 = 64;
const SLACK_ROWS: u64 = 256;

/// The writing side of an open file: statements, and the numbers that change with every batch.
pub(super) struct Session<'c> {
    connection: &'c Connection,
    disturbance: &'c dyn Disturbance,
    statements: Statements<'c>,
    sum: Checksum,
    totals: Totals,
    deferred: Deferred,
    marks: Marks,
    /// Rows in history.
    rows: u64,
    /// Rows that history may have.
    limit: u64,
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    put: Statement<'c>,
    create: Statement<'c>,
    delete: Statement<'c>,
    put_place: Statement<'c>,
    delete_place: Statement<'c>,
    put_lifecycle: Statement<'c>,
    delete_lifecycle: Statement<'c>,
    put_total: Statement<'c>,
    put_mark: Statement<'c>,
    add_history: Statement<'c>,
    trim_history: Statement<'c>,
}

/// Why a batch is not committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it is in the file, nor will be.
    NotWritten(rusqlite::Error),
    /// It may be in the file.
    Unknown(rusqlite::Error),
}

/// What a batch changes besides rows of its own.
struct Draft {
    marks: Marks,
    rows: u64,
}

// === impl Session ===

impl<'c> Session<'c> {
    /// Begins to write to a file; `limit`: rows of history to keep.
    pub(super) fn new(
        connection: &'c Connection,
        limit: u64,
        disturbance: &'c dyn Disturbance,
    ) -> Result<Self, RowError> {
        let marks = Marks::read(connection)?;
        Ok(Self {
            connection,
            disturbance,
            statements: Statements::prepare(connection)?,
            sum: Checksum::default(),
            totals: Totals::read(connection)?,
            deferred: Deferred::read(connection, &marks, limit)?,
            marks,
            rows: count_history(connection)?,
            limit,
        })
    }

    /// Commits all of `plans`. After a failure the session is of no more use.
    pub(super) fn write(&mut self, plans: &[Plan]) -> Result<(), Failure> {
        let draft = self.fill(plans).map_err(Failure::NotWritten)?;
        self.commit()?;
        self.totals.keep();
        self.marks = draft.marks;
        self.rows = draft.rows;
        Ok(())
    }

    fn fill(&mut self, plans: &[Plan]) -> rusqlite::Result<Draft> {
        self.disturbance.at(Moment::Begin, self.connection)?;
        self.statements.begin.execute([])?;
        let mut draft = Draft { marks: self.marks, rows: self.rows };
        for write in plans.iter().flat_map(|plan| &plan.writes) {
            self.apply(write, &mut draft)?;
        }
        self.totals.write(&mut self.statements.put_total, &mut self.sum)?;
        self.deferred.enter(plans.len(), &mut self.statements.put, &mut self.sum, &mut draft.marks)?;
        self.write_marks(&draft.marks)?;
        self.trim(&mut draft)?;
        Ok(draft)
    }

    fn apply(&mut self, write: &Write, draft: &mut Draft) -> rusqlite::Result<()> {
        let (statements, sum) = (&mut self.statements, &mut self.sum);
        match write {
            Write::Put(put) => {
                if let Some(transition) = self.deferred.takes(put) {
                    self.deferred.add(put, transition);
                    return self.note(transition, &HistoryColumns::of_move(put, transition), draft);
                }
                self.deferred.forget(put.key.get());
                let row = ResourceColumns::of(put);
                if put.replaces.is_none() && row.write(&mut statements.create, sum)? == 1 {
                    draft.marks.resources += 1;
                } else {
                    row.write(&mut statements.put, sum)?;
                }
                if let Some(transition) = &put.transition {
                    self.note(transition, &HistoryColumns::of(transition), draft)?;
                }
            }
            Write::Delete(delete) => {
                self.deferred.forget(delete.key.get());
                let gone = statements.delete.execute([delete.key.get()])? as u64;
                draft.marks.resources = draft.marks.resources.saturating_sub(gone);
                draft.marks.sequence = draft.marks.sequence.max(delete.transition.id);
                self.note(&delete.transition, &HistoryColumns::of(&delete.transition), draft)?;
            }
            Write::PutPlace(record) => {
                PlaceColumns::of(record).write(&mut statements.put_place, sum)?;
            }
            Write::DeletePlace(number) => {
                statements.delete_place.execute([number.cast_signed()])?;
                draft.marks.place = draft.marks.place.max(*number);
            }
            Write::PutLifecycle(record) => {
                let definition = definition(record);
                LifecycleColumns::of(record, &definition).write(&mut statements.put_lifecycle, sum)?;
            }
            Write::DeleteLifecycle(r#type) => {
                statements.delete_lifecycle.execute([r#type.as_str()])?;
            }
        }
        Ok(())
    }

    /// Writes a row of history, if there is one, and counts the arrival.
    fn note(&mut self, transition: &Transition, row: &HistoryColumns<'_>, draft: &mut Draft) -> rusqlite::Result<()> {
        if self.limit > 0 {
            row.write(&mut self.statements.add_history, &mut self.sum)?;
            draft.rows += 1;
            self.deferred.noted();
        }
        if let Some(state) = &transition.counted {
            self.totals.count(&transition.r#type, state);
        }
        Ok(())
    }

    fn write_marks(&mut self, marks: &Marks) -> rusqlite::Result<()> {
        let changes = [
            (MarkColumns::SEQUENCE, self.marks.sequence, marks.sequence),
            (MarkColumns::PLACE, self.marks.place, marks.place),
            (MarkColumns::RESOURCES, self.marks.resources, marks.resources),
            (MarkColumns::ENTERED, self.marks.entered, marks.entered),
        ];
        for (name, old, new) in changes {
            if old != new {
                self.put_mark(name, new)?;
            }
        }
        Ok(())
    }

    fn put_mark(&mut self, name: &str, value: u64) -> rusqlite::Result<()> {
        let row = MarkColumns { name, value: value.cast_signed() };
        row.write(&mut self.statements.put_mark, &mut self.sum)?;
        Ok(())
    }

    /// Takes a bite off the old end of history if it is too long.
    fn trim(&mut self, draft: &mut Draft) -> rusqlite::Result<()> {
        let slack = (self.limit / SLACK).min(SLACK_ROWS);
        if draft.rows <= self.limit + slack {
            return Ok(());
        }
        let added = draft.rows.saturating_sub(self.rows);
        let bite = (draft.rows - self.limit).min(TRIM.max(2 * added));
        let spared = self.deferred.spares(&draft.marks);
        draft.rows -= self.statements.trim_history.execute([spared.cast_signed(), bite.cast_signed()])? as u64;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.disturbance.at(Moment::Commit, self.connection).map_err(classify)?;
        self.statements.commit.execute([]).map_err(classify)?;
        self.disturbance.at(Moment::Committed, self.connection).map_err(classify)
    }

    /// Whether rows of resources are not up to date.
    pub(super) fn has_deferred(&self) -> bool {
        self.deferred.is_open()
    }

    /// Commits some of the rows of resources that are not up to date, or all. After a failure the session is of no
    /// more use.
    pub(super) fn enter(&mut self, all: bool) -> Result<(), Failure> {
        let mut marks = self.marks;
        self.disturbance.at(Moment::Enter, self.connection).map_err(Failure::NotWritten)?;
        self.statements.begin.execute([]).map_err(Failure::NotWritten)?;
        let (deferred, put, sum) = (&mut self.deferred, &mut self.statements.put, &mut self.sum);
        let entered =
            if all { deferred.enter_all(put, sum, &mut marks) } else { deferred.enter_some(put, sum, &mut marks) };
        entered.map_err(Failure::NotWritten)?;
        self.write_marks(&marks).map_err(Failure::NotWritten)?;
        self.commit()?;
        self.marks = marks;
        Ok(())
    }

    /// Commits something that changes nothing, to see whether that is possible.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        self.disturbance.at(Moment::Begin, self.connection).map_err(Failure::NotWritten)?;
        self.statements.begin.execute([]).map_err(Failure::NotWritten)?;
        self.put_mark(MarkColumns::SEQUENCE, self.marks.sequence).map_err(Failure::NotWritten)?;
        self.commit()
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // A failed batch; closing the connection would do the same.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            put: connection.prepare(ResourceColumns::REPLACE)?,
            create: connection.prepare(ResourceColumns::CREATE)?,
            delete: connection.prepare("DELETE FROM resource WHERE key = ?")?,
            put_place: connection.prepare(PlaceColumns::REPLACE)?,
            delete_place: connection.prepare("DELETE FROM place WHERE number = ?")?,
            put_lifecycle: connection.prepare(LifecycleColumns::REPLACE)?,
            delete_lifecycle: connection.prepare("DELETE FROM lifecycle WHERE type = ?")?,
            put_total: connection.prepare(TotalColumns::REPLACE)?,
            put_mark: connection.prepare(MarkColumns::REPLACE)?,
            add_history: connection.prepare(HistoryColumns::INSERT)?,
            trim_history: connection.prepare(
                "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE id <= ? ORDER BY id LIMIT ?)",
            )?,
        })
    }
}

/// What a failed commit means.
///
/// Pages that could not all be handed to the system lack the mark that makes them count. Anything
/// else, a failed sync above all, may have left a whole transaction in the log, for whoever reads
/// it next to find.
fn classify(error: rusqlite::Error) -> Failure {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) || extended == Some(ffi::SQLITE_IOERR_WRITE) {
        Failure::NotWritten(error)
    } else {
        Failure::Unknown(error)
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn into_error(self) -> rusqlite::Error {
        match self {
            Self::NotWritten(error) | Self::Unknown(error) => error,
        }
    }
}
