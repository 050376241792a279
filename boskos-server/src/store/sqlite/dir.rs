//! The directory that holds a store.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{error::SqliteError, format};

/// Whoever has this file locked has the store. It says which process that is.
const LOCK_FILE: &str = "boskos.lock";

/// A file under this name is not finished.
const UNFINISHED: &str = "boskos.db.new";

/// What an empty directory may hold: what we leave, and what file systems put into their roots.
const NOTHING: [&str; 6] =
    [LOCK_FILE, UNFINISHED, "boskos.db.new-wal", "boskos.db.new-shm", "boskos.db.new-journal", "lost+found"];

/// The directory of a store, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: File,
}

/// What a directory holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Nothing,
    Store,
    /// Something else; the name of one of its files.
    Strange(String),
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// If that is not possible, or another process has it.
    pub(super) fn claim(path: &Path) -> Result<Self, SqliteError> {
        let path = std::path::absolute(path).map_err(SqliteError::file("find", path))?;
        create(&path)?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(SqliteError::file("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Without the number the message still says enough.
                let _ = lock.read_to_string(&mut text);
                return Err(SqliteError::InUse { dir: path, pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(SqliteError::File { doing: "lock", path: lock_path, source });
            }
        }
        write_pid(&mut lock).map_err(SqliteError::file("write", lock_path))?;
        Ok(Self { path, lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store's file is.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(format::FILE)
    }

    /// Puts a new file into place all at once: `make` fills it under another name.
    ///
    /// # Errors
    ///
    /// If `make` fails, or the file cannot be made to last.
    pub(super) fn put_file(&self, make: impl FnOnce(&Path) -> Result<(), SqliteError>) -> Result<(), SqliteError> {
        let unfinished = self.path.join(UNFINISHED);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            remove_if_there(&format::beside(&unfinished, suffix))?;
        }
        new_file(&unfinished)?;
        make(&unfinished)?;
        sync(&unfinished)?;
        fs::rename(&unfinished, self.file()).map_err(SqliteError::file("rename", unfinished))?;
        sync(&self.path)
    }

    /// Lets others have it.
    pub(super) fn give_up(self) {
        // The lock ends with the file at the latest.
        let _ = self.lock.unlock();
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// What is in a directory; a missing one is empty.
///
/// # Errors
///
/// If it cannot be read.
pub(super) fn contents(path: &Path) -> Result<Contents, SqliteError> {
    if path.join(format::FILE).symlink_metadata().is_ok() {
        return Ok(Contents::Store);
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Contents::Nothing),
        Err(source) => return Err(SqliteError::File { doing: "read", path: path.into(), source }),
    };
    for entry in entries {
        let name = entry.map_err(SqliteError::file("read", path))?.file_name();
        let name = name.to_string_lossy();
        if !NOTHING.contains(&&*name) {
            return Ok(Contents::Strange(name.into_owned()));
        }
    }
    Ok(Contents::Nothing)
}

/// Creates a directory, and those above it, that will still be there after a crash.
fn create(path: &Path) -> Result<(), SqliteError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create(parent)?;
        DirBuilder::new().mode(0o700).create(path).map_err(SqliteError::file("create", path))?;
        sync(parent)?;
    }
    Ok(())
}

/// Takes from everyone else what a directory of ours that is new may have given them.
pub(super) fn make_private(path: &Path) {
    // It may belong to someone else, as a mounted volume does; the files in it are private anyway.
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
}

/// Creates an empty file that nobody else may read.
///
/// # Errors
///
/// If it cannot be created, or exists.
pub(super) fn new_file(path: &Path) -> Result<(), SqliteError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            SqliteError::TargetExists { path: path.into() }
        } else {
            SqliteError::File { doing: "create", path: path.into(), source }
        }
    })?;
    // The process' umask may have taken more.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(SqliteError::file("create", path))
}

/// Makes a file or directory last.
///
/// # Errors
///
/// If that fails.
pub(super) fn sync(path: &Path) -> Result<(), SqliteError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(SqliteError::file("sync", path))
}

/// Removes a file.
///
/// # Errors
///
/// If it is there and cannot be removed.
pub(super) fn remove_if_there(path: &Path) -> Result<(), SqliteError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SqliteError::File { doing: "remove", path: path.into(), source })
        }
        _ => Ok(()),
    }
}
