//! boskosctl: boskos for shells.

mod acquire;
mod args;
mod config;
mod error;
mod exec;
mod heartbeat;
mod manual;
mod requeue;
mod show;
mod signals;

use std::process::ExitCode;

use boskos_runtime::{exit, flags, log, stdout::StdoutError};

use crate::{
    args::{Cli, ConfigVerb, Verb},
    error::CtlError,
};

fn main() -> ExitCode {
    let cli: Cli = flags::parse();
    log::init_plain(cli.common.log_level);
    exit::run("boskosctl", || async move {
        let is_exec = matches!(&cli.verb, Verb::Acquire(asked) if !asked.exec.is_empty());
        match run(&cli).await.map_err(|error| error.of_server_at(cli.server.url())) {
            Ok(code) => Ok(ExitCode::from(code)),
            Err(CtlError::Silent(code)) => Ok(ExitCode::from(code)),
            // Known by its type: it ends without a word.
            Err(CtlError::Stdout(error @ StdoutError::Closed)) => Err(error.into()),
            Err(error) if is_exec => {
                let code = error.code_of_exec();
                let message = exit::one_line(&error.into());
                Err(exit::Exit { code, message }.into())
            }
            Err(error) => Err(error.into()),
        }
    })
}

async fn run(cli: &Cli) -> Result<u8, CtlError> {
    let server = &cli.server;
    match &cli.verb {
        Verb::Acquire(asked) if !asked.exec.is_empty() => return exec::exec(&server.leaser()?, asked).await,
        Verb::Acquire(asked) => acquire::acquire(&server.leaser()?, asked).await?,
        Verb::Release { name, target_state } => acquire::release(&server.leaser()?, name, target_state).await?,
        Verb::Metrics { r#type } => acquire::metrics(&server.leaser()?, r#type).await?,
        Verb::Heartbeat(asked) => heartbeat::heartbeat(&server.leaser()?, asked).await?,
        Verb::Get(asked) => show::get(&server.reader()?, asked).await?,
        Verb::History { name, limit, output } => {
            show::history(&server.reader()?, name, *limit, output.output).await?;
        }
        Verb::Queue { output } => show::queue(&server.reader()?, output.output).await?,
        Verb::Config { verb: ConfigVerb::Check { file } } => config::check(file)?,
        Verb::Config { verb: ConfigVerb::Diff { file, output } } => {
            config::diff(&server.reader()?, file, output.output).await?;
        }
        Verb::Requeue { name: Some(name), .. } => requeue::one(&server.reader()?, name).await?,
        Verb::Requeue { r#type, .. } => {
            requeue::all(&server.reader()?, r#type.as_deref().unwrap_or_default()).await?;
        }
        Verb::Completions { shell } => manual::completions(*shell)?,
        Verb::Man { dir } => manual::man(dir.as_deref())?,
    }
    Ok(0)
}
