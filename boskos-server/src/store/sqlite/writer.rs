//! The one thread that writes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId};
use rusqlite::Connection;
use smallvec::SmallVec;

use super::{
    batch::{Failure, Session},
    disturbance::{Disturbance, Moment},
    error::SqliteError,
    format::{self, Access},
    queue::{Queue, Taken},
    truth,
};
use crate::{
    abort::AbortOnPanic,
    store::{Outcomes, StoreError},
};

/// How soon after a failure the file is tried again; twice as long every further time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Commits what is in the queue, reports what became of it, and finds its way back after
/// failures.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) history_rows: u64,
    pub(super) queue: Arc<Queue>,
    pub(super) disturbance: Arc<dyn Disturbance>,
}

/// How writing came to an end.
enum End {
    /// Everything is written, and no more will come.
    Closed,
    /// It failed; these plans may be written or not.
    Failed(SqliteError, Vec<Plan>),
}

/// The pause before the next try.
struct Backoff(Duration);

impl Writer {
    /// Writes until the queue is closed.
    pub(super) fn run(self, mut connection: Connection) -> Result<(), SqliteError> {
        // A writer that panics leaves plans behind of which nobody will ever hear.
        let _abort = AbortOnPanic::armed();
        let Some(outcomes) = self.queue.started() else { return self.finish(connection) };
        let mut backoff = Backoff(FIRST_PAUSE);
        let mut enters = true;
        loop {
            match self.serve(&connection, &*outcomes, &mut backoff, &mut enters) {
                End::Closed => return self.finish(connection),
                End::Failed(why, doubtful) => {
                    drop(connection);
                    tracing::debug!(error = %why, "the store is opened anew");
                    connection = self.recover(&why, doubtful, &*outcomes, &mut backoff)?;
                }
            }
        }
    }

    /// Commits batch after batch. When none comes, rows that were left for later are entered, as long as that
    /// `enters`: where it fails, it is not tried again until a batch was committed, whose callers it would cost theirs.
    fn serve(&self, connection: &Connection, outcomes: &dyn Outcomes, backoff: &mut Backoff, enters: &mut bool) -> End {
        let mut plans = Vec::new();
        let mut batch = Vec::new();
        let mut session = match Session::new(connection, self.history_rows, &*self.disturbance) {
            Ok(session) => session,
            Err(error) => return self.halt(error.in_file(&self.path), plans, &Outcome::NotWritten, outcomes),
        };
        let error = |error| SqliteError::sqlite("write to", &self.path)(error);
        let (mut last, mut is_quiet) = (0, false);
        loop {
            let quiet = if is_quiet { Duration::ZERO } else { self.disturbance.quiet() };
            let patience = Some(quiet).filter(|_| *enters && session.has_deferred());
            let taken = self.queue.take(&mut plans, last, patience);
            is_quiet = matches!(taken, Taken::Nothing);
            let written = match taken {
                Taken::Plans => session.write(&plans),
                Taken::Nothing => session.enter(false),
                Taken::End => return End::Closed,
            };
            last = plans.len();
            match written {
                Ok(()) if is_quiet => {}
                Ok(()) => {
                    *enters = true;
                    report(&mut plans, &Outcome::Committed(SmallVec::new()), &mut batch);
                    outcomes.settle(&mut batch);
                    *backoff = Backoff(FIRST_PAUSE);
                }
                Err(failure) if is_quiet => {
                    *enters = false;
                    drop(session);
                    return self.halt(error(failure.into_error()), plans, &Outcome::NotWritten, outcomes);
                }
                Err(Failure::NotWritten(why)) => {
                    drop(session);
                    return self.halt(error(why), plans, &Outcome::NotWritten, outcomes);
                }
                Err(Failure::Unknown(why)) => {
                    drop(session);
                    return self.halt(error(why), plans, &Outcome::Unknown, outcomes);
                }
            }
        }
    }

