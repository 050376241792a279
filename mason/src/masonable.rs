//! What makes a resource out of others.

use std::{collections::BTreeMap, error::Error, fmt, pin::Pin, sync::Arc};

use boskos_client::{Resource, UserDataPatch};
use boskos_runtime::signal::Shutdown;

/// Why something could not be made. It is logged: it must hold no user data.
pub type ConstructError = Box<dyn Error + Send + Sync>;

/// The user data of what was made, when it is made.
pub type Constructing<'a> = Pin<Box<dyn Future<Output = Result<UserDataPatch, ConstructError>> + Send + 'a>>;

/// Makes a resource out of others.
pub trait Masonable: Send + Sync {
    /// Makes `resource` out of `leased`; what comes back is merged into its user data.
    ///
    /// All of them are kept alive meanwhile. Once `stop` is triggered they may soon be somebody else's: end whatever
    /// works on them, then return.
    fn construct<'a>(&'a self, resource: &'a Resource, leased: &'a [Resource], stop: &'a Shutdown) -> Constructing<'a>;
}

/// Makes a [`Masonable`] out of the content of a config.
pub type ConfigConverter = Arc<dyn Fn(&str) -> Result<Box<dyn Masonable>, ConstructError> + Send + Sync>;

/// Converters by the config type that they are for.
#[derive(Clone, Default)]
pub struct Converters(BTreeMap<String, ConfigConverter>);

// === impl Converters ===

impl Converters {
    /// Registers `converter` for configs of type `config_type`; returns the one that it replaces.
    pub fn register(&mut self, config_type: impl Into<String>, converter: ConfigConverter) -> Option<ConfigConverter> {
        self.0.insert(config_type.into(), converter)
    }

    /// The converter for configs of type `config_type`.
    #[must_use]
    pub fn get(&self, config_type: &str) -> Option<&ConfigConverter> {
        self.0.get(config_type)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Converters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
