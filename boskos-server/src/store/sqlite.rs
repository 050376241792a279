//! The embedded store: one SQLite file in a directory of its own.
//!
//! Everything is read at the start and kept in memory by the ranch; from then on the file is
//! written by one thread, which commits together what has queued up, and read for history only.

mod backup;
mod batch;
mod check;
mod deferred;
mod dir;
mod disturbance;
mod error;
mod format;
mod history;
mod load;
mod log;
mod queue;
mod row;
mod totals;
mod truth;
mod upgrade;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId, Sequence};
use parking_lot::Mutex;
use rusqlite::Connection;

#[doc(hidden)]
pub use self::disturbance::{Disturbance, Moment};
pub use self::{
    backup::{backup, restore},
    check::{Problem, Report, check_store},
    error::SqliteError,
};
use self::{
    dir::{Contents, DataDir},
    disturbance::Undisturbed,
    format::Access,
    history::History,
    queue::Queue,
    writer::Writer,
};
use super::{HistoryRow, LoadSink, Outcomes, Store, StoreError};

/// Whether there is a store in `dir`, of use or not.
///
/// # Errors
///
/// If that cannot be seen.
pub fn is_there(dir: &Path) -> Result<bool, SqliteError> {
    Ok(dir::contents(dir)? == Contents::Store)
}

/// What [`SqliteStore::open`] needs to know.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The directory; created if it is missing.
    pub dir: PathBuf,
    /// Whether a missing or empty directory is an error.
    pub must_exist: bool,
    /// Transitions kept as history; 0 keeps none.
    pub history_rows: u64,
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// Whether it is new: nothing was there before.
    pub created: bool,
    /// The absolute path of its directory.
    pub dir: PathBuf,
}

/// The embedded store. See the [module](self).
///
/// Dropped without [`Store::close`] it writes what was submitted and closes, too.
pub struct SqliteStore {
    path: PathBuf,
    queue: Arc<Queue>,
    history: History,
    running: Mutex<Option<Running>>,
}

/// What ends with [`Store::close`].
struct Running {
    writer: JoinHandle<Result<(), SqliteError>>,
    /// Held until the writer has closed the file.
    dir: DataDir,
}

impl SqliteStore {
    /// Opens the store in a directory, or begins a new one there.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used, another server uses it, or its file is not one that this
    /// version can go on with. Nothing that is there is changed then.
    pub fn open(options: SqliteOptions) -> Result<Opened, SqliteError> {
        Self::open_disturbed(options, Arc::new(Undisturbed))
    }

    /// [`Self::open`] with something between the writer and SQLite. For tests.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    #[doc(hidden)]
    pub fn open_disturbed(options: SqliteOptions, disturbance: Arc<dyn Disturbance>) -> Result<Opened, SqliteError> {
        let SqliteOptions { dir, must_exist, history_rows } = options;
        let before = dir::contents(&dir)?;
        if must_exist && before == Contents::Nothing {
            return Err(SqliteError::Missing { dir: absolute(&dir) });
        }
        if let Contents::Strange(found) = before {
            return Err(SqliteError::Strange { dir: absolute(&dir), found });
        }
        let dir = DataDir::claim(&dir)?;
        // Whoever had the lock until now may have made one.
        let created = dir::contents(dir.path())? != Contents::Store;
        if created {
            create(&dir)?;
        }
        let path = dir.file();
        let connection = open_file(&path)?;
        let history = History::open(&path)?;
        let queue = Arc::new(Queue::default());
        let writer = Writer { path: path.clone(), history_rows, queue: queue.clone(), disturbance };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(connection))
            .map_err(SqliteError::Thread)?;
        let opened = dir.path().to_owned();
        let running = Mutex::new(Some(Running { writer, dir }));
        let store = Self { history, path, queue, running };
        Ok(Opened { store, created, dir: opened })
    }

    fn shut(&self) -> Result<(), SqliteError> {
        let Some(Running { writer, dir }) = self.running.lock().take() else { return Ok(()) };
        // The writer is to be the last who has the file open: only the last takes the log away.
        self.history.close();
        self.queue.close();
        let closed = writer.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        dir.give_up();
        closed
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn load(&self, sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        Ok(load::load(&self.path, sink)?)
    }

    fn start(&self, outcomes: Arc<dyn Outcomes>) {
        self.queue.start(outcomes);
    }

    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        self.queue.submit(plans, known);
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        Ok(self.history.rows(newest, limit)?)
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(self.shut()?)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::error!(%error, "the store was not closed in order");
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Begins a new store: it is there with all its tables or not at all.
fn create(dir: &DataDir) -> Result<(), SqliteError> {
    dir::make_private(dir.path());
    dir.put_file(|path| {
        let error = || SqliteError::sqlite("write", path);
        let connection = format::connect(path, Access::Write)?;
        let (application, format) = (format::APPLICATION_ID, format::FORMAT);
        let settings = format!("PRAGMA application_id = {application}; PRAGMA user_version = {format};");
        connection
            .execute_batch(&format!("BEGIN; {settings} {} {} COMMIT;", format::SCHEMA, format::DEFERRAL))
            .map_err(error())?;
        writer::empty_log(&connection).map_err(error())?;
        connection.close().map_err(|(_, source)| error()(source))
    })
}

/// Opens a file that may have been damaged, written by another version, or put there by mistake.
fn open_file(path: &Path) -> Result<Connection, SqliteError> {
    format::inspect(path)?;
    log::check(path)?;
    let connection = format::connect(path, Access::Write)?;
    let found = format::format_of(&connection, path)?;
    format::check_format(path, found)?;
    format::check_if_small(&connection, path)?;
    upgrade::upgrade(&connection, path, found)?;
    Ok(connection)
}
