//! The cleaner's command line.

use std::num::NonZeroUsize;

use boskos_client::{
    flags::{DaemonFlags, at_least_one},
    types::TypeFlags,
};
use clap::Parser;

/// Takes apart the composite resources that are to be deleted
///
/// Resources of dynamic types in the state toBeDeleted become tombstone; what they were made of becomes dirty.
/// Without types it serves all dynamic types of the server.
#[derive(Clone, Debug, Parser)]
#[command(name = "boskos-cleaner")]
pub struct Flags {
    /// What every daemon has.
    #[command(flatten)]
    pub daemon: DaemonFlags,
    /// Which types.
    #[command(flatten)]
    pub types: TypeFlags,
    /// How many resources are taken apart at a time
    #[arg(long = "cleaner-count", value_name = "COUNT", default_value = "15",
        value_parser = at_least_one::<NonZeroUsize>)]
    pub cleaner_count: NonZeroUsize,
    /// Accepted, does nothing: the cleaner speaks to the server alone
    #[arg(long, value_name = "NAMESPACE", hide_short_help = true)]
    pub namespace: Option<String>,
    /// Accepted, does nothing
    #[arg(long = "use-v2-implementation", hide_short_help = true)]
    pub use_v2_implementation: bool,
    /// Accepted, does nothing
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<String>,
    /// Accepted, does nothing
    #[arg(long = "in_memory", hide_short_help = true)]
    pub in_memory: bool,
    /// Accepted, does nothing
    #[arg(long = "projected-token-file", value_name = "FILE", hide_short_help = true)]
    pub projected_token_file: Option<String>,
}
