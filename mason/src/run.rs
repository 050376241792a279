//! A command that gets its input, says its output, and ends with all that it started.

use std::{io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use boskos_client::{Clock, process::Group};
use boskos_runtime::signal::Shutdown;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, Command},
    task::JoinHandle,
};

/// What is read after the end of a group: all that is in the pipes.
const DRAIN_WAIT: Duration = Duration::from_secs(2);

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
    /// The end of standard error, in whole lines.
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
    let mut command = Command::new(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(&mut command, clock).await.map_err(RunError::Spawn)?;
    let child = group.child();
    let feed = child.stdin.take().map(|stdin| tokio::spawn(feed(stdin, input)));
    let output = child.stdout.take().map(|pipe| tokio::spawn(bounded(pipe)));
    let errors = child.stderr.take().map(|pipe| tokio::spawn(tail(pipe)));
    let ended = tokio::select! {
        biased;
        status = group.wait() => status.map_err(RunError::Wait),
        () = clock.sleep_until(deadline) => Err(RunError::TimedOut(timeout)),
        _ = stop.triggered() => Err(RunError::Stopped),
    };
    // What it left behind would work on what is somebody else's soon.
    group.end().await;
    if let Some(feed) = feed {
        feed.abort();
    }
    let (output, errors) = (drained(output).await.flatten(), drained(errors).await.unwrap_or_default());
    Ok(Ended { status: ended?, output, errors })
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

/// The end of it; read to the end, so that nothing blocks on it. Of a line that was cut nothing is kept: half a secret
/// in it would not be known for one.
async fn tail(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut is_cut) = (Vec::new(), false);
    let mut chunk = vec![0; MAX_ERRORS];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..read]);
        let surplus = kept.len().saturating_sub(MAX_ERRORS);
        is_cut |= surplus > 0;
        kept.drain(..surplus);
    }
    if is_cut {
        let whole = kept.iter().position(|byte| *byte == b'\n').map_or(kept.len(), |at| at + 1);
        kept.drain(..whole);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_line_that_was_cut_nothing_is_kept() {
        let secret = "c4n4ry".repeat(10);
        for shift in 0..secret.len() {
            let text = format!("{secret}\n{}\nend\n", "x".repeat(MAX_ERRORS - 6 - shift));
            let kept = String::from_utf8(tail(text.as_bytes()).await).unwrap();
            assert!(kept.ends_with("end\n") && !kept.contains("4"), "{shift}: {kept}");
        }
        assert_eq!(tail(&b"whole\nlines"[..]).await, b"whole\nlines");
        assert!(tail("x".repeat(MAX_ERRORS + 1).as_bytes()).await.is_empty());
    }
}
