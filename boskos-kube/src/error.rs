//! What may go wrong with a request.

use std::{error::Error as _, time::Duration};

use kube::core::Status;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server said no.
    #[error("the API server answered {}: {}", .0.code, .0.message)]
    Refused(Box<Status>),
    /// The API server could not be reached, or broke off.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<kube::Error>),
    /// It took too long.
    #[error("the API server did not answer within {0:?}")]
    TimedOut(Duration),
    /// The answer makes no sense.
    #[error("the API server's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The history that was asked for is gone: list anew.
    #[error("the history that was asked for is gone")]
    Expired,
}

/// Why something was not written, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Not written: the object is not of the version that was to be replaced, or is there already.
    #[error("the object was changed by someone else")]
    Conflict,
    /// Not written: there is no such object.
    #[error("there is no such object")]
    Missing,
    /// Not written: the API server will not have it, now or later.
    #[error("the API server answered {}: {}", .0.code, .0.message)]
    Refused(Box<Status>),
    /// Not written: the API server has no time for it, or does not know who asks.
    #[error("the API server answered {}: {}", .0.code, .0.message)]
    Busy(Box<Status>),
    /// Not written: the API server could not be reached.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<kube::Error>),
    /// It may or may not be written, now or within the time that the write was given.
    #[error("it is not known whether the API server wrote it: {0}")]
    Unknown(String),
}

// === impl ReadError ===

impl ReadError {
    /// Whether the API server is at fault and not what was asked: that nothing can be had from it at the moment.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => true,
            Self::Refused(status) => has_no_time(status),
            Self::Unreadable(_) | Self::Expired => false,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client has errors of many kinds, and more to come")]
    pub(crate) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 410 => Self::Expired,
            kube::Error::Api(status) => Self::Refused(status),
            kube::Error::SerdeError(error) => Self::Unreadable(error),
            other => Self::Unreachable(Box::new(other)),
        }
    }
}

// === impl WriteError ===

impl WriteError {
    /// Whether the API server is at fault and not what was asked: that it takes nothing at the moment.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unknown(_) => true,
            Self::Busy(status) => has_no_time(status),
            Self::Conflict | Self::Missing | Self::Refused(_) => false,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client has errors of many kinds, and more to come")]
    pub(crate) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            error if was_never_sent(&error) => Self::Unreachable(Box::new(error)),
            other => Self::Unknown(chain(&other)),
        }
    }

    fn of_status(status: Box<Status>) -> Self {
        match status.code {
            409 => Self::Conflict,
            404 => Self::Missing,
            401 | 429 | 503 => Self::Busy(status),
            400..=499 => Self::Refused(status),
            code => Self::Unknown(format!("it answered {code}: {}", status.message)),
        }
    }
}

/// Whether it would answer otherwise later: it starts, stops, is overrun, or its etcd is away.
fn has_no_time(status: &Status) -> bool {
    status.code == 429 || status.code >= 500
}

/// Whether no byte of the request can have reached the API server.
fn was_never_sent(error: &kube::Error) -> bool {
    if matches!(error, kube::Error::Auth(_)) {
        return true;
    }
    let mut next = error.source();
    while let Some(error) = next {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}
