//! One command that runs, with all that it starts.

use std::{collections::BTreeMap, fs, io, process::ExitStatus, time::Duration};

use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, kill_process_group, set_child_subreaper, waitpgid,
};
use tokio::process::{Child, Command};

use super::running::RUNNING;
use crate::Clock;

/// From TERM to KILL.
pub const GRACE: Duration = Duration::from_secs(10);

/// Nothing tells when a process group is empty, so that it is looked at again and again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tries to start a file that is being written just now.
const BUSY_TRIES: u32 = 50;

/// Between them.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A command that runs, with all that it starts, unless that leaves its process group. Dropped, it is killed.
#[derive(Debug)]
pub struct Group {
    child: Child,
    members: Members,
    clock: Clock,
    /// Nobody of it is left.
    is_gone: bool,
}

/// Who belongs to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    pub(super) leader: Pid,
    /// It has a process group of its own; else those of ours that come from it are meant.
    pub(super) has_own: bool,
}

/// A process as the kernel shows it.
#[derive(Clone, Copy)]
struct Process {
    /// It has ended, and its parent takes no note of that: it can no longer harm.
    has_ended: bool,
    parent: i32,
    group: i32,
}

// === impl Group ===

impl Group {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub async fn start(command: &mut Command, clock: &Clock) -> io::Result<Self> {
        Self::spawn(command.process_group(0), true, clock).await
    }

