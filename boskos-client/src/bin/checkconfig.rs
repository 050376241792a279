//! Checks a config file: a presubmit for the repositories that configs live in.

use std::{path::PathBuf, process::ExitCode};

use boskos_client::config_file;
use boskos_runtime::{
    exit, flags,
    flags::{IgnoredFlags, LogFlags},
    stdout,
};
use clap::Parser;

/// Check a config file: exit code 0, or 1 with everything that is wrong with it
#[derive(Debug, Parser)]
#[command(name = "checkconfig")]
struct Flags {
    /// The config file
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    config: PathBuf,
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    ignored: IgnoredFlags,
}

fn main() -> ExitCode {
    let flags: Flags = flags::parse();
    exit::finish(check(&flags))
}

fn check(flags: &Flags) -> anyhow::Result<ExitCode> {
    match config_file::check(&flags.config) {
        Ok(warnings) => {
            stdout::eprint_lines(warnings.iter().map(|warning| format!("warning: {warning}")));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            stdout::eprint_lines(error.lines());
            Ok(ExitCode::FAILURE)
        }
    }
}
