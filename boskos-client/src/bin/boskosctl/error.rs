//! What a verb fails of, and with which exit code.

use boskos_client::{BuildError, Error, config_file::ConfigFileError};
use boskos_runtime::stdout::StdoutError;

/// The exit code where the lease was lost under a command.
pub(crate) const LEASE_LOST: u8 = 121;
/// The exit code where there was no resource in time.
pub(crate) const NONE_IN_TIME: u8 = 124;
/// The exit code where boskosctl itself failed around a command.
pub(crate) const OURS: u8 = 125;
/// The exit code where the command cannot be run.
pub(crate) const NOT_RUNNABLE: u8 = 126;
/// The exit code where there is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// How a boskos server says that it has no such resource: a 404 in other words is about the path.
const NOT_FOUND_WORDS: [&str; 2] = ["no resource is called", "no available resource"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    #[error("required flag(s) {0} not set")]
    Missing(String),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("failed to acquire a resource: resources not found")]
    NoneFound,
    #[error("failed to acquire a resource")]
    Acquire(#[source] Error),
    #[error("failed to release resource {name:?}")]
    Release { name: String, source: Error },
    #[error("failed to release resource {name:?}: the server was away for {seconds} s")]
    NotReleased { name: String, seconds: u64 },
    #[error("failed to get metrics for resource type {0:?}")]
    Metrics(String, #[source] Error),
    #[error(transparent)]
    Server(#[from] Error),
    #[error("--resource is not a resource as acquire prints it: {0}")]
    BadResource(&'static str),
    #[error("--{0} must be more than zero")]
    NotPositive(&'static str),
    #[error("--exec needs a command behind the --")]
    NoCommand,
    #[error("--release-state is empty: name the state that the resource is to be released into, such as dirty")]
    NoReleaseState,
    #[error("--release-state has {length} bytes, more than the {most} that a state may have here")]
    LongReleaseState { length: usize, most: usize },
    #[error("failed to send heartbeat for resource {name:?} {times} times in a row")]
    Heartbeat { name: String, times: u32, source: Error },
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Behind a `Server` of before, once it is known where that is.
    #[error(
        "what answers at {url} is not a boskos server that has /api/v1, or an older one ({said}): check --server-url; \
         acquire, release, metrics and heartbeat work with older ones, too"
    )]
    NoApi { url: String, said: String },
    #[error("{0} not requeued")]
    Requeue(usize),
    #[error("no resource is called {0:?}; `boskosctl get --state quarantined` lists those that can be requeued")]
    UnknownResource(String),
    #[error(
        "resource {name:?} is {state:?}, and only quarantined ones are requeued; \
         `boskosctl get --state quarantined` lists them"
    )]
    NotQuarantined { name: String, state: String },
    #[error("resource {name:?} is quarantined, but {owner:?} owns it: requeue it when that one has released it")]
    OwnedQuarantined { name: String, owner: String },
    #[error("no resource is of type {unknown:?}; {}", types_there_are(.known))]
    UnknownType { unknown: String, known: Vec<String> },
    #[error("{0:?} not found")]
    CommandNotFound(std::ffi::OsString),
    #[error("{0:?} cannot be run")]
    NotRunnable(std::ffi::OsString, #[source] std::io::Error),
    #[error("lease of {name:?} lost, the command was ended: {why}")]
    LeaseLost { name: String, why: String },
    #[error("signals cannot be handled")]
    Signals(#[source] std::io::Error),
    #[error("the command cannot be waited for")]
    Wait(#[source] std::io::Error),
    #[error("cannot write {0:?}")]
    Write(std::path::PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Stdout(#[from] StdoutError),
    /// Said already, or nothing to say.
    #[error("")]
    Silent(u8),
}

/// Types named in an error.
const MAX_TYPES: usize = 20;

fn types_there_are(known: &[String]) -> String {
    let named = known.iter().take(MAX_TYPES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match known.len() {
        0 => "the server has none at all".to_owned(),
        1..=MAX_TYPES => format!("the server has {named}"),
        count => format!("the server has {named} and {} more", count - MAX_TYPES),
    }
}

// === impl CtlError ===

impl CtlError {
    /// The error with what it says of whoever answers at `url`, where that knows nothing of `/api/v1`.
    pub(crate) fn of_server_at(self, url: &str) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others speak of something else")]
        match self {
            Self::Server(Error::NotBoskos { url, what: said }) => Self::NoApi { url, said },
            Self::Server(Error::OlderServer { url, path }) => Self::NoApi { url, said: format!("it has no {path}") },
            Self::Server(Error::NotFound { text: said }) if !NOT_FOUND_WORDS.iter().any(|word| said.contains(word)) => {
                Self::NoApi { url: url.to_owned(), said }
            }
            other => other,
        }
    }

    /// The exit code where a command was to be run.
    pub(crate) fn code_of_exec(&self) -> u8 {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are ours")]
        match self {
            Self::NoneFound => NONE_IN_TIME,
            Self::CommandNotFound(_) => NOT_FOUND,
            Self::NotRunnable(..) => NOT_RUNNABLE,
            Self::LeaseLost { .. } => LEASE_LOST,
            Self::Silent(code) => *code,
            _ => OURS,
        }
    }
}
