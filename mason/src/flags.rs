//! The command line.

use std::{ffi::OsString, num::NonZeroUsize};

use boskos_client::flags::{DaemonFlags, at_least_one};
use boskos_core::GoDuration;
use clap::Parser;

use crate::command::CommandConverter;

/// Build dirty resources of composite types out of other resources
///
/// A composite type is a dynamic one whose config names a converter; only those are served that --converter names a
/// command for. The command gets a JSON object on its standard input: the resource, what is leased for it, and its
/// config. It prints a JSON object of text by key, which is merged into the resource's user data. If it fails, or is
/// not done in time, all of it goes back dirty.
#[derive(Clone, Debug, Parser)]
#[command(name = "boskos-mason")]
pub struct Flags {
    /// A config type and the command that makes such resources; may be repeated
    #[arg(long = "converter", value_name = "TYPE=COMMAND")]
    pub converters: Vec<CommandConverter>,
    /// How long a command may take; then its process group is ended
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = positive)]
    pub timeout: GoDuration,
    /// How many resources are worked on at a time
    #[arg(long = "cleaner-count", value_name = "COUNT", default_value = "15",
        value_parser = at_least_one::<NonZeroUsize>)]
    pub cleaner_count: NonZeroUsize,
    /// A file with the key configs, read every 10 min [default: the server's lifecycles]
    #[arg(long, value_name = "FILE")]
    pub config: Option<OsString>,
    /// What every daemon has.
    #[command(flatten)]
    pub daemon: DaemonFlags,
    /// Accepted, does nothing: the server alone is spoken to
    #[arg(long, hide_short_help = true)]
    pub namespace: Option<String>,
    /// Accepted, does nothing
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<OsString>,
    /// Accepted, does nothing
    #[arg(long = "in_memory", hide_short_help = true)]
    pub in_memory: bool,
    /// Accepted, does nothing
    #[arg(long = "projected-token-file", value_name = "FILE", hide_short_help = true)]
    pub projected_token_file: Option<OsString>,
}

fn positive(text: &str) -> Result<GoDuration, String> {
    let duration = GoDuration::parse(text).map_err(|error| error.to_string())?;
    match duration.to_std().is_some_and(|duration| !duration.is_zero()) {
        true => Ok(duration),
        false => Err("must be longer than nothing".to_owned()),
    }
}
