//! What can be wrong with Kubernetes storage, and the way out of it.

use boskos_kube::{LeaseError, ReadError, WriteError};

/// Why Kubernetes storage does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The types of our objects are not there, or the namespace is not.
    #[error(
        "the custom resources of boskos.k8s.io/v1 are not installed: an administrator does that with \
         `kubectl apply -f deploy/base/crd.yaml` or `boskos-server --install-crds --kubeconfig FILE`"
    )]
    NoTypes,
    /// Reading is not allowed.
    #[error("the service account may not read its objects: it needs the rights in deploy/base/rbac.yaml ({0})")]
    Forbidden(String),
    /// The API server cannot be read.
    #[error("the objects cannot be read")]
    Read(#[source] ReadError),
    /// The API server cannot be written.
    #[error("the objects cannot be written")]
    Write(#[source] WriteError),
    /// The Lease, where a change of several objects is noted, cannot be used.
    #[error("the lease {name} cannot be used")]
    Lease {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: LeaseError,
    },
    /// This process does not lead any more.
    #[error("another replica leads")]
    NotLeading,
}

impl From<ReadError> for KubernetesError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(status) if status.code == 404 => Self::NoTypes,
            ReadError::Refused(status) if status.code == 403 => Self::Forbidden(status.message),
            other @ (ReadError::Refused(_)
            | ReadError::Unreachable(_)
            | ReadError::TimedOut(_)
            | ReadError::Unreadable(_)
            | ReadError::Expired) => Self::Read(other),
        }
    }
}

impl KubernetesError {
    /// Whether the API server is at fault and not what was asked.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Read(error) => error.is_away(),
            Self::Write(error) => error.is_away(),
            Self::Lease { source, .. } => source.is_away(),
            Self::NoTypes | Self::Forbidden(_) | Self::NotLeading => false,
        }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoTypes | Self::Forbidden(_) => false,
            Self::Read(_) | Self::Write(_) | Self::Lease { .. } | Self::NotLeading => true,
        }
    }
}
