//! The janitor's command line.

use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroUsize},
};

use boskos_client::{
    GoDuration,
    flags::{DaemonFlags, at_least_one},
    types::TypeFlags,
};
use clap::Parser;

use crate::{CommandError, Commands, Options, PathFlag};

/// Has a command clean what is dirty
///
/// Dirty resources of the given types are cleaning while PATH --PROJECT=NAME ARGS... runs, where PROJECT is the last
/// word of the type (gce-project: --project=NAME), and free if it exits with 0.
#[derive(Clone, Debug, Parser)]
#[command(name = "boskos-janitor")]
pub struct Flags {
    /// What every daemon has.
    #[command(flatten)]
    pub daemon: DaemonFlags,
    /// Which types; one of the flags must be there.
    #[command(flatten)]
    pub types: TypeFlags,
    /// How many resources are cleaned at a time
    #[arg(long = "pool-size", value_name = "COUNT", default_value = "20", value_parser = at_least_one::<NonZeroUsize>)]
    pub pool_size: NonZeroUsize,
    /// How often the server is told that a resource is still being cleaned
    #[arg(long = "update-frequency", value_name = "DURATION", default_value = "5m")]
    pub update_frequency: GoDuration,
    /// The command that cleans, for all types or, as TYPE=PATH, for one; repeatable [default: /bin/gcp_janitor.py]
    #[arg(long = "janitor-path", value_name = "[TYPE=]PATH")]
    pub janitor_path: Vec<PathFlag>,
    /// How long the command may take before it is killed; 0 is without end
    #[arg(long, value_name = "DURATION", default_value = "6h")]
    pub timeout: GoDuration,
    /// After how many failures in a row a resource is quarantined
    #[arg(long = "quarantine-after", value_name = "COUNT", default_value = "5",
        value_parser = at_least_one::<NonZeroU32>)]
    pub quarantine_after: NonZeroU32,
    /// After how many different resources of a type in a row that failed the type pauses
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = at_least_one::<NonZeroU32>)]
    pub breaker: NonZeroU32,
    /// How long a resource, or a type, is left alone after its first failure; doubles with each further one
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub backoff: GoDuration,
    /// Only say what would be cleaned and how
    #[arg(long = "dry-run")]
    pub dry_run: bool,
    /// Arguments for the command
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

// === impl Flags ===

impl Flags {
    /// How to clean.
    ///
    /// # Errors
    ///
    /// If a command is missing or cannot be run.
    pub fn options(&self) -> Result<Options, CommandError> {
        Ok(Options {
            commands: Commands::new(&self.janitor_path, self.arguments.clone(), &self.types)?,
            update_frequency: self.update_frequency.to_std_or_zero(),
            timeout: Some(self.timeout.to_std_or_zero()).filter(|timeout| !timeout.is_zero()),
            quarantine_after: self.quarantine_after,
            breaker: self.breaker,
            backoff: self.backoff.to_std_or_zero(),
            dry_run: self.dry_run,
        })
    }
}
