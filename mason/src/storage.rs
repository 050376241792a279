//! Where configs are kept while mason runs.

use std::collections::BTreeMap;

use boskos_client::ResourceType;
use parking_lot::Mutex;

use crate::config::MasonConfig;

/// Why a config cannot be had or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// There is none of that name.
    #[error("there is no config {0:?}")]
    Missing(ResourceType),
    /// There is one of that name already.
    #[error("there is a config {0:?} already")]
    Exists(ResourceType),
    /// What keeps them does not answer, or refuses.
    #[error("the configs cannot be had or changed: {0}")]
    Unreachable(String),
}

/// What configs are kept in: memory, unless a program with a store of its own, Kubernetes objects say, brings
/// another. Every call is atomic by itself.
pub trait Keeper: Send + Sync {
    /// Keeps a new config; fails if there is one of its name.
    fn add(&self, config: MasonConfig) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// The config of that name; fails if there is none.
    fn get(&self, name: &ResourceType) -> impl Future<Output = Result<MasonConfig, StorageError>> + Send;
    /// All configs, by name.
    fn list(&self) -> impl Future<Output = Result<Vec<MasonConfig>, StorageError>> + Send;
    /// Replaces the config of its name; fails if there is none.
    fn update(&self, config: MasonConfig) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// Forgets the config of that name; fails if there is none.
    fn delete(&self, name: &ResourceType) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// Keeps configs as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryKeeper(Mutex<BTreeMap<ResourceType, MasonConfig>>);

/// Configs by name.
#[derive(Debug, Default)]
pub struct Storage<K = MemoryKeeper>(K);

// === impl MemoryKeeper ===

impl Keeper for MemoryKeeper {
    async fn add(&self, config: MasonConfig) -> Result<(), StorageError> {
        let mut configs = self.0.lock();
        if configs.contains_key(&config.name) {
            return Err(StorageError::Exists(config.name));
        }
        configs.insert(config.name.clone(), config);
        Ok(())
    }

    async fn get(&self, name: &ResourceType) -> Result<MasonConfig, StorageError> {
        self.0.lock().get(name).cloned().ok_or_else(|| StorageError::Missing(name.clone()))
    }

    async fn list(&self) -> Result<Vec<MasonConfig>, StorageError> {
        Ok(self.0.lock().values().cloned().collect())
    }

    async fn update(&self, config: MasonConfig) -> Result<(), StorageError> {
        match self.0.lock().get_mut(&config.name) {
            Some(kept) => *kept = config,
            None => return Err(StorageError::Missing(config.name)),
        }
        Ok(())
    }

    async fn delete(&self, name: &ResourceType) -> Result<(), StorageError> {
        let removed = self.0.lock().remove(name);
        removed.map(drop).ok_or_else(|| StorageError::Missing(name.clone()))
    }
}

// === impl Storage ===

impl<K: Keeper> Storage<K> {
    /// Configs in `keeper`.
    #[must_use]
    pub fn new(keeper: K) -> Self {
        Self(keeper)
    }

    /// Keeps a new config.
    ///
    /// # Errors
    ///
    /// If there is one of its name.
    pub async fn add(&self, config: MasonConfig) -> Result<(), StorageError> {
        self.0.add(config).await
    }

    /// The config of that name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn get(&self, name: &ResourceType) -> Result<MasonConfig, StorageError> {
        self.0.get(name).await
    }

    /// All configs, by name.
    ///
    /// # Errors
    ///
    /// If the keeper cannot tell.
    pub async fn list(&self) -> Result<Vec<MasonConfig>, StorageError> {
        self.0.list().await
    }

    /// Replaces the config of its name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn update(&self, config: MasonConfig) -> Result<(), StorageError> {
        self.0.update(config).await
    }

    /// Forgets the config of that name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn delete(&self, name: &ResourceType) -> Result<(), StorageError> {
        self.0.delete(name).await
    }

    /// Keeps exactly `configs`, of two with one name the last; returns how many were added, changed or forgotten.
    ///
    /// # Errors
    ///
    /// If the keeper fails; what was done by then stays.
    pub async fn sync(&self, configs: impl IntoIterator<Item = MasonConfig>) -> Result<usize, StorageError> {
        let mut wanted: BTreeMap<_, _> = configs.into_iter().map(|config| (config.name.clone(), config)).collect();
        let mut changes = 0;
        for kept in self.0.list().await? {
            match wanted.remove(&kept.name) {
                None => self.0.delete(&kept.name).await?,
                Some(config) if config != kept => self.0.update(config).await?,
                Some(_) => continue,
            }
            changes += 1;
        }
        for config in wanted.into_values() {
            self.0.add(config).await?;
            changes += 1;
        }
        Ok(changes)
    }
}