    /// Says that nothing can be written, then what that means for `failed` and what is queued.
    fn halt(&self, why: SqliteError, failed: Vec<Plan>, outcome: &Outcome, outcomes: &dyn Outcomes) -> End {
        let why = StoreError::from(why);
        outcomes.halted(&why);
        let StoreError::Sqlite(why) = why else { unreachable!("made of it just above") };
        let mut batch: Vec<_> = failed.iter().map(|plan| (plan.id, outcome.clone())).collect();
        report(&mut self.queue.halt(), &Outcome::NotWritten, &mut batch);
        outcomes.settle(&mut batch);
        End::Failed(why, if matches!(outcome, Outcome::Unknown) { failed } else { Vec::new() })
    }

    /// Tries until the file can be written again, and says what became of `doubtful`.
    fn recover(
        &self,
        why: &SqliteError,
        mut doubtful: Vec<Plan>,
        outcomes: &dyn Outcomes,
        backoff: &mut Backoff,
    ) -> Result<Connection, SqliteError> {
        let mut told = why.to_string();
        loop {
            let closing = !self.queue.pause(backoff.next());
            match self.reopen(&doubtful) {
                Ok((connection, written)) => {
                    let outcome = if written { Outcome::Committed(SmallVec::new()) } else { Outcome::NotWritten };
                    let mut batch = Vec::new();
                    report(&mut doubtful, &outcome, &mut batch);
                    if !batch.is_empty() {
                        outcomes.settle(&mut batch);
                    }
                    self.queue.resume();
                    outcomes.resumed();
                    return Ok(connection);
                }
                Err(why) if closing => return Err(why),
                Err(why) => {
                    let text = why.to_string();
                    if text != told {
                        outcomes.halted(&why.into());
                        told = text;
                    }
                }
            }
        }
    }

    /// Opens the file anew, makes sure that it can be written, and looks whether `doubtful` is in
    /// it.
    fn reopen(&self, doubtful: &[Plan]) -> Result<(Connection, bool), SqliteError> {
        let named = |error| SqliteError::sqlite("write to", &self.path)(error);
        let connection = format::connect(&self.path, Access::Write)?;
        self.disturbance.at(Moment::Reopen, &connection).map_err(named)?;
        // What a failed sync left in the log may be in the system's memory and not on the disk,
        // and no later sync would say so. So what counts is written once more, into the file, and
        // the log is cut off: then the file says for certain how it is, and nothing of a batch
        // that failed is left behind.
        empty_log(&connection).map_err(named)?;
        let written = !doubtful.is_empty() && truth::shows(&connection, doubtful).map_err(named)?;
        Session::new(&connection, self.history_rows, &*self.disturbance)
            .map_err(|error| error.in_file(&self.path))?
            .probe()
            .map_err(|failure| named(failure.into_error()))?;
        Ok((connection, written))
    }

    /// Brings the rows of all resources up to date.
    fn enter_all(&self, connection: &Connection) -> Result<(), SqliteError> {
        Session::new(connection, self.history_rows, &*self.disturbance)
            .map_err(|error| error.in_file(&self.path))?
            .enter(true)
            .map_err(|failure| SqliteError::sqlite("write to", &self.path)(failure.into_error()))
    }

    /// Moves the log into the file and closes it.
    fn finish(&self, connection: Connection) -> Result<(), SqliteError> {
        let named = |error| SqliteError::sqlite("close", &self.path)(error);
        // What is not entered now is at the next start.
        self.enter_all(&connection).unwrap_or_else(|error| {
            tracing::warn!(%error, "rows are left to be brought up to date at the next start");
        });
        let emptied = match empty_log(&connection) {
            // Someone reads: the log stays and is read at the next start.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
            other => other,
        };
        let closed = connection.close().map_err(|(_, error)| error);
        emptied.and(closed).map_err(named)
    }
}

/// Moves all of the log into the file, makes that last, and cuts the log off.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, Some("the log is being read".to_owned())));
    }
    Ok(())
}

fn report(plans: &mut Vec<Plan>, outcome: &Outcome, batch: &mut Vec<(PlanId, Outcome)>) {
    batch.extend(plans.drain(..).map(|plan| (plan.id, outcome.clone())));
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (2 * pause).min(LONGEST_PAUSE);
        pause
    }
}
