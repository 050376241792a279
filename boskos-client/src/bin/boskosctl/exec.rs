//! `acquire --exec`: a command that runs while a resource is held.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, IsTerminal as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use boskos_client::{Client, Lease, LeaseOptions};
use boskos_runtime::{stdout, text};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use crate::{acquire, args::Acquire, error::CtlError, signals::Signals};

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(10);

/// A command that runs.
struct Running {
    child: Child,
    pid: Pid,
    /// It shares our process group, and the terminal's signals.
    on_terminal: bool,
}

/// Holds a resource while a command runs; returns the exit code.
pub(crate) async fn exec(client: &Client, asked: &Acquire) -> Result<u8, CtlError> {
    let (command, arguments) = asked.exec.split_first().expect("clap asks for one at least");
    let program = find(command, env::var_os("PATH").as_deref())?;
    let period = asked.period.to_std().filter(|period| !period.is_zero()).ok_or(CtlError::NotPositive("period"))?;
    let mut signals = Signals::all()?;
    let resource = acquire::take(client, asked, &mut signals).await?;
    let name = resource.name.as_str().to_owned();
    let options = LeaseOptions { period, ..LeaseOptions::dropped_into(&asked.release_state) };
    let lease = client.lease(resource, options);
    let mut running = match Running::start(&program, command, arguments, &lease) {
        Ok(running) => running,
        Err(error) => {
            let unstarted = CtlError::NotRunnable(command.clone(), error);
            release(lease, asked).await?;
            return Err(unstarted);
        }
    };
    loop {
        tokio::select! {
            ended = running.child.wait() => {
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

async fn release(lease: Lease, asked: &Acquire) -> Result<(), CtlError> {
    let name = lease.name().as_str().to_owned();
    let released = lease.release(&asked.release_state).await;
    released.map_err(|source| match source.is_lost() {
        true => CtlError::LeaseLost { name, why: source.to_string() },
        false => CtlError::Release { name, source },
    })
}

/// The program that a shell would run.
fn find(command: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, CtlError> {
    if command.as_bytes().contains(&b'/') {
        return match runnable(Path::new(command)) {
            Ok(()) => Ok(command.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CtlError::CommandNotFound(command.to_owned())),
            Err(error) => Err(CtlError::NotRunnable(command.to_owned(), error)),
        };
    }
    let mut unrunnable = None;
    for dir in env::split_paths(path.unwrap_or_default()).filter(|_| !command.is_empty()) {
        let file = dir.join(command);
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => unrunnable = Some(error),
        }
    }
    Err(match unrunnable {
        Some(error) => CtlError::NotRunnable(command.to_owned(), error),
        None => CtlError::CommandNotFound(command.to_owned()),
    })
}

fn runnable(file: &Path) -> io::Result<()> {
    let metadata = fs::metadata(file)?;
    let is_runnable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if is_runnable { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "not an executable file")) }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or_default();
    u8::try_from(code).unwrap_or(u8::MAX)
}

// === impl Running ===

impl Running {
    fn start(program: &Path, name: &OsStr, arguments: &[OsString], lease: &Lease) -> io::Result<Self> {
        let resource = lease.resource();
        // At a terminal the command stays in its foreground group, or it could not read from it.
        let on_terminal = io::stdin().is_terminal();
        let mut command = Command::new(program);
        command
            .arg0(name)
            .args(arguments)
            .env("BOSKOS_RESOURCE", resource.to_json())
            .env("BOSKOS_NAME", resource.name.as_str())
            .kill_on_drop(true);
        if !on_terminal {
            command.process_group(0);
        }
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = id.ok_or_else(|| io::Error::other("the command ended before it began"))?;
        Ok(Self { child, pid, on_terminal })
    }

    fn pass_on(&self, number: i32) {
        // A terminal tells its whole foreground group of Ctrl-C by itself.
        if self.on_terminal && Signals::is_interrupt(number) {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(number) {
            self.kill(signal);
        }
    }

    /// TERM, then KILL; returns when the command is gone.
    async fn end(&mut self, signals: &mut Signals) {
        self.kill(Signal::TERM);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                _ = self.child.wait() => break,
                number = signals.next() => self.pass_on(number),
                () = &mut grace => break,
            }
        }
        // What the command started and left behind goes too.
        self.kill(Signal::KILL);
        self.child.wait().await.ok();
    }

    fn kill(&self, signal: Signal) {
        let sent = match self.on_terminal {
            true => kill_process(self.pid, signal),
            false => kill_process_group(self.pid, signal),
        };
        // Gone already.
        sent.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let (tool, text) = (dir.path().join("tool"), dir.path().join("text"));
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&text, "").unwrap();
        let path = env::join_paths([dir.path().join("nothing").as_path(), dir.path()]).unwrap();
        let find = |command: &OsStr| find(command, Some(&path));
        assert_eq!(find("tool".as_ref()).unwrap(), tool);
        assert_eq!(find(tool.as_os_str()).unwrap(), tool);
        assert_eq!(find("text".as_ref()).unwrap_err().code_of_exec(), 126);
        assert_eq!(find(dir.path().as_os_str()).unwrap_err().code_of_exec(), 126);
        assert_eq!(find("nothing".as_ref()).unwrap_err().code_of_exec(), 127);
        assert_eq!(find("".as_ref()).unwrap_err().code_of_exec(), 127);
        assert_eq!(find("/nothing/there".as_ref()).unwrap_err().code_of_exec(), 127);
    }
}
