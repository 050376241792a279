//! The janitor: takes what is dirty, has a command clean it, and gives it back free.

mod breaker;
mod candidates;
mod clean;
mod command;
mod flags;
mod janitor;
mod output;
mod run;
mod standing;

pub use self::{
    command::{CommandError, Commands, PathFlag},
    flags::Flags,
    janitor::{Janitor, Options},
};

/// For whom the janitor acquires.
pub const OWNER: &str = "Janitor";

/// The state of what is given up until somebody looks at it.
pub const QUARANTINED: &str = "quarantined";

/// The user data key with how often in a row cleaning failed.
pub const FAILURES: &str = "janitor-failures";

/// The user data key with why a resource is quarantined.
pub const REASON: &str = "janitor-reason";

/// How all user data keys of the janitor begin.
pub const NOTES: &str = "janitor-";
