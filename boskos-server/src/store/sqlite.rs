//! The embedded store: one SQLite file in a folder of its own.
//!
//! One writer thread commits what has queued up in one transaction, synced before anything of it
//! is reported. Reads are from the ranch; history is read over a second connection.

mod batch;
mod check;
mod copy;
mod folder;
mod format;
mod intern;
mod reader;
mod row;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use boskos_core::ranch::plan::{Outcome, Plan, PlanId, Sequence};
use boskos_runtime::text;
use parking_lot::Mutex;
use rusqlite::Connection;

pub use self::{
    check::{Report, check_store},
    copy::{backup, restore},
};
use self::{
    folder::{Folder, Lock},
    reader::Reader,
    writer::{Queue, Writer},
};
use super::{HistoryRow, LoadSink, Outcomes, Store, StoreError};

/// How to open an embedded store.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// Whether a missing or empty store is an error.
    pub must_exist: bool,
    /// Transitions kept as history; the oldest go first.
    pub history_rows: u64,
}

/// The embedded store. See the [module](self).
pub struct SqliteStore {
    path: PathBuf,
    history_rows: u64,
    queue: Arc<Queue>,
    /// The writer's connection, until it starts.
    connection: Mutex<Option<Connection>>,
    reader: Arc<Mutex<Option<Reader>>>,
    writer: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    /// Held while the store is open.
    lock: Mutex<Option<Lock>>,
}

/// An opened store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// Whether it is a new one.
    pub created: bool,
}

impl SqliteStore {
    /// Opens the store in a folder, or begins a new one where there is none.
    ///
    /// # Errors
    ///
    /// If the folder cannot be used, the store is in use, or what is there is damaged, newer or
    /// no store at all. Nothing is changed then.
    pub fn open(options: SqliteOptions) -> Result<Opened, StoreError> {
        let folder = Folder::new(options.dir);
        let missing = !folder.has_store()?;
        if missing && options.must_exist {
            return Err(StoreError::Missing { dir: folder.path().to_owned() });
        }
        folder.create()?;
        let lock = folder.lock()?;
        // Looked at again under the lock: another process may have been quicker.
        let created = !folder.has_store()?;
        if created {
            format::create(&folder)?;
        }
        let path = folder.store();
        let connection = format::open(&path)?;
        let store = Self {
            path,
            history_rows: options.history_rows,
            queue: Arc::default(),
            connection: Mutex::new(Some(connection)),
            reader: Arc::default(),
            writer: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Opened { store, created })
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn load(&self, sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        let connection = self.connection.lock();
        let connection = connection.as_ref().ok_or(StoreError::WriterGone)?;
        reader::load(connection, &self.path, sink)
    }

    fn start(&self, outcomes: Arc<dyn Outcomes>) {
        let Some(connection) = self.connection.lock().take() else { return };
        let writer = Writer {
            path: self.path.clone(),
            queue: self.queue.clone(),
            reader: self.reader.clone(),
            outcomes,
            history_rows: self.history_rows,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let thread =
            thread.spawn(move || writer.run(connection)).expect("a process that just started has room for a thread");
        *self.writer.lock() = Some(thread);
    }

    fn submit(&self, plans: &mut Vec<Plan>, _known: &mut Vec<(PlanId, Outcome)>) {
        self.queue.push(plans);
    }

    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        let mut reader = self.reader.lock();
        if reader.is_none() {
            *reader = Some(Reader::open(&self.path)?);
        }
        reader.as_mut().expect("just opened").history(newest, limit)
    }

    fn close(&self) -> Result<(), StoreError> {
        *self.reader.lock() = None;
        self.queue.close();
        let closed = match self.writer.lock().take() {
            Some(thread) => thread.join().unwrap_or(Err(StoreError::WriterGone)),
            None => Ok(()),
        };
        drop(self.connection.lock().take());
        drop(self.lock.lock().take());
        closed
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(error = text::chain(&error), "the store was not closed in order");
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Words an error of SQLite's.
fn sqlite_error(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, why: source.to_string() },
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotAStore { path, why: source.to_string() },
        _ => StoreError::Sqlite { what, path, source },
    }
}
