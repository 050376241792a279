//! What can be wrong with an embedded store, and the way out of it.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

use super::format;

/// Why the embedded store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// Another server has the directory.
    #[error(
        "{} is in use by another boskos-server{}: stop that one, or give this one a --data-dir of its own",
        dir.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it, as far as the lock file says.
        pid: Option<u32>,
    },
    /// There is no store where one must be.
    #[error(
        "there is no store in {}, and there must be one: mount the volume that holds it, or correct --data-dir; \
         to begin a new store, start without --data-must-exist",
        dir.display()
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// There is nothing to read.
    #[error("there is no store in {}: name the --data-dir of a server", dir.display())]
    NoStore {
        /// The directory.
        dir: PathBuf,
    },
    /// A directory that is neither a store nor empty.
    #[error(
        "{} holds {found} but no {}: name an empty or missing directory, or put the store's file back",
        dir.display(),
        format::FILE
    )]
    Strange {
        /// The directory.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// A restore would write over something.
    #[error("{} is not empty (it holds {found}): restore into an empty or missing directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// A backup would write over something.
    #[error("{} exists already: name a file that does not", path.display())]
    TargetExists {
        /// The file.
        path: PathBuf,
    },
    /// A file that is still being written to is no backup.
    #[error(
        "{} is the file of a running or crashed server, not a backup: make one with `boskos-server backup`",
        path.display()
    )]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// A file without content.
    #[error("{} is empty (0 bytes), it was cut off: {}", path.display(), way_out())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not a file of SQLite at all.
    #[error("{} is not a SQLite file, or its beginning is damaged: {}", path.display(), way_out())]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// Another program's file.
    #[error(
        "{} is a SQLite file of another program (application id {found:#010x}, a boskos store has {:#010x}): \
         move it away, or name another --data-dir",
        path.display(),
        format::APPLICATION_ID
    )]
    OtherProgram {
        /// The file.
        path: PathBuf,
        /// What the file says whose it is.
        found: u32,
    },
    /// Written by a later boskos-server.
    #[error(
        "{} has format {found}, and this boskos-server knows formats up to {known}: run the version that wrote it, or {}",
        path.display(),
        copy.as_ref().map_or_else(
            || "restore a backup that is as old as this version".to_owned(),
            |copy| format!("go back to {}, put aside before the upgrade, with `boskos-server restore`", copy.display())
        )
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
        /// The copy from before the upgrade.
        copy: Option<PathBuf>,
    },
    /// A format that no version wrote.
    #[error("{} has format {found}, which no version ever wrote: {}", path.display(), way_out())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The end of the file is missing.
    #[error("{} is cut off: it has {has} bytes of {needs}: {}", path.display(), way_out())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Bytes there are.
        has: u64,
        /// Bytes there should be.
        needs: u64,
    },
    /// SQLite finds the file malformed.
    #[error("{} is damaged ({what}): {}", path.display(), way_out())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A row is not what was written.
    #[error("{} is damaged (table {table}, row {key}: {what}): {}", path.display(), way_out())]
    DamagedRow {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// Commits in the log cannot be read any more.
    #[error(
        "{} is damaged (frame {frame} is not what was written, and later commits rest on it): it is left as it is; \
         restore a backup with `boskos-server restore`, or move this file away to go on without everything in it",
        path.display()
    )]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// The first frame that cannot be read; 0 is the log's header.
        frame: u64,
    },
    /// Rows are missing.
    #[error("{} is damaged (it has {has} resources of {needs}): {}", path.display(), way_out())]
    RowsMissing {
        /// The file.
        path: PathBuf,
        /// Rows there are.
        has: u64,
        /// Rows there should be.
        needs: u64,
    },
    /// SQLite does not do what it was told.
    #[error(
        "{}: {pragma} is {found:?} though {asked:?} was asked for: what is written there would not be safe; \
         use a local file system",
        path.display()
    )]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting.
        pragma: &'static str,
        /// What it was set to.
        asked: &'static str,
        /// What it is.
        found: String,
    },
    /// A file cannot be worked on.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was to be done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite cannot work on the file.
    #[error("cannot {doing} {}: {}", path.display(), in_words(why, *disk))]
    Sqlite {
        /// What was to be done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not. Told above, and no `source`: what SQLite says is in its causes once more.
        why: rusqlite::Error,
        /// What the system says of the disk, where that is the matter.
        disk: Option<&'static str>,
    },
    /// The file cannot be read with its log where nothing can be written.
    #[error(
        "{} cannot be read together with its log, as nothing can be written beside it: copy the folder to where you \
         can write, and name that with --data-dir",
        path.display()
    )]
    LogBesideReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The store was closed before.
    #[error("the store is closed")]
    Closed,
    /// A thread cannot be started.
    #[error("cannot start a thread for the store: {0}")]
    Thread(#[source] io::Error),
}

/// What to do about a file that cannot be used.
fn way_out() -> &'static str {
    "it is left as it is; `boskos-server check-store --data-dir DIR` says more, and \
     `boskos-server restore --data-dir NEWDIR --from BACKUP` makes a store of a backup"
}

/// What SQLite says, and what it keeps to itself: its code, and what the system has to say.
fn in_words(error: &rusqlite::Error, disk: Option<&str>) -> String {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let code = code.filter(|_| error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure));
    match (code, disk) {
        (Some(code), Some(disk)) => format!("{error} (SQLite's code {code}), and {disk}"),
        (Some(code), None) => format!("{error} (SQLite's code {code})"),
        (None, Some(disk)) => format!("{error}, and {disk}"),
        (None, None) => error.to_string(),
    }
}

/// Why a disk takes nothing, if that is to be seen.
fn of_disk(path: &Path) -> Option<&'static str> {
    let disk = rustix::fs::statvfs(path.parent()?).ok()?;
    if disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Some("its file system is read-only");
    }
    (disk.f_bavail == 0).then_some("its disk is full")
}

// === impl SqliteError ===

impl SqliteError {
    /// A failed file operation, for `map_err`.
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// A failure of SQLite, for `map_err`.
    pub(super) fn sqlite(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.into();
        move |why| match why.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, what: why.to_string() },
            Some(ErrorCode::NotADatabase) => Self::NotSqlite { path },
            _ if is_schema_error(&why) => Self::Damaged { path, what: why.to_string() },
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                let disk = of_disk(&path);
                Self::Sqlite { doing, path, why, disk }
            }
            _ => Self::Sqlite { doing, path, why, disk: None },
        }
    }

    /// Whether the content is at fault, not its surroundings.
    pub(super) const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::DamagedRow { .. } | Self::RowsMissing { .. } | Self::NotSqlite { .. }
        )
    }
}

/// A statement of ours that does not compile names a table or column that is not there.
fn is_schema_error(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqlInputError { .. })
        || (error.sqlite_error_code() == Some(ErrorCode::Unknown) && error.to_string().contains("no such"))
}
