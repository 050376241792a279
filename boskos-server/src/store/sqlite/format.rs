//! The file: its format, and how it is opened.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::SqliteError;

/// The store's file in its directory. SQLite keeps `boskos.db-wal` and `boskos.db-shm` beside it.
pub(super) const FILE: &str = "boskos.db";

/// Says in the file whose it is: "bosk".
pub(super) const APPLICATION_ID: u32 = 0x626f_736b;

/// The format that this version writes.
pub(super) const FORMAT: u32 = 2;

/// Pages after which a commit also moves the log into the file: 8 MB of log. It is written over from its beginning then,
/// and a sync of what a file had already takes two thirds of the time of one that makes it longer.
const CHECKPOINT_PAGES: u32 = 2_000;

/// What the writing connection may cache, in KiB. Little: it writes pages, it hardly reads any.
const WRITER_CACHE_KIB: u32 = 32 * 1024;

/// What each reading connection may cache, in KiB.
const READER_CACHE_KIB: u32 = 1024;

/// How long someone else's write lock, an operator's tool's for instance, is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// Files up to this many bytes are checked whole at every start; larger ones, which that would
/// delay too long, row by row as they are read.
const SMALL: u64 = 64 * 1024 * 1024;

/// The tables.
///
/// No column but the keys has an index: rows are found by key, and everything else is answered
/// from memory. The views are for people.
pub(super) const SCHEMA: &str = "
CREATE TABLE resource (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT,
    updated INTEGER NOT NULL,         -- nanoseconds since 1970
    expires INTEGER,                  -- nanoseconds since 1970
    sequence INTEGER NOT NULL,        -- order of updates
    last_transition INTEGER NOT NULL, -- newest row in history, 0 if none
    leaving INTEGER NOT NULL,         -- 1: being cleaned on the way to tombstone
    user_data TEXT,                   -- JSON object
    checksum INTEGER NOT NULL         -- CRC-32 of the row
) STRICT;
CREATE TABLE lifecycle (
    type TEXT PRIMARY KEY,
    definition TEXT NOT NULL,         -- JSON, keys as in the config
    draining INTEGER NOT NULL,        -- 1: the type left the config
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE place (
    number INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    request_id TEXT NOT NULL,
    joined INTEGER NOT NULL,          -- nanoseconds since 1970
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE total (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,           -- how often resources of the type came to the state
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL,        -- the same resource's row before, 0 if none
    at INTEGER NOT NULL,              -- nanoseconds since 1970
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    from_state TEXT,                  -- null: created
    from_owner TEXT,
    to_state TEXT,                    -- null: deleted
    to_owner TEXT,
    checksum INTEGER NOT NULL,
    key INTEGER,                      -- the resource's, if its own row is written later
    expires INTEGER,
    leaving INTEGER
) STRICT;
CREATE TABLE mark (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIEW transitions AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1e9, 'unixepoch') AS at, name, type,
        from_state, from_owner, to_state, to_owner
    FROM history ORDER BY id;
";

/// The view of resources as they are, their own rows being up to date or not; and what keeps an operator who prunes
/// history from taking what a resource still needs.
pub(super) const DEFERRAL: &str = "
CREATE TRIGGER needed_history BEFORE DELETE ON history
WHEN old.key IS NOT NULL AND old.id > coalesce((SELECT value FROM mark WHERE name = 'entered'), 0)
BEGIN
    SELECT RAISE(ABORT, 'a resource still needs this row of history: stop the server first, then all are free to go');
END;
CREATE VIEW resources AS
    WITH late AS (
        SELECT key, max(id) AS id, to_state, to_owner, at, expires FROM history
        WHERE key IS NOT NULL AND id > coalesce((SELECT value FROM mark WHERE name = 'entered'), 0)
        GROUP BY key
    )
    SELECT name, type, iif(late.id IS NULL, state, to_state) AS state,
        coalesce(iif(late.id IS NULL, owner, to_owner), '') AS owner,
        strftime('%Y-%m-%dT%H:%M:%fZ', iif(late.id IS NULL, updated, at) / 1e9, 'unixepoch') AS updated,
        strftime('%Y-%m-%dT%H:%M:%fZ', iif(late.id IS NULL, resource.expires, late.expires) / 1e9, 'unixepoch')
            AS expires,
        user_data
    FROM resource LEFT JOIN late ON late.key = resource.key AND late.id > last_transition
    ORDER BY name;
";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The one that writes.
    Write,
    /// One that reads while another writes.
    Read,
    /// One that reads a file that nobody writes, and creates none beside it.
    Immutable,
}

/// Looks at the first bytes of a file before SQLite does; its format.
///
/// # Errors
///
/// If it is not a whole file of a format that this version knows.
pub(super) fn inspect(path: &Path) -> Result<u32, SqliteError> {
    let mut header = Vec::with_capacity(100);
    let mut file = File::open(path).map_err(SqliteError::file("open", path))?;
    file.by_ref().take(100).read_to_end(&mut header).map_err(SqliteError::file("read", path))?;
    let has = file.metadata().map_err(SqliteError::file("read", path))?.len();
    if has == 0 {
        return Err(SqliteError::Empty { path: path.into() });
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(SqliteError::NotSqlite { path: path.into() });
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let application = word(68);
    if application != APPLICATION_ID {
        return Err(SqliteError::OtherProgram { path: path.into(), found: application });
    }
    let format = word(60);
    check_format(path, format)?;
    // The largest page does not fit the field and is spelled 1.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let needs = page * u64::from(word(28));
    // Pages at the end may be in the log alone, until it is moved into the file.
    if has < needs && !has_log(path) {
        return Err(SqliteError::Cut { path: path.into(), has, needs });
    }
    Ok(format)
}

/// Whether a log with content lies beside the file.
pub(super) fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The path with something added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses formats that this version does not know.
pub(super) fn check_format(path: &Path, found: u32) -> Result<(), SqliteError> {
    match found {
        0 => Err(SqliteError::UnknownFormat { path: path.into(), found }),
        1..=FORMAT => Ok(()),
        _ => {
            let copy = super::upgrade::copy_for(path, FORMAT);
            Err(SqliteError::Newer { path: path.into(), found, known: FORMAT, copy })
        }
    }
}

/// Opens a file that was looked at.
///
/// # Errors
///
/// If SQLite cannot, or does not do as told.
pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, SqliteError> {
    let opened = match access {
        Access::Write => {
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        }
        Access::Read => {
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        }
        Access::Immutable => Connection::open_with_flags(
            immutable_uri(path),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
        ),
    };
    let connection = opened.map_err(SqliteError::sqlite("open", path))?;
    connection.busy_timeout(BUSY).map_err(SqliteError::sqlite("open", path))?;
    let cache = if access == Access::Write { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
    let settings = format!("PRAGMA cache_size = -{cache}; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;");
    connection.execute_batch(&settings).map_err(SqliteError::sqlite("open", path))?;
    if access == Access::Write {
        make_safe(&connection, path)?;
    }
    Ok(connection)
}

/// Opens a file that was looked at for reading alone, be it beside a running server or where nothing can be written.
///
/// SQLite makes an index of the log beside the file, at the first look. Where it cannot, a file without a log is
/// nobody's: whoever writes it has one, be it empty.
///
/// # Errors
///
/// If SQLite cannot, or cannot read the log.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, SqliteError> {
    match connect(path, Access::Read) {
        Err(SqliteError::Sqlite { why, .. }) if why.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            if beside(path, "-wal").exists() {
                return Err(SqliteError::LogBesideReadOnly { path: path.into() });
            }
            connect(path, Access::Immutable)
        }
        other => other,
    }
}

/// Has every commit reach the disk before it counts, and makes sure of it.
fn make_safe(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let settings = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    );
    connection.execute_batch(&settings).map_err(SqliteError::sqlite("open", path))?;
    for (pragma, asked) in [("journal_mode", "wal"), ("synchronous", "2")] {
        let found = setting(connection, pragma).map_err(SqliteError::sqlite("open", path))?;
        if found != asked {
            return Err(SqliteError::Setting { path: path.into(), pragma, asked, found });
        }
    }
    Ok(())
}

