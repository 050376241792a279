//! Where configs come from: the server's lifecycles, or a file of older days.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use boskos_client::{
    Client, Clock, Error, ResourceType,
    config_file::{self, ConfigFileError},
};
use boskos_core::MonoTime;
use boskos_runtime::text;

use crate::config::{ConfigFaults, MasonConfig, check_configs, parse_config};

/// How often the file is read.
const READ_EVERY: Duration = Duration::from_secs(600);

/// A changed file counts when two reads this far apart agree: half a YAML list is valid YAML.
const SETTLE: Duration = Duration::from_millis(500);

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read, or is not of the shape that it should be.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// It makes no sense.
    #[error("{path:?} is not valid: {faults}")]
    Faults {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        faults: ConfigFaults,
    },
}

/// Where configs come from.
#[derive(Debug)]
pub enum ConfigSource {
    /// The lifecycles of the server.
    Server,
    /// A file with the key `configs`.
    File(FollowedFile),
}

/// A file, and what it said last.
#[derive(Debug)]
pub struct FollowedFile {
    path: PathBuf,
    clock: Clock,
    read_at: MonoTime,
    bytes: Vec<u8>,
    configs: Vec<MasonConfig>,
}

/// All configs there are.
#[derive(Clone, Debug, Default)]
pub struct Configs {
    /// They themselves.
    pub configs: Vec<MasonConfig>,
    /// Types that the server makes on demand, as far as known.
    pub dynamic: BTreeSet<ResourceType>,
}

// === impl ConfigSource ===

impl ConfigSource {
    /// The file at `path`, which is read now, and again every 10 min.
    ///
    /// # Errors
    ///
    /// If it is of no use: there is no earlier one to keep.
    pub fn file(path: &Path, clock: &Clock) -> Result<Self, SourceError> {
        let bytes = config_file::read(path)?;
        let configs = parse(path, &bytes)?;
        let (path, clock) = (path.to_owned(), clock.clone());
        Ok(Self::File(FollowedFile { path, read_at: clock.mono(), clock, bytes, configs }))
    }

    /// The configs now. A file that is of no use any more leaves the last ones.
    ///
    /// # Errors
    ///
    /// What went wrong asking the server.
    pub async fn current(&mut self, client: &Client) -> Result<Configs, Error> {
        let file = match self {
            Self::File(file) => file,
            Self::Server => return Configs::of_server(client).await,
        };
        if file.clock.mono().saturating_since(file.read_at) >= READ_EVERY {
            file.read_at = file.clock.mono();
            if let Err(error) = file.read_again().await {
                tracing::error!(error = text::chain(&error), "the last configs stay");
            }
        }
        Ok(Configs { configs: file.configs.clone(), dynamic: BTreeSet::new() })
    }
}

// === impl FollowedFile ===

impl FollowedFile {
    async fn read_again(&mut self) -> Result<(), SourceError> {
        let bytes = config_file::read(&self.path)?;
        if bytes == self.bytes {
            return Ok(());
        }
        tokio::time::sleep(SETTLE).await;
        if config_file::read(&self.path)? != bytes {
            tracing::info!(path = %self.path.display(), "the file is being written: the last configs stay");
            return Ok(());
        }
        self.configs = parse(&self.path, &bytes)?;
        self.bytes = bytes;
        tracing::info!(path = %self.path.display(), configs = self.configs.len(), "the configs have changed");
        Ok(())
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<MasonConfig>, SourceError> {
    let invalid = |why| ConfigFileError::Invalid { path: path.to_owned(), why };
    let configs = parse_config(bytes).map_err(invalid)?;
    check_configs(&configs).map_err(|faults| SourceError::Faults { path: path.to_owned(), faults })?;
    Ok(configs)
}

// === impl Configs ===

impl Configs {
    async fn of_server(client: &Client) -> Result<Self, Error> {
        let lifecycles = client.lifecycles().await?;
        let dynamic = lifecycles.iter().map(|shown| shown.lifecycle.r#type.clone()).collect();
        // One that drains is left alone: its resources are on their way out.
        let staying = lifecycles.into_iter().filter(|shown| !shown.draining).map(|shown| shown.lifecycle);
        let configs = staying.filter_map(|lifecycle| {
            let config = lifecycle.config.filter(|config| !config.r#type.is_empty())?;
            Some(MasonConfig { name: lifecycle.r#type, needs: lifecycle.needs, config })
        });
        Ok(Self { configs: configs.collect(), dynamic })
    }
}
