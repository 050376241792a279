//! The config as a file, whose warnings are logged.

use std::path::Path;

use boskos_core::config::Config;
use boskos_runtime::config_file;
pub use boskos_runtime::config_file::{ConfigFileError, read};

/// Reads the bytes as a config, and logs what is accepted but may not be meant.
///
/// # Errors
///
/// If it is against the rules.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Config, ConfigFileError> {
    let (config, warnings) = config_file::parse(path, bytes)?;
    for warning in warnings {
        tracing::warn!(config = %path.display(), "{warning}");
    }
    Ok(config)
}