/// What a PRAGMA says, as text.
pub(super) fn setting(connection: &Connection, pragma: &str) -> rusqlite::Result<String> {
    connection.pragma_query_value(None, pragma, |row| {
        let value = row.get_ref(0)?;
        value.as_i64().map(|number| number.to_string()).or_else(|_| Ok(value.as_str()?.to_owned()))
    })
}

/// The format of an open file: that in the log counts.
pub(super) fn format_of(connection: &Connection, path: &Path) -> Result<u32, SqliteError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(SqliteError::sqlite("read", path))
}

/// Checks the file whole unless that takes too long.
///
/// # Errors
///
/// If it is damaged.
pub(super) fn check_if_small(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let doing = "check";
    let number =
        |pragma| connection.pragma_query_value::<u64, _>(None, pragma, |row| row.get::<_, u32>(0).map(u64::from));
    let pages = number("page_count").map_err(SqliteError::sqlite(doing, path))?;
    let page = number("page_size").map_err(SqliteError::sqlite(doing, path))?;
    if pages * page > SMALL {
        return Ok(());
    }
    let what: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(SqliteError::sqlite(doing, path))?;
    if what == "ok" { Ok(()) } else { Err(SqliteError::Damaged { path: path.into(), what: one_line(&what) }) }
}

/// SQLite's findings come on several lines.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The path as a URI that says that nobody writes the file.
fn immutable_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    const SAFE: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    let path = percent_encoding::percent_encode(path.as_os_str().as_bytes(), SAFE);
    format!("file:{path}?immutable=1")
}
