//! Copies of a store, and stores from copies.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    check::{self, Report},
    dir::{self, Contents, DataDir},
    error::SqliteError,
    format::{self, Access},
};

/// Copies the store in `dir` to the file `to`, as it is at one moment, and checks the copy. Works
/// beside a running server, but not within its process, whose file locks would be lost.
///
/// # Errors
///
/// If there is no store, it is damaged, `to` exists, or the copy cannot be written. There is no
/// file `to` then, save the one that was there before.
pub fn backup(dir: &Path, to: &Path) -> Result<Report, SqliteError> {
    let path = check::existing(dir)?;
    let connection = format::connect_to_read(&path)?;
    let to = super::absolute(to);
    copy(&connection, &path, &to)
}

/// Makes a store in `dir`, which must be empty or missing, of the backup `from`, which is checked
/// before.
///
/// # Errors
///
/// If the backup is damaged or none, or the directory is not empty or cannot be written.
pub fn restore(from: &Path, dir: &Path) -> Result<Report, SqliteError> {
    match dir::contents(dir)? {
        Contents::Nothing => {}
        Contents::Store => return Err(not_empty(dir, format::FILE)),
        Contents::Strange(found) => return Err(not_empty(dir, &found)),
    }
    let from = super::absolute(from);
    let report = check_backup(&from)?;
    let dir = DataDir::claim(dir)?;
    if dir::contents(dir.path())? != Contents::Nothing {
        return Err(not_empty(dir.path(), format::FILE));
    }
    dir::make_private(dir.path());
    dir.put_file(|unfinished| {
        let mut source = fs::File::open(&from).map_err(SqliteError::file("read", &from))?;
        let mut target =
            fs::OpenOptions::new().write(true).open(unfinished).map_err(SqliteError::file("write", unfinished))?;
        io::copy(&mut source, &mut target).map_err(SqliteError::file("write", unfinished))?;
        Ok(())
    })?;
    dir.give_up();
    Ok(report)
}

fn not_empty(dir: &Path, found: &str) -> SqliteError {
    SqliteError::NotEmpty { dir: super::absolute(dir), found: found.to_owned() }
}

/// Reads all of a backup; damage is an error.
fn check_backup(path: &Path) -> Result<Report, SqliteError> {
    if format::has_log(path) {
        return Err(SqliteError::NotABackup { path: path.into() });
    }
    format::inspect(path)?;
    let connection = format::connect(path, Access::Immutable)?;
    let report = check::check(&connection, path)?;
    match report.problems.first() {
        None => Ok(report),
        Some(problem) => Err(SqliteError::Damaged { path: path.into(), what: problem.to_string() }),
    }
}

/// Copies an open file to `to`, which must not exist, checks the copy, and makes it last.
pub(super) fn copy(source: &Connection, path: &Path, to: &Path) -> Result<Report, SqliteError> {
    if to.symlink_metadata().is_ok() {
        return Err(SqliteError::TargetExists { path: to.into() });
    }
    let unfinished = format::beside(to, &format!(".unfinished-{}", std::process::id()));
    let scrap = Scrap(unfinished.clone());
    dir::new_file(&unfinished)?;
    copy_pages(source, &unfinished).map_err(SqliteError::sqlite("copy", path))?;
    dir::sync(&unfinished)?;
    let report = check_backup(&unfinished).map_err(|error| in_original(error, path))?;
    place(&unfinished, to)?;
    drop(scrap);
    let parent = to.parent().unwrap_or(Path::new("/"));
    dir::sync(parent)?;
    Ok(report)
}

fn copy_pages(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags)?;
    // It is synced once, at the end; until then it is nothing.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    // All pages in one go, as of one moment: a writer goes on meanwhile.
    let copied = Backup::new(source, &mut target)?.step(-1)?;
    if copied != StepResult::Done {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    target.close().map_err(|(_, error)| error)
}

/// Damage in the copy is damage in what it was copied from.
fn in_original(error: SqliteError, path: &Path) -> SqliteError {
    if let SqliteError::Damaged { what, .. } = error {
        return SqliteError::Damaged { path: path.into(), what };
    }
    error
}

/// Gives a finished file its name unless something else has it.
fn place(unfinished: &Path, to: &Path) -> Result<(), SqliteError> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, unfinished, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(SqliteError::TargetExists { path: to.into() }),
        // Not every file system can tell; it was not there a moment ago.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(unfinished, to).map_err(SqliteError::file("rename", unfinished)),
        Err(error) => Err(SqliteError::File { doing: "rename", path: unfinished.into(), source: error.into() }),
    }
}

/// A file that goes unless it got its name.
struct Scrap(PathBuf);

impl Drop for Scrap {
    fn drop(&mut self) {
        // After a rename there is nothing under this name any more.
        let _ = fs::remove_file(&self.0);
    }
}
