//! The config as a file.

use std::{
    io,
    path::{Path, PathBuf},
};

use boskos_core::config::{Config, ConfigError};
use boskos_runtime::follow;

/// Why a config file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read the config {path:?} that --config names")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is read, but against the rules.
    #[error("the config {path:?} is not valid: {}", on_one_line(.why))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        why: ConfigError,
    },
}

/// The bytes of the file, at most one more than a config may have.
///
/// # Errors
///
/// If the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, ConfigFileError> {
    let unreadable = |source| ConfigFileError::Unreadable { path: path.to_owned(), source };
    follow::read(path, Config::MAX_BYTES).map_err(unreadable)
}

/// Reads the bytes as a config, and logs what is accepted but may not be meant.
///
/// # Errors
///
/// If it is against the rules.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Config, ConfigFileError> {
    let invalid = |why| ConfigFileError::Invalid { path: path.to_owned(), why };
    let (config, warnings) = Config::parse(bytes).map_err(invalid)?;
    for warning in warnings {
        tracing::warn!(config = %path.display(), "{warning}");
    }
    Ok(config)
}

fn on_one_line(error: &ConfigError) -> String {
    error.to_string().trim_end().replace('\n', "; ")
}
