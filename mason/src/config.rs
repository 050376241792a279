//! What composite resources are made of, and by what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use boskos_client::{Resource, ResourceName, ResourceType};
pub use boskos_core::config::Composite as MasonConfig;
use boskos_core::config::{Composite, ConfigError};

/// What is wrong with configs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// There are none.
    #[error("empty config: at least one entry is needed")]
    Empty,
    /// One has no name.
    #[error(".{index}.name: must be set")]
    NoName {
        /// Which, from 0.
        index: usize,
    },
    /// One names no converter.
    #[error(".{index}.config.type: must be set")]
    NoConverter {
        /// Which, from 0.
        index: usize,
    },
    /// Two have one name.
    #[error(".{index}.name: {name:?} was there before")]
    Twice {
        /// The second, from 0.
        index: usize,
        /// The name.
        name: ResourceType,
    },
    /// A resource has no name.
    #[error("a resource of type {0:?} has no name")]
    NamelessResource(ResourceType),
    /// Two resources have one name.
    #[error("two resources are called {0:?}")]
    ResourceTwice(ResourceName),
    /// More is needed than there is.
    #[error("not enough resource of type {needed_type} for provisioning: {needed} needed in all, {available} there")]
    TooFew {
        /// What is needed.
        needed_type: ResourceType,
        /// How many, by all composite resources there are.
        needed: u64,
        /// How many there are.
        available: u64,
    },
}

/// Everything that is wrong with configs; as text joined by `; `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

/// Reads a mason config file: a mapping with the key `configs`.
///
/// # Errors
///
/// If it is no YAML, or of another shape.
pub fn parse_config(text: &[u8]) -> Result<Vec<MasonConfig>, ConfigError> {
    Composite::parse_all(text)
}

/// Whether `configs` make sense by themselves.
///
/// # Errors
///
/// With everything that is wrong.
pub fn check_configs(configs: &[MasonConfig]) -> Result<(), ConfigFaults> {
    ConfigFaults::none(faults_of(configs))
}

/// Whether `configs` make sense, and `resources` are enough for all composite ones among them at once.
///
/// # Errors
///
/// With everything that is wrong.
pub fn validate_config(configs: &[MasonConfig], resources: &[Resource]) -> Result<(), ConfigFaults> {
    let mut faults = faults_of(configs);
    let needs: BTreeMap<_, _> = configs.iter().map(|config| (&config.name, &config.needs)).collect();
    let mut names = BTreeSet::new();
    let mut there: BTreeMap<&ResourceType, u64> = BTreeMap::new();
    let mut needed: BTreeMap<&ResourceType, u64> = BTreeMap::new();
    for resource in resources {
        if resource.name.as_str().is_empty() {
            faults.push(ConfigFault::NamelessResource(resource.r#type.clone()));
        } else if !names.insert(&resource.name) {
            faults.push(ConfigFault::ResourceTwice(resource.name.clone()));
        }
        *there.entry(&resource.r#type).or_default() += 1;
        for (r#type, count) in needs.get(&resource.r#type).into_iter().copied().flatten() {
            *needed.entry(r#type).or_default() += u64::from(*count);
        }
    }
    for (needed_type, needed) in needed {
        let available = there.get(needed_type).copied().unwrap_or(0);
        if needed > available {
            faults.push(ConfigFault::TooFew { needed_type: needed_type.clone(), needed, available });
        }
    }
    ConfigFaults::none(faults)
}

fn faults_of(configs: &[MasonConfig]) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    if configs.is_empty() {
        faults.push(ConfigFault::Empty);
    }
    let mut names = BTreeSet::new();
    for (index, config) in configs.iter().enumerate() {
        if config.name.as_str().is_empty() {
            faults.push(ConfigFault::NoName { index });
        } else if !names.insert(&config.name) {
            faults.push(ConfigFault::Twice { index, name: config.name.clone() });
        }
        if config.config.r#type.is_empty() {
            faults.push(ConfigFault::NoConverter { index });
        }
    }
    faults
}

// === impl ConfigFaults ===

impl ConfigFaults {
    fn none(faults: Vec<ConfigFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for ConfigFaults {}
