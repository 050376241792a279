//! Hundreds of short-lived clients against a real server and real daemons, all of which are killed at random.
//!
//! Who owns what is judged by the clients: each has an exclusive file for what it holds (`hold`), and whoever finds
//! another's file must show, by the server's history, that a reset lies between (`judge`). At the end what the clients
//! said is held against the whole history (`audit`).

mod audit;
mod chance;
mod client;
mod event;
mod fleet;
mod havoc;
mod hold;
mod judge;
mod process;
mod scene;
mod soak;
mod tally;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// After this long without a sign of life the reaper takes a resource back.
pub(crate) const EXPIRE: Duration = Duration::from_secs(5);

/// Leases, kills, and looks for what must not be
#[derive(Debug, Parser)]
#[command(name = "soak", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

/// What this process is besides the soak itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// One client
    #[command(hide = true)]
    Client(client::Args),
    /// A command that ends with the process that started it
    #[command(hide = true)]
    Run {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// How to soak.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long, besides the time in which all comes back in the end
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Repeats the choices of an earlier run [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Clients that are alive at a time
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Where the binaries of the server and the daemons are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Release, in their holders' names, what clients hold: the soak must find that and fail
    #[arg(long)]
    plant_double_grant: bool,
}

fn main() -> ExitCode {
    let Args { role, options } = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match (runtime, role) {
        (Err(error), _) => Err(error.into()),
        (Ok(_), Some(Role::Run { command })) => process::become_command(&command),
        (Ok(runtime), Some(Role::Client(args))) => {
            process::end_with_parent().and_then(|()| runtime.block_on(client::live(args)))
        }
        (Ok(runtime), None) => runtime.block_on(soak::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}
