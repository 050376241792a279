//! A command that runs, with all that it starts.

use std::{ffi::OsString, fs, io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use boskos_client::{Clock, ResourceName, ResourceType};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use tokio::{
    process::{Child, Command},
    task::JoinSet,
};

use crate::output;

/// From TERM to KILL.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Nothing tells when a process group is empty, so that it is looked at again and again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long the rest of the output is waited for once everybody is gone: somebody who left the group may hold it open.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);

/// The process group of one command. Dropped while it runs, it is killed.
pub(crate) struct Group {
    child: Child,
    id: Pid,
    clock: Clock,
    output: JoinSet<()>,
    /// Nobody of it is left.
    is_gone: bool,
}

// === impl Group ===

impl Group {
    pub(crate) fn start(
        program: &Path,
        arguments: &[OsString],
        r#type: &ResourceType,
        name: &ResourceName,
        clock: &Clock,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the command ended before it began"))?;
        let mut output = JoinSet::new();
        if let Some(stream) = child.stdout.take() {
            output.spawn(output::log(stream, r#type.clone(), name.clone()));
        }
        if let Some(stream) = child.stderr.take() {
            output.spawn(output::log(stream, r#type.clone(), name.clone()));
        }
        Ok(Self { child, id, clock: clock.clone(), output, is_gone: false })
    }

    /// Waits for the command itself. Safe to cancel.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends all that is left of it: TERM, then KILL; returns when nobody is.
    pub(crate) async fn end(&mut self) {
        self.kill(Signal::TERM);
        let clock = self.clock.clone();
        tokio::select! {
            biased;
            () = self.gone() => {}
            () = clock.sleep(GRACE) => {
                self.kill(Signal::KILL);
                self.gone().await;
            }
        }
        self.is_gone = true;
        let drained = async { while self.output.join_next().await.is_some() {} };
        tokio::time::timeout(OUTPUT_WAIT, drained).await.ok();
        self.output.abort_all();
    }

    async fn gone(&mut self) {
        // Reaped by the runtime; only then may others of the group be reaped here.
        if let Err(error) = self.child.wait().await {
            tracing::debug!(%error, "the command's end was not seen");
        }
        while self.is_running() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether anybody of the group still runs.
    fn is_running(&self) -> bool {
        // As the first process of a container this one inherits orphans, and must take note of their end.
        while let Ok(Some(_)) = waitpgid(self.id, WaitOptions::NOHANG) {}
        test_kill_process_group(self.id).is_ok() && members(self.id).unwrap_or(1) > 0
    }

    fn kill(&self, signal: Signal) {
        if let Err(error) = kill_process_group(self.id, signal) {
            // Gone already, mostly.
            tracing::debug!(%error, ?signal, "not sent");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_gone {
            self.kill(Signal::KILL);
        }
    }
}

/// How many processes of the group do anything at all: one that has ended and that its parent takes no note of can
/// no longer harm. `None` where that cannot be told.
fn members(group: Pid) -> Option<usize> {
    let group = group.as_raw_nonzero().to_string();
    let mut count = 0;
    for process in fs::read_dir("/proc").ok()? {
        let Ok(process) = process else { continue };
        // Those that end meanwhile are gone.
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; then come state, parent and group.
        let Some((_, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().take(3).collect();
        if let [state, _, its_group] = fields[..] {
            count += usize::from(its_group == group && !matches!(state, "Z" | "X"));
        }
    }
    Some(count)
}
