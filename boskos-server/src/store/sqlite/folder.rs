//! The folder of a store: who may read it, and who has it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

const STORE: &str = "boskos.db";
const NEW: &str = "boskos.db.new";
const LOCK: &str = "boskos.lock";

/// Only the owner reads what may be credentials.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// A folder that holds a store, or is to.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// The right to write a store; given up when dropped, or when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn store(&self) -> PathBuf {
        self.0.join(STORE)
    }

    /// Where a store is made before it counts.
    pub(super) fn new_store(&self) -> PathBuf {
        self.0.join(NEW)
    }

    /// Where the store of an older format is put aside.
    pub(super) fn copy_of_format(store: &Path, format: i64) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(format!(".format-{format}"));
        PathBuf::from(name)
    }

    pub(super) fn has_store(&self) -> Result<bool, StoreError> {
        let path = self.store();
        path.try_exists().map_err(file_error("look at", &path))
    }

    /// Makes the folder, for its owner alone, and makes sure that it stays.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        if self.0.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.0).map_err(file_error("create", &self.0))?;
        let absolute = std::path::absolute(&self.0).map_err(file_error("find", &self.0))?;
        absolute.ancestors().skip(1).take_while(|dir| dir.is_dir()).take(2).try_for_each(sync_dir)
    }

    /// Takes the store for this process.
    pub(super) fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.0.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut file = options.open(&path).map_err(file_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is only helps; that it is locked is what counts.
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "(unknown)" } else { holder }.to_owned();
                return Err(StoreError::Locked { dir: self.0.clone(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(file_error("lock", &path)(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(file_error("write", &path))?;
        Ok(Lock(file))
    }
}

/// Creates a file for its owner alone; it must not be there.
pub(super) fn create_private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(FILE_MODE);
    options.open(path).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return StoreError::TargetExists { path: path.to_owned() };
        }
        file_error("create", path)(source)
    })
}

/// Gives a finished file its name, so that it is there whole or not at all, even after a crash.
pub(super) fn publish(from: &Path, to: &Path) -> Result<(), StoreError> {
    File::open(from).and_then(|file| file.sync_all()).map_err(file_error("sync", from))?;
    fs::rename(from, to).map_err(file_error("rename", from))?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Makes sure that the names in a folder stay.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(file_error("sync", dir))
}

/// Removes a file if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { what, path, source }
}
