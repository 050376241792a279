//! The commands of this process.

use std::{
    io,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rustix::process::Signal;

use super::group::Members;

/// How long the last act of a process may take.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Commands of this process: they are the process's, and so are those to be ended with it when nothing is dropped any
/// more.
pub(super) static RUNNING: Running = Running::new();

/// Kills all commands of this process, and has it start no more: what is to be done last before it ends without
/// dropping anything. Takes a second at most; the log says if some may be left.
pub fn kill_all() {
    if let Err(error) = RUNNING.kill_all(LAST_WAIT) {
        tracing::error!(%error, "some commands may run on");
    }
}

/// The commands of a process.
#[derive(Debug)]
pub(super) struct Running {
    commands: Mutex<Commands>,
    none_starting: Condvar,
}

#[derive(Debug)]
struct Commands {
    known: Vec<Members>,
    /// Those that are being started and not known yet.
    starting: usize,
    /// All are to be killed, also those that are still to become known.
    are_ending: bool,
}

/// Why not all commands were killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NotKilled {
    #[error("the list of commands could not be had")]
    Unlisted,
    #[error("{commands} commands are still being started")]
    Starting { commands: usize },
}

// === impl Running ===

impl Running {
    const fn new() -> Self {
        let commands = Commands { known: Vec::new(), starting: 0, are_ending: false };
        Self { commands: Mutex::new(commands), none_starting: Condvar::new() }
    }

    /// Starts a command by `spawn`, which returns when it is run: on a file system that hangs, never. So nobody else
    /// waits for that.
    ///
    /// # Errors
    ///
    /// What `spawn` says, or that no commands are started any more.
    pub(super) fn start<T>(&self, spawn: impl FnOnce() -> io::Result<(T, Members)>) -> io::Result<(T, Members)> {
        let too_late = || io::Error::other("the process is ending");
        let mut commands = self.commands.lock();
        if commands.are_ending {
            return Err(too_late());
        }
        commands.starting += 1;
        drop(commands);
        let spawned = spawn();
        let mut commands = self.commands.lock();
        commands.starting -= 1;
        if let Ok((_, members)) = &spawned {
            commands.known.push(*members);
            if commands.are_ending {
                members.signal(Signal::KILL);
            }
        }
        if commands.starting == 0 {
            self.none_starting.notify_all();
        }
        if commands.are_ending { Err(too_late()) } else { spawned }
    }

    /// Nobody of these is left, or all were killed.
    pub(super) fn forget(&self, gone: Members) {
        self.commands.lock().known.retain(|members| *members != gone);
    }

    /// Kills all, and those too that are being started, within `patience`; no more are started after this.
    fn kill_all(&self, patience: Duration) -> Result<(), NotKilled> {
        let until = Instant::now() + patience;
        let mut commands = self.commands.try_lock_until(until).ok_or(NotKilled::Unlisted)?;
        commands.are_ending = true;
        commands.known.iter().for_each(|members| members.signal(Signal::KILL));
        while commands.starting > 0 {
            // Who started one kills it.
            if self.none_starting.wait_until(&mut commands, until).timed_out() && commands.starting > 0 {
                return Err(NotKilled::Starting { commands: commands.starting });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::{CommandExt as _, ExitStatusExt as _},
        process,
        sync::mpsc,
        thread,
    };

    use rustix::process::Pid;

    use super::*;

    #[test]
    fn a_start_that_hangs_holds_up_nobody_and_is_killed_by_who_began_it() {
        const PATIENCE: Duration = Duration::from_secs(60);
        let running = Running::new();
        let spawn = || {
            let child = process::Command::new("sleep").arg("1000").process_group(0).spawn()?;
            let leader = Pid::from_child(&child);
            Ok((child, Members { leader, has_own: true }))
        };
        let ((hangs, hanging), (go, going)) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let running = &running;
            let hung = scope.spawn(move || {
                let mut late = None;
                let started = running.start(|| {
                    hangs.send(()).unwrap();
                    going.recv_timeout(PATIENCE).unwrap();
                    let (child, members) = spawn()?;
                    late = Some(child);
                    Ok(((), members))
                });
                (started.map(|_| ()), late.unwrap())
            });
            hanging.recv_timeout(PATIENCE).unwrap();
            let (mut other, members) = running.start(spawn).unwrap();
            assert_eq!(running.kill_all(Duration::from_millis(50)), Err(NotKilled::Starting { commands: 1 }));
            assert_eq!(other.wait().unwrap().signal(), Some(9));
            running.forget(members);
            assert!(running.start(|| -> io::Result<((), Members)> { unreachable!("it is ending") }).is_err());
            go.send(()).unwrap();
            let (started, mut late) = hung.join().unwrap();
            assert_eq!(started.unwrap_err().to_string(), "the process is ending");
            assert_eq!(late.wait().unwrap().signal(), Some(9));
        });
        assert_eq!(running.kill_all(PATIENCE), Ok(()));
    }
}
