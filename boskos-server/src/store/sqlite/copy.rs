//! Backups, and stores made of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    check::check_file,
    folder::{Folder, create_private, file_error, publish, remove_if_there},
    format, sqlite_error,
};
use crate::store::StoreError;

/// Copies the store in `dir` to the file `to`, beside whoever writes it: a store as of one moment.
///
/// # Errors
///
/// If there is no store, it cannot be read, or `to` is there already.
pub fn backup(dir: &Path, to: &Path) -> Result<(), StoreError> {
    let folder = Folder::new(dir.to_owned());
    if !folder.has_store()? {
        return Err(StoreError::Missing { dir: dir.to_owned() });
    }
    if to.exists() {
        return Err(StoreError::TargetExists { path: to.to_owned() });
    }
    let store = folder.store();
    let connection = format::open_beside(&store)?;
    let partial = with_suffix(to, ".partial");
    remove_if_there(&partial)?;
    // SQLite fills an empty file as it is, and this one is for its owner alone.
    drop(create_private(&partial)?);
    let target = partial
        .to_str()
        .ok_or_else(|| file_error("write", to)(io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8")))?;
    // It is the copy that is written, but SQLite counts that too.
    let writable = connection.execute_batch("PRAGMA query_only = 0");
    writable.and_then(|()| connection.execute("VACUUM INTO ?1", [target])).map_err(sqlite_error("copy", &store))?;
    publish(&partial, to)
}

/// Makes the backup `from` the store in `dir`, which must be empty or missing.
///
/// # Errors
///
/// If the backup is damaged, or there is something in `dir` already.
pub fn restore(from: &Path, dir: &Path) -> Result<(), StoreError> {
    let is_filled = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(file_error("read", dir)(error)),
    };
    if is_filled {
        return Err(StoreError::TargetExists { path: dir.to_owned() });
    }
    check_file(from)?;
    let folder = Folder::new(dir.to_owned());
    folder.create()?;
    let _lock = folder.lock()?;
    copy_file(from, &folder.store())
}

/// Copies a file, for its owner alone; it gets its name when it is whole.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let partial = with_suffix(to, ".partial");
    remove_if_there(&partial)?;
    let mut target = create_private(&partial)?;
    let mut source = fs::File::open(from).map_err(file_error("open", from))?;
    io::copy(&mut source, &mut target).map_err(file_error("write", &partial))?;
    drop(target);
    publish(&partial, to)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
