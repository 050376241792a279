//! Leasing composite resources with all that they are made of.

use boskos_client::{Client, Error, LeaseOptions, Resource, ResourceName, UserDataPatch};
use boskos_core::leased::{LEASED_RESOURCES, LeasedError, leased_resources};

/// Why a composite resource could not be had or given back.
#[derive(Debug, thiserror::Error)]
pub enum CompositeError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] Error),
    /// What the resource is made of cannot be read.
    #[error("what {name:?} is made of cannot be read: {source}")]
    Leased {
        /// The resource.
        name: ResourceName,
        /// Why not.
        source: LeasedError,
    },
    /// Some of its resources could not be given back or kept alive.
    #[error("{}", .failed.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("; "))]
    Some {
        /// Which, and why.
        failed: Vec<(ResourceName, Error)>,
    },
}

/// A resource together with what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    /// The resource itself.
    pub resource: Resource,
    /// What it is made of, in the order of its list.
    pub leased: Vec<Resource>,
}

/// A client that takes and gives back composite resources as a whole.
#[derive(Clone, Debug)]
pub struct MasonClient(Client);

// === impl MasonClient ===

impl MasonClient {
    /// Acquires for whom `client` does.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The client underneath.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0
    }

    /// Takes a resource, then all that it is made of; all of them are in state `dest` then. Where a part cannot be
    /// had, the resource goes back to `state`. One question, no place in the queue. Cancelled, it gives back what was
    /// granted.
    ///
    /// # Errors
    ///
    /// [`Error::is_none_now`] if there is none; else what went wrong.
    pub async fn acquire(&self, r#type: &str, state: &str, dest: &str) -> Result<Composite, CompositeError> {
        let resource = self.0.acquire(r#type, state, dest).await?;
        // Until both are there: it goes back as it is dropped, also where this call is cancelled.
        let whole = self.0.lease(resource, LeaseOptions::dropped_into(state));
        match self.parts(&whole.resource(), dest).await {
            Ok(leased) => Ok(Composite { resource: whole.into_resource(), leased }),
            Err(error) => {
                let name = whole.name();
                if let Err(error) = whole.release(state).await {
                    tracing::warn!(%name, %error, "could not be given back");
                }
                Err(error)
            }
        }
    }

    async fn parts(&self, resource: &Resource, dest: &str) -> Result<Vec<Resource>, CompositeError> {
        let text = resource.user_data.get(LEASED_RESOURCES);
        let names = leased_resources(text.as_deref())
            .map_err(|source| CompositeError::Leased { name: resource.name.clone(), source })?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.0.acquire_by_state(resource.name.as_str(), dest, &names).await?)
    }

    /// Gives all of it back in state `dest`, the parts first: as long as they are on their way nobody else can take
    /// the whole.
    ///
    /// # Errors
    ///
    /// With all that could not be given back; the rest is.
    pub async fn release(&self, composite: &Composite, dest: &str) -> Result<(), CompositeError> {
        let mut failed = Vec::new();
        for resource in composite.leased.iter().chain([&composite.resource]) {
            if let Err(error) = self.0.release(resource.name.as_str(), dest).await {
                failed.push((resource.name.clone(), error));
            }
        }
        CompositeError::none(failed)
    }

    /// Keeps all of it alive in `state`, and merges `patch` into the user data of the whole.
    ///
    /// # Errors
    ///
    /// With all that failed; the rest is done.
    pub async fn update(
        &self,
        composite: &Composite,
        state: &str,
        patch: &UserDataPatch,
    ) -> Result<(), CompositeError> {
        let nothing = UserDataPatch::new();
        let parts = composite.leased.iter().map(|part| (&part.name, &nothing));
        let mut failed = Vec::new();
        for (name, patch) in parts.chain([(&composite.resource.name, patch)]) {
            if let Err(error) = self.0.update(name.as_str(), state, patch).await {
                failed.push((name.clone(), error));
            }
        }
        CompositeError::none(failed)
    }
}

// === impl CompositeError ===

impl CompositeError {
    fn none(failed: Vec<(ResourceName, Error)>) -> Result<(), Self> {
        if failed.is_empty() { Ok(()) } else { Err(Self::Some { failed }) }
    }

    /// There is none to be had just now.
    #[must_use]
    pub fn is_none_now(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_none_now())
    }
}
