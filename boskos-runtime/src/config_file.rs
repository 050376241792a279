//! Config files: read, parsed, checked.

use std::{
    io,
    path::{Path, PathBuf},
};

use boskos_core::{Config, ConfigError, Warning};

use crate::{follow, text};

/// Why a config file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is against the rules.
    #[error("{path:?} is not valid: {}", on_one_line(.why))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        why: ConfigError,
    },
}

/// The bytes of a file, at most one more than a config may have.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, ConfigFileError> {
    let unreadable = |source| ConfigFileError::Unreadable { path: path.to_owned(), source };
    follow::read(path, Config::MAX_BYTES).map_err(unreadable)
}

/// Reads a file's bytes as a config.
///
/// # Errors
///
/// If it is against the rules.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(Config, Vec<Warning>), ConfigFileError> {
    Config::parse(bytes).map_err(|why| ConfigFileError::Invalid { path: path.to_owned(), why })
}

/// Reads and checks a file; what is accepted, but may not be meant, comes back.
///
/// # Errors
///
/// With everything that is wrong with it.
pub fn check(path: &Path) -> Result<Vec<Warning>, ConfigFileError> {
    Ok(parse(path, &read(path)?)?.1)
}

fn on_one_line(error: &ConfigError) -> String {
    error.to_string().trim_end().replace('\n', "; ")
}

// === impl ConfigFileError ===

impl ConfigFileError {
    /// The error for a reader who wants each violation on a line of its own.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Unreadable { .. } => vec![text::one_line(&text::chain(self)).into_owned()],
            Self::Invalid { why, .. } => {
                why.to_string().trim_end().lines().map(|line| text::one_line(line).into_owned()).collect()
            }
        }
    }
}
