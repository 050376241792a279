//! The command line.

use std::{ffi::OsString, path::PathBuf};

use boskos_client::{BuildError, Client, GoDuration, flags};
use boskos_runtime::{flags::IgnoredFlags, log::LogLevel};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::error::CtlError;

/// The owner where none is needed to be told apart.
const OWN_NAME: &str = "boskosctl";

/// Lease resources from a boskos server, and look at what it has
#[derive(Debug, Parser)]
#[command(name = "boskosctl")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the server is and who calls; before or after the verb.
#[derive(Args, Debug)]
pub(crate) struct ServerFlags {
    /// The server
    #[arg(long = "server-url", value_name = "URL", global = true)]
    server_url: Option<String>,
    /// For whom resources are acquired and released
    #[arg(long = "owner-name", value_name = "NAME", global = true)]
    owner_name: Option<String>,
    /// The user of basic auth
    #[arg(long, global = true)]
    username: Option<String>,
    /// The file with the password of basic auth
    #[arg(long = "password-file", value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,
}

/// What every binary has; before or after the verb.
#[derive(Args, Debug)]
pub(crate) struct CommonFlags {
    /// The lowest level that is told on standard error
    #[arg(long = "log-level", value_name = "LEVEL", default_value_t, ignore_case = true, value_enum, global = true)]
    pub(crate) log_level: LogLevel,
    #[command(flatten)]
    _ignored: IgnoredFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Acquire one resource and print it as one line of JSON
    Acquire(Acquire),
    /// Give a resource back
    Release {
        /// The resource
        #[arg(long)]
        name: String,
        /// The state it is to be in
        #[arg(long = "target-state", value_name = "STATE")]
        target_state: String,
    },
    /// Print how many resources of a type are in which state, and whose
    Metrics {
        /// The type
        #[arg(long)]
        r#type: String,
    },
    /// Say again and again that a resource is still in use
    Heartbeat(Heartbeat),
    /// List resources
    Get(Get),
    /// Show what became of a resource, newest first
    History {
        /// The resource
        name: String,
        /// Rows at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Show who waits for what
    Queue {
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Look at config files
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Give quarantined resources another chance: they become dirty
    Requeue {
        /// The resource
        #[arg(required_unless_present = "type", conflicts_with = "type")]
        name: Option<String>,
        /// All quarantined resources of this type
        #[arg(long)]
        r#type: Option<String>,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all verbs into a folder
    Man {
        /// The folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Acquire {
    /// The type wanted
    #[arg(long)]
    pub(crate) r#type: String,
    /// The state that it must be in
    #[arg(long)]
    pub(crate) state: String,
    /// The state that it is set to
    #[arg(long = "target-state", value_name = "STATE")]
    pub(crate) target_state: String,
    /// How long to wait in the queue [default: not at all]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<GoDuration>,
    /// Run this command while the resource is held, then release it; takes the rest of the line, a `--` before the
    /// command is left out
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Vec<OsString>,
    /// With --exec: the state that it is released into
    #[arg(long = "release-state", value_name = "STATE", default_value = "dirty")]
    pub(crate) release_state: String,
    /// With --exec: time between heartbeats
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) period: GoDuration,
}

#[derive(Args, Debug)]
pub(crate) struct Heartbeat {
    /// The resource as acquire printed it
    #[arg(long, value_name = "JSON")]
    pub(crate) resource: String,
    /// Time between heartbeats
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) period: GoDuration,
    /// How long to go on
    #[arg(long, value_name = "DURATION", default_value = "5h")]
    pub(crate) timeout: GoDuration,
    /// Failures in a row that are put up with
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) retries: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Get {
    /// The resource [default: all]
    #[arg(conflicts_with_all = ["type", "state", "owner"])]
    pub(crate) name: Option<String>,
    /// Those of this type; repeatable
    #[arg(long)]
    pub(crate) r#type: Vec<String>,
    /// Those in this state; repeatable
    #[arg(long)]
    pub(crate) state: Vec<String>,
    /// Those of this owner, empty for nobody; repeatable
    #[arg(long)]
    pub(crate) owner: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check a config file; needs no server
    Check {
        /// The file
        file: PathBuf,
    },
    /// Show what applying a config file would change on the server
    Diff {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        output: OutputFlags,
    },
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputFlags {
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns for eyes
    Table,
    /// One JSON text for programs
    Json,
}

// === impl Acquire ===

impl Acquire {
    /// The command of `--exec` and its arguments, without the separator that other programs want before them.
    pub(crate) fn command(&self) -> Option<(&OsString, &[OsString])> {
        match self.exec.split_first() {
            Some((separator, rest)) if separator == "--" => rest.split_first(),
            command => command,
        }
    }
}

// === impl ServerFlags ===

impl ServerFlags {
    /// A client for one who leases: server and owner must be named.
    pub(crate) fn leaser(&self) -> Result<Client, CtlError> {
        let missing: Vec<_> = [("owner-name", &self.owner_name), ("server-url", &self.server_url)]
            .into_iter()
            .filter(|(_, value)| value.as_ref().is_none_or(String::is_empty))
            .map(|(flag, _)| format!("\"{flag}\""))
            .collect();
        if !missing.is_empty() {
            return Err(CtlError::Missing(missing.join(", ")));
        }
        Ok(self.client()?)
    }

    /// Where the server is, as told; empty if it was not.
    pub(crate) fn url(&self) -> &str {
        self.server_url.as_deref().unwrap_or_default()
    }

    /// A client for one who looks: the server must be named.
    pub(crate) fn reader(&self) -> Result<Client, CtlError> {
        if self.server_url.as_ref().is_none_or(String::is_empty) {
            return Err(CtlError::Missing("\"server-url\"".to_owned()));
        }
        Ok(self.client()?)
    }

    fn client(&self) -> Result<Client, BuildError> {
        let url = self.url();
        let owner = self.owner_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(OWN_NAME);
        flags::builder(url, owner, self.username.as_deref(), self.password_file.as_ref())?.build()
    }
}
