//! Why a store does not do what it should.

use std::{io, path::PathBuf};

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be used.
    #[error("cannot {what} {path:?}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has the store open.
    #[error(
        "the store in {dir:?} is in use by process {holder}: stop that server, or name another folder with --data-dir"
    )]
    Locked {
        /// The folder of the store.
        dir: PathBuf,
        /// The process, as far as it is known.
        holder: String,
    },
    /// There is no store, and there was to be one.
    #[error(
        "there is no store in {dir:?}: is the volume mounted? Leave --data-must-exist out to begin a new store there"
    )]
    Missing {
        /// The folder that was to hold a store.
        dir: PathBuf,
    },
    /// The file is not a store of this program.
    #[error(
        "{path:?} is not a boskos store ({why}); nothing was changed: move it away, or name another folder with --data-dir"
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// How that is known.
        why: String,
    },
    /// The store is damaged.
    #[error(
        "the store {path:?} is damaged: {why}; nothing was changed: look at it with `boskos-server check-store`, \
         then move it away and `boskos-server restore` a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A newer version wrote the store.
    #[error(
        "the store {path:?} has format {found}, this version reads up to format {known}: run the newer version{}",
        copy_hint(.copy.as_ref())
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
        /// The copy that was put aside before the upgrade, if it is there.
        copy: Option<PathBuf>,
    },
    /// A setting that durability rests on did not take.
    #[error("SQLite keeps {setting} at {found:?} in {path:?}, and without {wanted:?} no answer would be durable")]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// SQLite failed.
    #[error("cannot {what} the store {path:?}")]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A target exists that must not.
    #[error("{path:?} is there already: nothing was changed, name another")]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The writer ended before its time.
    #[error("the store's writer has ended: restart the server")]
    WriterGone,
}

fn copy_hint(copy: Option<&PathBuf>) -> String {
    copy.map_or_else(String::new, |copy| {
        format!(", or go back to {copy:?}, the copy from before the upgrade, which lacks what happened since")
    })
}
