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
    #[error("failed to send heartbeat for resource {name:?} {times} times in a row")]
    Heartbeat { name: String, times: u32, source: Error },
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error("{0} not requeued")]
    Requeue(usize),
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

impl CtlError {
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
