//! The one thread that writes.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId};
use boskos_runtime::text;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use smallvec::SmallVec;

use super::{
    batch::{self, Progress},
    format,
    reader::Reader,
    sqlite_error,
};
use crate::store::{Outcomes, StoreError};

/// How long after a failure the next try comes; doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Plans committed together at most.
const MAX_BATCH: usize = 4_096;

/// Plans on their way to the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    plans: Vec<Plan>,
    closing: bool,
    waiting: bool,
}

impl Queue {
    pub(super) fn push(&self, plans: &mut Vec<Plan>) {
        let mut state = self.state.lock();
        state.plans.append(plans);
        if mem::take(&mut state.waiting) {
            drop(state);
            self.filled.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.filled.notify_one();
    }

    /// Moves what has queued up into `batch`, waiting for the first; whether to go on.
    fn take(&self, batch: &mut Vec<Plan>) -> bool {
        let mut state = self.state.lock();
        while state.plans.is_empty() {
            if state.closing {
                return false;
            }
            state.waiting = true;
            self.filled.wait(&mut state);
        }
        state.waiting = false;
        if state.plans.len() <= MAX_BATCH {
            mem::swap(&mut state.plans, batch);
        } else {
            batch.extend(state.plans.drain(..MAX_BATCH));
        }
        true
    }

    /// Waits up to `pause` for the end; whether it has come.
    fn closes_within(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.closing {
            self.filled.wait_for(&mut state, pause);
        }
        state.closing
    }
}

/// What the writer thread works with.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) queue: Arc<Queue>,
    pub(super) reader: Arc<Mutex<Option<Reader>>>,
    pub(super) outcomes: Arc<dyn Outcomes>,
    pub(super) history_rows: u64,
}

/// Why a batch is not committed, as far as is known.
enum Failure {
    /// It is not, for certain.
    NotWritten(rusqlite::Error),
    /// It may be: the failure came when it was being made durable.
    Unknown(rusqlite::Error),
}

/// A connection and what is known of the file behind it.
struct Pen {
    connection: Connection,
    progress: Progress,
    history_count: u64,
}

impl Writer {
    /// Writes until the queue closes, then closes the file.
    pub(super) fn run(self, connection: Connection) -> Result<(), StoreError> {
        let mut pen = match Pen::new(connection) {
            Ok(pen) => pen,
            Err(error) => self.reopen(sqlite_error("read", &self.path)(error)),
        };
        let mut plans = Vec::new();
        let mut outcomes = Vec::new();
        while self.queue.take(&mut plans) {
            match pen.commit(&plans, self.history_rows) {
                Ok(()) => {
                    report(&mut plans, &mut outcomes, &Outcome::Committed(SmallVec::new()));
                    self.outcomes.settle(&mut outcomes);
                }
                Err(failure) => pen = self.failed(pen, failure, &mut plans, &mut outcomes),
            }
        }
        pen.close(&self.path)
    }

    /// Reports a batch that failed, and comes back when the store can be written again.
    fn failed(&self, pen: Pen, failure: Failure, plans: &mut Vec<Plan>, outcomes: &mut Vec<(PlanId, Outcome)>) -> Pen {
        let wanted = pen.progress.batch + 1;
        match failure {
            Failure::NotWritten(error) => {
                self.outcomes.halted(&sqlite_error("write", &self.path)(error));
                report(plans, outcomes, &Outcome::NotWritten);
                self.outcomes.settle(outcomes);
                self.probe(pen)
            }
            Failure::Unknown(error) => {
                let why = sqlite_error("sync", &self.path)(error);
                self.outcomes.halted(&why);
                outcomes.extend(plans.iter().map(|plan| (plan.id, Outcome::Unknown)));
                self.outcomes.settle(outcomes);
                drop(pen);
                let pen = self.reopen(why);
                let truth = if pen.progress.batch >= wanted {
                    Outcome::Committed(SmallVec::new())
                } else {
                    Outcome::NotWritten
                };
                report(plans, outcomes, &truth);
                self.outcomes.settle(outcomes);
                self.probe(pen)
            }
        }
    }

    /// Tries with growing pauses until a write succeeds, or the store is to close.
    fn probe(&self, mut pen: Pen) -> Pen {
        let mut pause = FIRST_PAUSE;
        let mut outcomes = Vec::new();
        loop {
            if self.queue.closes_within(pause) {
                return pen;
            }
            // Who came meanwhile is told at once.
            let mut late = mem::take(&mut self.queue.state.lock().plans);
            report(&mut late, &mut outcomes, &Outcome::NotWritten);
            self.outcomes.settle(&mut outcomes);
            match pen.commit(&[], self.history_rows) {
                Ok(()) => {
                    self.outcomes.resumed();
                    return pen;
                }
                Err(Failure::NotWritten(error)) => tracing::debug!(%error, "the store still cannot be written"),
                Err(Failure::Unknown(error)) => {
                    drop(pen);
                    pen = self.reopen(sqlite_error("sync", &self.path)(error));
                }
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Opens the file anew, however long that takes: what is on it is the truth.
    fn reopen(&self, why: StoreError) -> Pen {
        // The last connection to go takes the state of the failed write with it.
        *self.reader.lock() = None;
        let mut pause = FIRST_PAUSE;
        let mut why = why;
        loop {
            let opened = format::open(&self.path)
                .and_then(|connection| Pen::new(connection).map_err(|error| sqlite_error("read", &self.path)(error)));
            match opened {
                Ok(pen) => return pen,
                Err(error) => {
                    if error.to_string() != why.to_string() {
                        tracing::error!(error = text::chain(&error), "the store cannot be opened again, trying on");
                        why = error;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }
}

fn report(plans: &mut Vec<Plan>, outcomes: &mut Vec<(PlanId, Outcome)>, outcome: &Outcome) {
    outcomes.extend(plans.drain(..).map(|plan| (plan.id, outcome.clone())));
}

impl Pen {
    fn new(connection: Connection) -> rusqlite::Result<Self> {
        let progress = batch::read_progress(&connection)?;
        let count: i64 = connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0))?;
        Ok(Self { connection, progress, history_count: count.unsigned_abs() })
    }

    /// Commits `plans`, all or none.
    fn commit(&mut self, plans: &[Plan], history_rows: u64) -> Result<(), Failure> {
        let connection = &self.connection;
        let run = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        run("BEGIN IMMEDIATE").map_err(Failure::NotWritten)?;
        let (progress, history_count) =
            batch::write(connection, plans, self.progress, self.history_count, history_rows).map_err(|error| {
                roll_back(connection);
                Failure::NotWritten(error)
            })?;
        run("COMMIT").map_err(|error| {
            roll_back(connection);
            // A full disk is met before the mark that makes a commit count is written.
            match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => Failure::NotWritten(error),
                _ => Failure::Unknown(error),
            }
        })?;
        self.progress = progress;
        self.history_count = history_count;
        Ok(())
    }

    fn close(self, path: &Path) -> Result<(), StoreError> {
        let carried = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        let closed = self.connection.close().map_err(|(_, error)| error);
        carried.and(closed).map_err(sqlite_error("close", path))
    }
}

/// Ends a transaction that failed; SQLite may have done so itself.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed transaction could not be rolled back");
    }
}
