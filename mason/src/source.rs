//! Where configs come from: the server's lifecycles, or a file of older days.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use boskos_client::{Client, Clock, Error, ResourceType, config_file::ConfigFileError, followed_file::FollowedFile};

use crate::config::{ConfigFaults, MasonConfig, check_configs, parse_config};

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
    File(ConfigsFile),
}

/// A file, and what it said last.
#[derive(Debug)]
pub struct ConfigsFile {
    file: FollowedFile,
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
    /// The file at `path`, which is read now, again when it changes, and every 10 min.
    ///
    /// # Errors
    ///
    /// If it is of no use: there is no earlier one to keep.
    pub fn file(path: &Path, clock: &Clock) -> Result<Self, SourceError> {
        let (file, bytes) = FollowedFile::begin(path, clock)?;
        Ok(Self::File(ConfigsFile { file, configs: parse(path, &bytes)? }))
    }

    /// Waits until the file may have changed, for ever if there is none. Safe to cancel.
    pub async fn changed(&mut self) {
        match self {
            Self::File(file) => file.file.changed().await,
            Self::Server => std::future::pending().await,
        }
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
        file.read_if_changed().await;
        Ok(Configs { configs: file.configs.clone(), dynamic: BTreeSet::new() })
    }
}

// === impl ConfigsFile ===

impl ConfigsFile {
    async fn read_if_changed(&mut self) {
        match self.file.parsed_news("the last configs stay", parse).await {
            Some(configs) if configs != self.configs => {
                tracing::info!(path = %self.file.path().display(), configs = configs.len(), "the configs have changed");
                self.configs = configs;
            }
            Some(_) | None => {}
        }
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
