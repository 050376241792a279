//! A command in a process group of its own, which ends as a whole.

use std::{io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use boskos_client::Clock;
use boskos_runtime::signal::Shutdown;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
};

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(10);

/// From KILL to the end of the last process; one that hangs in the kernel is not waited for any longer.
const KILLED_WAIT: Duration = Duration::from_secs(2);

/// How often it is looked whether a group is gone: nothing tells.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is read after the end of a group: all that is in the pipes.
const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// Tries while the file is being written.
const BUSY_TRIES: u32 = 50;

/// The longest standard output that is taken: what the server takes as user data.
pub(crate) const MAX_OUTPUT: usize = 1 << 20;

/// How much of standard error is kept: its end.
const MAX_ERRORS: usize = 4 << 10;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output; `None` if it was too long.
    pub(crate) output: Option<Vec<u8>>,
    /// The end of standard error.
    pub(crate) errors: Vec<u8>,
}

/// Why a command did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot be run: {0}")]
    Spawn(#[source] io::Error),
    #[error("cannot be waited for: {0}")]
    Wait(#[source] io::Error),
    #[error("did not end within {} s and was ended", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("was told to stop")]
    Stopped,
}

/// Processes that end with this value at the latest.
struct Group {
    leader: Pid,
    /// Nothing is left of it.
    gone: bool,
}

/// Runs the program at `path` with `input` on its standard input until it ends, `timeout` is over or `stop` is
/// triggered. Nothing of its process group is left then.
pub(crate) async fn run(
    path: &Path,
    input: Vec<u8>,
    timeout: Duration,
    clock: &Clock,
    stop: &Shutdown,
) -> Result<Ended, RunError> {
    let deadline = clock.mono().saturating_add(timeout);
    let mut child = spawn(path).await.map_err(RunError::Spawn)?;
    let no_pid = || RunError::Spawn(io::Error::other("it ended before it began"));
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).ok_or_else(no_pid)?;
    let mut group = Group { leader, gone: false };
    let feed = child.stdin.take().map(|stdin| tokio::spawn(feed(stdin, input)));
    let output = child.stdout.take().map(|pipe| tokio::spawn(bounded(pipe)));
    let errors = child.stderr.take().map(|pipe| tokio::spawn(tail(pipe)));
    let ended = tokio::select! {
        biased;
        status = child.wait() => status.map_err(RunError::Wait),
        () = clock.sleep_until(deadline) => Err(RunError::TimedOut(timeout)),
        _ = stop.triggered() => Err(RunError::Stopped),
    };
    match &ended {
        // What it left behind would work on what is somebody else's soon.
        Ok(_) => group.kill().await,
        Err(_) => group.end(&mut child, clock).await,
    }
    if let Some(feed) = feed {
        feed.abort();
    }
    let (output, errors) = (drained(output).await.flatten(), drained(errors).await.unwrap_or_default());
    Ok(Ended { status: ended?, output, errors })
}

async fn spawn(path: &Path) -> io::Result<Child> {
    let mut command = Command::new(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            // It is being replaced just now.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(LOOK_EVERY).await,
            spawned => return spawned,
        }
    }
    command.spawn()
}

async fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    // A command may well not read it.
    stdin.write_all(&input).await.ok();
}

/// All of it; `None` if it is too long. The pipe is closed then.
async fn bounded(mut pipe: impl AsyncRead + Unpin) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_OUTPUT).unwrap_or(u64::MAX).saturating_add(1);
    (&mut pipe).take(limit).read_to_end(&mut bytes).await.ok()?;
    (bytes.len() <= MAX_OUTPUT).then_some(bytes)
}

/// The end of it; read to the end, so that nothing blocks on it.
async fn tail(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; MAX_ERRORS];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..read]);
        kept.drain(..kept.len().saturating_sub(MAX_ERRORS));
    }
    kept
}

async fn drained<T>(task: Option<JoinHandle<T>>) -> Option<T> {
    let mut task = task?;
    let ended = tokio::time::timeout(DRAIN_WAIT, &mut task).await;
    // Only a process that fled the group still has the pipe.
    task.abort();
    ended.ok()?.ok()
}

// === impl Group ===

impl Group {
    fn signal(&self, signal: Signal) {
        // Gone already.
        kill_process_group(self.leader, signal).ok();
    }

    fn is_gone(&mut self) -> bool {
        self.gone = self.gone || test_kill_process_group(self.leader).is_err();
        self.gone
    }

    /// TERM, then KILL after 10 s.
    async fn end(&mut self, child: &mut Child, clock: &Clock) {
        self.signal(Signal::TERM);
        let all_gone = async {
            child.wait().await.ok();
            while !self.is_gone() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = all_gone => {}
            () = clock.sleep(GRACE) => {}
        }
        self.signal(Signal::KILL);
        tokio::time::timeout(KILLED_WAIT, child.wait()).await.ok();
        self.kill().await;
    }

    /// KILL, and waits until nothing is left.
    async fn kill(&mut self) {
        self.signal(Signal::KILL);
        let all_gone = async {
            while !self.is_gone() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(KILLED_WAIT, all_gone).await.ok();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_gone() {
            self.signal(Signal::KILL);
        }
    }
}
