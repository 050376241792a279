//! The reaper's command line.

use boskos_client::{GoDuration, flags::DaemonFlags, types::TypeFlags};
use clap::Parser;

use crate::TypeExpiry;

/// Takes back resources that nobody has kept alive for too long
///
/// Owned resources in the states busy, cleaning and leased, and the extra ones, that were not updated for the expiry
/// lose their owner and get the target state. Without types it serves all of the server.
#[derive(Clone, Debug, Parser)]
#[command(name = "boskos-reaper")]
pub struct Flags {
    /// What every daemon has.
    #[command(flatten)]
    pub daemon: DaemonFlags,
    /// Which types.
    #[command(flatten)]
    pub types: TypeFlags,
    /// How long without an update before a resource is taken back
    #[arg(long, value_name = "DURATION", default_value = "30m", allow_hyphen_values = true)]
    pub expire: GoDuration,
    /// The same for one type, such as gce-project=2h; repeatable
    #[arg(long = "expire-type", value_name = "TYPE=DURATION")]
    pub expire_type: Vec<TypeExpiry>,
    /// The state that resources get
    #[arg(
        long = "target-state",
        value_name = "STATE",
        default_value = "dirty",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub target_state: String,
    /// States to take back from beside busy, cleaning and leased, comma separated
    #[arg(long = "extra-source-states", value_name = "STATES", default_value = "")]
    pub extra_source_states: String,
    /// How often it looks
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub interval: GoDuration,
}
