//! Why a resource was not made.

use boskos_client::{Error, Lost, ResourceName, ResourceType};
use boskos_core::leased::LeasedError;

use crate::ConstructError;

/// Why a resource was not made. None of it holds user data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("what it was made of cannot be read: {0}")]
    Leased(#[source] LeasedError),
    #[error("recycling: {0}")]
    Recycle(#[source] Error),
    #[error("getting what it needs: {0}")]
    Fulfil(#[source] Error),
    #[error("no {0} to be had in time")]
    Short(ResourceType),
    #[error("{0}")]
    Construct(#[source] ConstructError),
    #[error("writing its user data: {0}")]
    Write(#[source] Error),
    #[error("setting free: {0}")]
    Free(#[source] Error),
    #[error("lost: {0}")]
    Lost(#[source] Lost),
    #[error("{0} is lost")]
    LostPart(ResourceName),
    #[error("the process is to stop")]
    Stopping,
}

// === impl Failure ===

impl Failure {
    /// The label in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Leased(_) => "leased_resources",
            Self::Recycle(_) => "recycle",
            Self::Fulfil(_) => "fulfil",
            Self::Short(_) => "needs",
            Self::Construct(_) => "construct",
            Self::Write(_) => "write",
            Self::Free(_) => "free",
            Self::Lost(_) | Self::LostPart(_) => "lost",
            Self::Stopping => "stop",
        }
    }

    /// Whether the same is to be expected of the next try, so that it comes later.
    pub(crate) fn is_its_own(&self) -> bool {
        match self {
            Self::Leased(_) | Self::Construct(_) => true,
            Self::Recycle(error) | Self::Fulfil(error) | Self::Write(error) | Self::Free(error) => !error.is_away(),
            Self::Short(_) | Self::Lost(_) | Self::LostPart(_) | Self::Stopping => false,
        }
    }
}
