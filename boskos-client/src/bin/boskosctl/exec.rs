//! `acquire --exec`: a command that runs while a resource is held.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use boskos_client::{
    Client, Clock, Lease, LeaseOptions,
    process::{self, Group},
};
use boskos_runtime::{stdout, text};
use rustix::process::Signal;
use tokio::process::Command;

use crate::{acquire, args::Acquire, error::CtlError, signals::Signals};

/// How long a server that is away at the end is waited for.
const RELEASE_WAIT: Duration = Duration::from_secs(60);

/// Bytes of a state that fit a request line with whatever else stands there: encoded, each may take three, and the
/// server reads 64 KiB.
const MAX_STATE: usize = 16 * 1024;

/// A command that runs.
struct Running {
    group: Group,
    /// It shares our process group, and the terminal's signals.
    on_terminal: bool,
}

/// Holds a resource while a command runs; returns the exit code.
pub(crate) async fn exec(client: &Client, asked: &Acquire) -> Result<u8, CtlError> {
    // All that the end would fail of is refused before anything is acquired.
    let (command, arguments) = asked.command().ok_or(CtlError::NoCommand)?;
    let program = find(command)?;
    check_release_state(&asked.release_state)?;
    let period = asked.period.to_std().filter(|period| !period.is_zero()).ok_or(CtlError::NotPositive("period"))?;
    let mut signals = Signals::all()?;
    let resource = acquire::take(client, asked, &mut signals).await?;
    let name = resource.name.as_str().to_owned();
    let options = LeaseOptions { period, ..LeaseOptions::dropped_into(&asked.release_state) };
    let lease = client.lease(resource, options);
    let mut running = match Running::start(&program, command, arguments, &lease).await {
        Ok(running) => running,
        Err(error) => {
            let unstarted = CtlError::NotRunnable(command.clone(), error);
            release(lease, asked).await?;
            return Err(unstarted);
        }
    };
    loop {
        tokio::select! {
            ended = running.group.wait() => {
                // What it left behind would go on working on what is somebody else's soon.
                running.end(&mut signals).await;
                let code = code_of(ended.map_err(CtlError::Wait)?);
                return match release(lease, asked).await {
                    Ok(()) => Ok(code),
                    Err(error) if code == 0 => Err(error),
                    Err(error) => {
                        // The command's own code says more.
                        stdout::eprint_lines([text::chain(&error)]);
                        Ok(code)
                    }
                };
            }
            number = signals.next() => running.pass_on(number),
            lost = lease.lost() => {
                running.end(&mut signals).await;
                return Err(CtlError::LeaseLost { name, why: lost.to_string() });
            }
        }
    }
}

/// Whether a server can be asked to release into `state`.
fn check_release_state(state: &str) -> Result<(), CtlError> {
    match state.len() {
        0 => Err(CtlError::NoReleaseState),
        1..=MAX_STATE => Ok(()),
        length => Err(CtlError::LongReleaseState { length, most: MAX_STATE }),
    }
}

async fn release(lease: Lease, asked: &Acquire) -> Result<(), CtlError> {
    let name = lease.name().as_str().to_owned();
    match tokio::time::timeout(RELEASE_WAIT, lease.release(&asked.release_state)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) if source.is_lost() => Err(CtlError::LeaseLost { name, why: source.to_string() }),
        Ok(Err(source)) => Err(CtlError::Release { name, source }),
        Err(_) => Err(CtlError::NotReleased { name, seconds: RELEASE_WAIT.as_secs() }),
    }
}

/// The program that a shell would run.
fn find(command: &OsStr) -> Result<PathBuf, CtlError> {
    process::find_on_path(command).map_err(|error| match error.kind() == io::ErrorKind::NotFound {
        true => CtlError::CommandNotFound(command.to_owned()),
        false => CtlError::NotRunnable(command.to_owned(), error),
    })
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or_default();
    u8::try_from(code).unwrap_or(u8::MAX)
}

// === impl Running ===

impl Running {
    async fn start(program: &Path, name: &OsStr, arguments: &[OsString], lease: &Lease) -> io::Result<Self> {
        let (resource, clock) = (lease.resource(), Clock::system());
        let mut command = Command::new(program);
        command
            .arg0(name)
            .args(arguments)
            .env("BOSKOS_RESOURCE", resource.to_json())
            .env("BOSKOS_NAME", resource.name.as_str());
        // At a terminal the command stays in its foreground group, or it could not read from it.
        let on_terminal = io::stdin().is_terminal();
        let group = match on_terminal {
            true => Group::start_at_terminal(&mut command, &clock).await?,
            false => Group::start(&mut command, &clock).await?,
        };
        Ok(Self { group, on_terminal })
    }

    fn pass_on(&self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else { return };
        match self.on_terminal {
            // A terminal tells its whole foreground group of Ctrl-C by itself.
            true if Signals::is_interrupt(number) => {}
            true => self.group.members().signal_leader(signal),
            false => self.group.members().signal(signal),
        }
    }

    /// TERM, then KILL; returns when all of it is gone. Signals are passed on meanwhile.
    async fn end(&mut self, signals: &mut Signals) {
        let members = self.group.members();
        let ending = self.group.end();
        tokio::pin!(ending);
        loop {
            tokio::select! {
                () = &mut ending => return,
                number = signals.next() => {
                    if let Some(signal) = Signal::from_named_raw(number) {
                        members.signal(signal);
                    }
                }
            }
        }
    }
}
