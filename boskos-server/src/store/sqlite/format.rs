//! The format of the file: its tables, its number, its settings.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    folder::{Folder, create_private, file_error, publish, remove_if_there},
    sqlite_error,
};
use crate::store::StoreError;

/// The format that this version writes. A new one adds a step to [`UPGRADES`] and a small store to
/// `tests/data`.
pub(super) const FORMAT: i64 = 1;

/// What brings a store from the format at the index plus one to the next.
const UPGRADES: &[&str] = &[];

/// "bosk": tells our files from those of other programs.
const APPLICATION_ID: i64 = 0x626f_736b;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// Pages after which the log is carried over into the file by itself: 40 MB.
const CHECKPOINT_PAGES: i64 = 10_000;

/// The page cache, in KiB.
const CACHE_KIB: i64 = 32 * 1024;

const TABLES: &str = "
    CREATE TABLE resource (
        key INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, state TEXT NOT NULL, owner TEXT,
        last_update INTEGER NOT NULL, expiration INTEGER, user_data TEXT NOT NULL, sequence INTEGER NOT NULL,
        last_transition INTEGER NOT NULL, leaving INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE lifecycle (
        type TEXT PRIMARY KEY, lifecycle TEXT NOT NULL, draining INTEGER NOT NULL,
        checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE place (
        number INTEGER PRIMARY KEY, type TEXT NOT NULL, state TEXT NOT NULL, request_id TEXT NOT NULL,
        joined INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE total (
        type TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (type, state)) STRICT, WITHOUT ROWID;
    CREATE TABLE history (
        id INTEGER PRIMARY KEY, previous INTEGER NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL,
        type TEXT NOT NULL, from_state TEXT, from_owner TEXT, to_state TEXT, to_owner TEXT,
        checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE progress (
        id INTEGER PRIMARY KEY CHECK (id = 1), batch INTEGER NOT NULL, sequence INTEGER NOT NULL,
        place INTEGER NOT NULL) STRICT;
    INSERT INTO progress VALUES (1, 0, 0, 0);
    CREATE VIEW resources AS
        SELECT name, type, state, owner,
               strftime('%Y-%m-%dT%H:%M:%fZ', last_update / 1e9, 'unixepoch') AS last_update,
               strftime('%Y-%m-%dT%H:%M:%fZ', expiration / 1e9, 'unixepoch') AS expiration, user_data
        FROM resource ORDER BY name;";

/// Makes an empty store. It gets its name when it is whole.
pub(super) fn create(folder: &Folder) -> Result<(), StoreError> {
    let new = folder.new_store();
    for leftover in ["", "-wal", "-shm", "-journal"] {
        let mut name = new.clone().into_os_string();
        name.push(leftover);
        remove_if_there(Path::new(&name))?;
    }
    drop(create_private(&new)?);
    let connection = connect(&new)?;
    let tables = format!(
        "PRAGMA journal_mode = WAL; BEGIN; PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT}; {TABLES} COMMIT;"
    );
    connection.execute_batch(&tables).map_err(sqlite_error("create", &new))?;
    connection.close().map_err(|(_, error)| sqlite_error("create", &new)(error))?;
    publish(&new, &folder.store())
}

/// Opens a store for writing and makes sure that it is one, whole, and of our format.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    look_at_file(path)?;
    let connection = connect(path)?;
    let format = check_identity(&connection, path)?;
    // What a crash left in the log belongs into the file before its size says anything.
    let _: i64 = pragma(&connection, path, "wal_checkpoint(TRUNCATE)")?;
    check_size(&connection, path)?;
    if format < FORMAT {
        upgrade(&connection, path, format)?;
    }
    set_up(&connection, path)?;
    Ok(connection)
}

/// Opens a store for reading, beside whoever writes it.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    look_at_file(path)?;
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = 1").map_err(sqlite_error("open", path))?;
    check_identity(&connection, path)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite_error("open", path))?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(sqlite_error("open", path))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// What the first bytes tell, before SQLite could take an empty file for a new database.
fn look_at_file(path: &Path) -> Result<(), StoreError> {
    let mut magic = [0; MAGIC.len()];
    let mut file = File::open(path).map_err(file_error("open", path))?;
    let length = file.metadata().map_err(file_error("look at", path))?.len();
    if length == 0 {
        return Err(StoreError::Damaged { path: path.to_owned(), why: "it has 0 bytes".to_owned() });
    }
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Err(StoreError::NotAStore { path: path.to_owned(), why: "it is no SQLite file".to_owned() });
    }
    Ok(())
}

/// The format, if the file is ours and not too new.
fn check_identity(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let application: i64 = pragma(connection, path, "application_id")?;
    if application != APPLICATION_ID {
        let why = format!("it is another program's SQLite file, with application id {application:#x}");
        return Err(StoreError::NotAStore { path: path.to_owned(), why });
    }
    let found: i64 = pragma(connection, path, "user_version")?;
    if found > FORMAT {
        let copy = Some(Folder::copy_of_format(path, FORMAT)).filter(|copy| copy.exists());
        return Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT, copy });
    }
    if found < 1 {
        return Err(StoreError::NotAStore { path: path.to_owned(), why: format!("its format is {found}") });
    }
    Ok(found)
}

