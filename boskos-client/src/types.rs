//! Which types a daemon serves.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use boskos_core::{Owner, ResourceType, State, ranch::command::Filter};
use clap::Args;

use crate::{
    Client, Clock, Error,
    config_file::{self, ConfigFileError},
    followed_file::FollowedFile,
};

/// The flags that say so.
#[derive(Args, Clone, Debug, Default)]
pub struct TypeFlags {
    /// The types to serve, comma separated
    #[arg(long = "resource-type", value_name = "TYPES")]
    pub resource_type: Option<String>,
    /// A config file: its types are served, and it is followed
    #[arg(long = "resource-type-from-config", value_name = "FILE", value_parser = crate::flags::maybe_empty())]
    pub resource_type_from_config: Option<PathBuf>,
}

/// Why the file with the types is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TypesError {
    /// It cannot be read, or is not of the shape that it should be.
    #[error("--resource-type-from-config is of no use")]
    File(#[from] ConfigFileError),
    /// It has become empty.
    #[error("no types in {path:?}")]
    NoTypes {
        /// The file.
        path: PathBuf,
    },
}

/// The types that a daemon serves: those of the flag, those of the file as it is now, or all of the server.
#[derive(Debug)]
pub struct TypeSelection {
    /// From the flag; what stands there stays.
    listed: BTreeSet<ResourceType>,
    file: Option<Followed>,
    /// Neither flag was given.
    all: bool,
}

#[derive(Debug)]
struct Followed {
    file: FollowedFile,
    /// Of the last good file.
    types: BTreeSet<ResourceType>,
    /// Left the file, but the server may still have something of them.
    leaving: BTreeSet<ResourceType>,
}

// === impl TypeFlags ===

impl TypeFlags {
    /// Whether one of the flags stands there, if only with nothing behind it.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.resource_type.is_some() || self.file().is_some()
    }

    /// The file, if one is named.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        self.resource_type_from_config.as_ref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Begins to follow what the flags say.
    ///
    /// # Errors
    ///
    /// If there is a file and it is of no use: there is no earlier list to keep.
    pub fn select(&self, clock: &Clock) -> Result<TypeSelection, TypesError> {
        let words = self.resource_type.as_deref().map(|text| text.split(',').map(str::trim));
        let listed: BTreeSet<_> =
            words.into_iter().flatten().filter(|word| !word.is_empty()).map(ResourceType::from).collect();
        if self.resource_type.is_some() && listed.is_empty() {
            tracing::warn!("--resource-type is empty: an empty type matches nothing");
        }
        let file = self.file().map(|path| Followed::begin(path, clock)).transpose()?;
        Ok(TypeSelection { listed, file, all: !self.is_given() })
    }
}

// === impl TypeSelection ===

impl TypeSelection {
    /// All types of the server.
    #[must_use]
    pub fn all() -> Self {
        Self { listed: BTreeSet::new(), file: None, all: true }
    }

    /// These types and no others.
    #[must_use]
    pub fn fixed(types: impl IntoIterator<Item = ResourceType>) -> Self {
        Self { listed: types.into_iter().collect(), file: None, all: false }
    }

    /// Whether it is all types of the server, whatever they are.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The types now, sorted. Asks the server for all of them where neither flag was given, and about those that left
    /// the file: they stay while it has a resource or a lifecycle of them.
    ///
    /// # Errors
    ///
    /// What went wrong asking the server.
    pub async fn current(&mut self, client: &Client) -> Result<Vec<ResourceType>, Error> {
        if self.all {
            return Ok(server_types(client).await?.into_iter().collect());
        }
        let mut types = self.listed.clone();
        if let Some(file) = &mut self.file {
            file.read_if_changed().await;
            if !file.leaving.is_empty() {
                match server_types(client).await {
                    Ok(there) => file.leaving.retain(|r#type| there.contains(r#type)),
                    // It cannot tell, so they stay.
                    Err(Error::OlderServer { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            types.extend(file.types.iter().chain(&file.leaving).cloned());
        }
        Ok(types.into_iter().collect())
    }

    /// Waits until the file may have changed, for ever if there is none. Safe to cancel.
    pub async fn changed(&mut self) {
        match &mut self.file {
            Some(followed) => followed.file.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// What a daemon waits for: unowned resources of `types` in one of `states`. `None` where no types are served: a
/// filter without types would match all of them.
#[must_use]
pub fn unowned(types: &[ResourceType], states: &[&str]) -> Option<Filter> {
    (!types.is_empty()).then(|| Filter {
        types: types.to_vec(),
        states: states.iter().map(|state| State::from(*state)).collect(),
        owners: vec![None::<Owner>],
    })
}

async fn server_types(client: &Client) -> Result<BTreeSet<ResourceType>, Error> {
    let counted = client.types().await?;
    let dynamic = client.lifecycles().await?;
    let counted = counted.into_iter().map(|metric| ResourceType::from(metric.r#type));
    Ok(counted.chain(dynamic.into_iter().map(|shown| shown.lifecycle.r#type)).collect())
}

// === impl Followed ===

impl Followed {
    fn begin(path: &Path, clock: &Clock) -> Result<Self, TypesError> {
        let (file, bytes) = FollowedFile::begin(path, clock)?;
        Ok(Self { file, types: parse(path, &bytes)?, leaving: BTreeSet::new() })
    }

    async fn read_if_changed(&mut self) {
        let news = self.file.parsed_news("the last list of types stays", |path, bytes| match parse(path, bytes)? {
            types if types.is_empty() => Err(TypesError::NoTypes { path: path.to_owned() }),
            types => Ok(types),
        });
        if let Some(types) = news.await {
            self.adopt(types);
        }
    }

    fn adopt(&mut self, types: BTreeSet<ResourceType>) {
        if types == self.types {
            return;
        }
        let gone: Vec<_> = self.types.difference(&types).cloned().collect();
        tracing::info!(path = %self.file.path().display(), types = types.len(), left = gone.len(), "the types have changed");
        self.leaving.extend(gone);
        self.leaving.retain(|r#type| !types.contains(r#type));
        self.types = types;
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeSet<ResourceType>, TypesError> {
    let (config, _) = config_file::parse(path, bytes)?;
    let statics = config.statics.into_iter().map(|entry| entry.r#type);
    Ok(statics.chain(config.lifecycles.into_iter().map(|lifecycle| lifecycle.r#type)).collect())
}
