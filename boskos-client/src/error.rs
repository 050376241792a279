//! What may come of a call.

use std::time::Duration;

/// Why a call did not do what it should. None of them holds passwords or user data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such resource, or none that is free.
    #[error("{text}")]
    NotFound {
        /// What the server said.
        text: String,
    },
    /// The server knows no such type.
    #[error("{text}")]
    TypeNotFound {
        /// What the server said.
        text: String,
    },
    /// Somebody else, or nobody, owns the resource.
    #[error("{text}")]
    NotOwner {
        /// What the server said.
        text: String,
    },
    /// The resource is in another state than the caller believes.
    #[error("{text}")]
    WrongState {
        /// What the server said.
        text: String,
    },
    /// The server, or what stands before it, takes no call with these credentials.
    #[error("{url} refuses the credentials: {status} {text}")]
    Unauthorized {
        /// The server.
        url: String,
        /// 401, 403 or 407.
        status: u16,
        /// What was said.
        text: String,
    },
    /// The call makes no sense to the server.
    #[error("{text}")]
    BadRequest {
        /// What the server said.
        text: String,
    },
    /// No connection, or no answer on it.
    #[error("cannot reach {url}: {cause}")]
    Unreachable {
        /// The server.
        url: String,
        /// What is in the way.
        cause: String,
    },
    /// A connection, but no answer in time.
    #[error("no answer from {url} within {} s", timeout.as_secs_f64())]
    TimedOut {
        /// The server.
        url: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The server cannot do its work now.
    #[error("{url} is out of order: {status} {text}")]
    Unavailable {
        /// The server.
        url: String,
        /// The status, 500 or above.
        status: u16,
        /// What was said.
        text: String,
    },
    /// The server is older than what was asked for.
    #[error("the server at {url} has no {path}: it is an older one")]
    OlderServer {
        /// The server.
        url: String,
        /// What it does not have.
        path: String,
    },
    /// Something else answers at that URL.
    #[error("{url} does not answer like boskos: {what}")]
    NotBoskos {
        /// What was called.
        url: String,
        /// What is odd.
        what: String,
    },
    /// The lease was lost; nothing was sent.
    #[error("the lease of {name:?} is lost: {why}")]
    LeaseLost {
        /// The resource.
        name: String,
        /// How that is known.
        why: String,
    },
    /// The runtime ended under the call.
    #[error("the process is ending")]
    Ending,
}

// === impl Error ===

impl Error {
    /// Nothing to be had just now: to be asked again at the poll pace.
    #[must_use]
    pub fn is_none_now(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::TypeNotFound { .. })
    }

    /// The resource is no longer the caller's: gone, another's, or in another state.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotOwner { .. } | Self::WrongState { .. } | Self::LeaseLost { .. })
    }

    /// There is no server to work with: it cannot be reached, is out of order, refuses the credentials, or is
    /// something else.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Unavailable { .. }
                | Self::Unauthorized { .. }
                | Self::NotBoskos { .. }
        )
    }

    /// The server may have done what was asked for: its answer never came.
    #[must_use]
    pub fn is_unknown_outcome(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Unavailable { status, .. } => *status != 503,
            Self::NotFound { .. }
            | Self::TypeNotFound { .. }
            | Self::NotOwner { .. }
            | Self::WrongState { .. }
            | Self::Unauthorized { .. }
            | Self::BadRequest { .. }
            | Self::OlderServer { .. }
            | Self::NotBoskos { .. }
            | Self::LeaseLost { .. }
            | Self::Ending => false,
        }
    }
}