/// A file that was cut has fewer bytes than its pages need.
fn check_size(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pages: i64 = pragma(connection, path, "page_count")?;
    let page: i64 = pragma(connection, path, "page_size")?;
    let wanted = u64::try_from(pages.saturating_mul(page)).unwrap_or(u64::MAX);
    let length = fs::metadata(path).map_err(file_error("look at", path))?.len();
    if length < wanted {
        let why = format!("it has {length} bytes where its header says {wanted}: it was cut");
        return Err(StoreError::Damaged { path: path.to_owned(), why });
    }
    Ok(())
}

fn upgrade(connection: &Connection, path: &Path, from: i64) -> Result<(), StoreError> {
    upgrade_by(connection, path, from, UPGRADES)
}

/// Puts the old file aside, then takes it step by step to the newest format.
fn upgrade_by(connection: &Connection, path: &Path, from: i64, steps: &[&str]) -> Result<(), StoreError> {
    let copy = Folder::copy_of_format(path, from);
    if !copy.exists() {
        super::copy::copy_file(path, &copy)?;
    }
    tracing::warn!(from, to = FORMAT, copy = %copy.display(), "upgrading the store; the old one is put aside");
    let done = usize::try_from(from - 1).unwrap_or(0);
    for (index, step) in steps.iter().enumerate().skip(done) {
        let sql = format!("BEGIN IMMEDIATE; {step}; PRAGMA user_version = {}; COMMIT;", index + 2);
        connection.execute_batch(&sql).map_err(sqlite_error("upgrade", path))?;
    }
    Ok(())
}

/// The settings that durability rests on, read back.
fn set_up(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let settings = format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; \
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"
    );
    connection.execute_batch(&settings).map_err(sqlite_error("set up", path))?;
    let journal: String = pragma(connection, path, "journal_mode = WAL")?;
    let synchronous: i64 = pragma(connection, path, "synchronous")?;
    verify(path, "journal_mode", "wal", journal)?;
    verify(path, "synchronous", "2", synchronous.to_string())
}

fn verify(path: &Path, setting: &'static str, wanted: &'static str, found: String) -> Result<(), StoreError> {
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::Setting { path: path.to_owned(), setting, wanted, found })
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, path: &Path, what: &str) -> Result<T, StoreError> {
    connection.query_row(&format!("PRAGMA {what}"), [], |row| row.get(0)).map_err(sqlite_error("read", path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn new_store(dir: &tempfile::TempDir) -> PathBuf {
        let folder = Folder::new(dir.path().to_owned());
        create(&folder).unwrap();
        folder.store()
    }

    #[test]
    fn an_upgrade_puts_the_old_file_aside_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = new_store(&dir);
        let before = fs::read(&path).unwrap();
        let connection = open(&path).unwrap();
        upgrade_by(&connection, &path, 1, &["CREATE TABLE added (x INTEGER)"]).unwrap();
        drop(connection);
        assert_eq!(fs::read(Folder::copy_of_format(&path, 1)).unwrap(), before);

        let refused = open(&path).unwrap_err().to_string();
        for part in ["format 2", "format 1", "boskos.db.format-1"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }

    #[test]
    fn a_file_without_the_settings_of_durability_is_refused() {
        let path = Path::new("x");
        let refused = verify(path, "synchronous", "2", "0".to_owned()).unwrap_err();
        assert!(matches!(refused, StoreError::Setting { setting: "synchronous", .. }));
    }
}
