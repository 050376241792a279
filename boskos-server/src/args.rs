//! The command line.

use std::path::{Path, PathBuf};

use boskos_core::GoDuration;
use boskos_runtime::flags::{IgnoredFlags, ListenFlags, LogFlags};
use clap::{Args as Flags, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser};

/// Leases scarce resources to CI jobs and people, and tracks the state of each.
#[derive(Debug, Parser)]
#[command(name = "boskos-server", args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// Work on a store beside serving.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Read a whole store and say what is wrong with it; works beside a running server
    #[command(name = "check-store")]
    CheckStore {
        /// The folder of the store
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Read a config and say everything that is wrong with it
    #[command(name = "check-config")]
    CheckConfig {
        /// The config
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Copy a store to a file; works beside a running server
    Backup {
        /// The folder of the store
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The file to write, which must not exist
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a store of a backup
    Restore {
        /// The folder to fill, which must be empty or missing
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

/// Flags of the server.
#[derive(Clone, Debug, Flags)]
pub struct Serve {
    /// The config: which resources there are
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// The port that clients call
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Health, metrics and addresses.
    #[command(flatten)]
    pub listen: ListenFlags,
    /// Logging.
    #[command(flatten)]
    pub log: LogFlags,
    /// Where resources are kept [default: kubernetes inside a cluster or with --kubeconfig, else sqlite]
    #[arg(long, value_enum)]
    pub storage: Option<Storage>,
    /// Keep resources in memory only: the same as --storage=memory
    #[arg(long = "in_memory")]
    pub in_memory: bool,
    /// The folder of the embedded store [default: ./boskos-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Refuse to start on a missing or empty store, as an unmounted volume would be
    #[arg(long)]
    pub data_must_exist: bool,
    /// Transitions kept as history, the oldest go first; 0 keeps none
    #[arg(long, value_name = "ROWS", default_value_t = 1_000_000)]
    pub history_rows: u64,
    /// How long a place in the queue lasts after the last call of its request id
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub request_ttl: GoDuration,
    /// The longest `wait` of a call; with 0 none waits
    #[arg(long, value_name = "DURATION", default_value = "50s")]
    pub max_wait: GoDuration,
    /// How often the config is read again even if nothing is heard of a change
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub dynamic_resource_update_period: GoDuration,
    /// Connections at once; one more is answered 503, and the last eighth is not kept between requests
    #[arg(long, value_name = "COUNT", default_value_t = 20_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_connections: usize,
    /// Calls waiting at once; one more is answered without waiting
    #[arg(long, value_name = "COUNT", default_value_t = 15_000)]
    pub max_parked: usize,
    /// Kubernetes storage: the namespace of the objects
    #[arg(long, default_value = "default")]
    pub namespace: String,
    /// Kubernetes storage: how to reach the API server
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubernetes storage: a token to use instead of the kubeconfig's or the pod's; a ca.crt beside it counts where the
    /// pod has none
    #[arg(long, value_name = "FILE")]
    pub projected_token_file: Option<PathBuf>,
    /// Kubernetes storage: let one of several replicas lead
    #[arg(long)]
    pub enable_leader_election: bool,
    /// Kubernetes storage: the pods that the leader label is taken off
    #[arg(long, value_name = "SELECTOR")]
    pub boskos_label_selector: Option<String>,
    /// Kubernetes storage: the pod that this process runs in
    #[arg(long, value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Kubernetes storage: the label that the leader puts on its pod
    #[arg(long, value_name = "KEY", default_value = "boskos-leader")]
    pub leader_label_key: String,
    /// Put the types of the objects into the cluster, with an administrator's kubeconfig, and exit
    #[arg(long)]
    pub install_crds: bool,
    /// Flags of the past.
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}

/// Where resources are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// In a folder of this machine
    Sqlite,
    /// In memory, until the process ends
    Memory,
    /// In the objects of a Kubernetes namespace
    Kubernetes,
}

/// Why the flags do not go together.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// Two flags name different stores.
    #[error("--in_memory and --storage={0} contradict each other: leave one out")]
    TwoStores(&'static str),
    /// A duration that may be zero is less.
    #[error("--{flag} must not be negative, as {value} is; 0 is the least")]
    Negative {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        value: GoDuration,
    },
    /// A duration that must be positive is not.
    #[error("--{flag} must be more than zero, not {value}")]
    NotPositive {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        value: GoDuration,
    },
}

impl Serve {
    /// Where to keep resources: what is said outright wins over what other flags, and whether this
    /// is a pod, hint at.
    ///
    /// # Errors
    ///
    /// If the flags contradict each other.
    pub fn store(&self, in_cluster: bool) -> Result<Storage, ArgsError> {
        match (self.storage, self.in_memory) {
            (Some(Storage::Sqlite), true) => Err(ArgsError::TwoStores("sqlite")),
            (Some(Storage::Kubernetes), true) => Err(ArgsError::TwoStores("kubernetes")),
            (_, true) => Ok(Storage::Memory),
            (Some(storage), false) => Ok(storage),
            (None, false) if self.data_dir.is_some() => Ok(Storage::Sqlite),
            (None, false) if self.kubeconfig.is_some() || in_cluster => Ok(Storage::Kubernetes),
            (None, false) => Ok(Storage::Sqlite),
        }
    }

    /// The file of the projected token, if one is named.
    #[must_use]
    pub fn token_file(&self) -> Option<&Path> {
        self.projected_token_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Checks what clap does not.
    ///
    /// # Errors
    ///
    /// If a value is out of bounds.
    pub fn check(&self) -> Result<(), ArgsError> {
        let durations = [
            ("request-ttl", self.request_ttl),
            ("dynamic-resource-update-period", self.dynamic_resource_update_period),
        ];
        if let Some((flag, value)) = durations.into_iter().find(|(_, value)| value.as_nanos() <= 0) {
            return Err(ArgsError::NotPositive { flag, value });
        }
        if self.max_wait.as_nanos() < 0 {
            return Err(ArgsError::Negative { flag: "max-wait", value: self.max_wait });
        }
        Ok(())
    }
}