    /// Starts `command` in the process group of this process: at a terminal it could not read from it in another. What
    /// it leaves behind becomes this process's child, by which it is known.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub async fn start_at_terminal(command: &mut Command, clock: &Clock) -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Self::spawn(command, false, clock).await
    }

    async fn spawn(command: &mut Command, has_own: bool, clock: &Clock) -> io::Result<Self> {
        let mut tries = 1;
        let (child, members) = loop {
            match Self::try_spawn(command, has_own) {
                // It is being replaced just now.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                spawned => break spawned?,
            }
        };
        Ok(Self { child, members, clock: clock.clone(), is_gone: false })
    }

    fn try_spawn(command: &mut Command, has_own: bool) -> io::Result<(Child, Members)> {
        RUNNING.start(|| {
            let child = command.spawn()?;
            let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let leader = leader.ok_or_else(|| io::Error::other("the command ended before it began"))?;
            Ok((child, Members { leader, has_own }))
        })
    }

    /// The command itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Who belongs to it.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members
    }

    /// Waits for the command itself. Safe to cancel.
    ///
    /// # Errors
    ///
    /// If its end cannot be told.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends all that is left of it: TERM, then KILL after [`GRACE`]; returns when nobody is left.
    pub async fn end(&mut self) {
        self.members.signal(Signal::TERM);
        let clock = self.clock.clone();
        tokio::select! {
            biased;
            () = self.gone(None) => {}
            () = clock.sleep(GRACE) => self.gone(Some(Signal::KILL)).await,
        }
        self.is_gone = true;
        RUNNING.forget(self.members);
    }

    async fn gone(&mut self, signal: Option<Signal>) {
        if let Some(signal) = signal {
            self.members.signal(signal);
        }
        // Reaped by the runtime; only then may others of the group be reaped here.
        if let Err(error) = self.child.wait().await {
            tracing::debug!(%error, "the command's end was not seen");
        }
        while self.members.any() {
            if let Some(signal) = signal {
                // Those of a shared group may start others before they are reached.
                self.members.signal(signal);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_gone {
            self.members.signal(Signal::KILL);
            RUNNING.forget(self.members);
        }
    }
}

// === impl Members ===

impl Members {
    /// Sends all of them a signal.
    pub fn signal(self, signal: Signal) {
        // Where that fails they are gone already, mostly.
        if self.has_own {
            kill_process_group(self.leader, signal).ok();
            return;
        }
        for pid in self.living().into_iter().flatten() {
            kill_process(pid, signal).ok();
        }
    }

    /// Sends the command itself a signal, and nobody else.
    pub fn signal_leader(self, signal: Signal) {
        kill_process(self.leader, signal).ok();
    }

    /// Whether any of them still runs. The command itself must have been waited for.
    fn any(self) -> bool {
        if self.has_own {
            // As the first process of a container this one inherits orphans, and must take note of their end.
            while let Ok(Some(_)) = waitpgid(self.leader, WaitOptions::NOHANG) {}
        }
        match self.living() {
            Some(living) => !living.is_empty(),
            // Without /proc those that have ended count too.
            None => self.has_own && rustix::process::test_kill_process_group(self.leader).is_ok(),
        }
    }

    /// Those that do anything at all; `None` where that cannot be told.
    fn living(self) -> Option<Vec<Pid>> {
        let all = processes()?;
        let is_ours = |pid: i32, process: &Process| match self.has_own {
            true => process.group == self.leader.as_raw_nonzero().get(),
            false => process.group == getpgrp().as_raw_nonzero().get() && comes_from_here(&all, pid),
        };
        let living = all.iter().filter(|(pid, process)| !process.has_ended && is_ours(**pid, process));
        Some(living.filter_map(|(pid, _)| Pid::from_raw(*pid)).collect())
    }
}

/// Whether a process was started by this one, or by one that was.
fn comes_from_here(all: &BTreeMap<i32, Process>, pid: i32) -> bool {
    let (here, mut next) = (getpid().as_raw_nonzero().get(), pid);
    // No chain is longer; a number that is taken anew meanwhile might close a ring.
    for _ in 0..all.len() {
        match all.get(&next) {
            Some(process) if process.parent == here => return true,
            Some(process) => next = process.parent,
            None => return false,
        }
    }
    false
}

fn processes() -> Option<BTreeMap<i32, Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").ok()? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Those that end meanwhile are gone.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; then come state, parent and group.
        let Some((_, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().take(3).collect();
        if let [state, parent, group] = fields[..]
            && let (Ok(parent), Ok(group)) = (parent.parse(), group.parse())
        {
            all.insert(pid, Process { has_ended: matches!(state, "Z" | "X"), parent, group });
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::{process::Stdio, time::Instant};

    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    fn is_alive(pid: i32) -> bool {
        processes().unwrap().get(&pid).is_some_and(|process| !process.has_ended)
    }

    /// Starts `script` and reads the number that it prints.
    async fn start(script: &str, clock: &Clock) -> (Group, i32) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut group = Group::start(&mut command, clock).await.unwrap();
        let mut line = String::new();
        BufReader::new(group.child().stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        (group, line.trim().parse().unwrap())
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_is_ended_and_who_traps_that_is_killed_after_the_grace() {
        let clock = Clock::system();
        let (mut group, left) = start("sleep 1000 & echo $!", &clock).await;
        assert!(group.wait().await.unwrap().success());
        assert!(is_alive(left));
        group.end().await;
        assert!(!is_alive(left));

        let (clock, hand) = Clock::manual();
        let stubborn = "sh -c \"trap '' TERM; echo \\$\\$; while :; do sleep 0.05; done\" & wait";
        let (mut group, left) = start(stubborn, &clock).await;
        let ending = tokio::spawn(async move { group.end().await });
        hand.slept_on().await;
        assert!(is_alive(left) && !ending.is_finished());
        hand.advance(GRACE);
        ending.await.unwrap();
        assert!(!is_alive(left));
    }

    #[tokio::test]
    async fn at_a_terminal_what_comes_from_the_command_is_ended_without_a_group_of_its_own() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & echo $!"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut group = Group::start_at_terminal(&mut command, &Clock::system()).await.unwrap();
        let mut line = String::new();
        BufReader::new(group.child().stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let left = line.trim().parse().unwrap();
        assert!(group.wait().await.unwrap().success());
        assert!(is_alive(left));
        group.end().await;
        assert!(!is_alive(left));
    }

    #[tokio::test]
    async fn dropped_it_is_killed() {
        let (group, left) = start("trap '' TERM; sleep 1000 & echo $!; wait", &Clock::system()).await;
        drop(group);
        let began = Instant::now();
        while is_alive(left) {
            assert!(began.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
