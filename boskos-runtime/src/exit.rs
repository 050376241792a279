//! From `main` to the exit code.

use std::{
    io::Write as _,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    thread,
};

use tokio::runtime;

use crate::{log, stdout, stdout::StdoutError, text};

/// The exit code of usage errors and of all failures that name no other.
pub const FAILURE: u8 = 1;

/// The exit code after a panic, Rust's own.
const PANICKED: u8 = 101;

/// An error that ends the process with a code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Exit {
    /// The exit code.
    pub code: u8,
    /// What is said on standard error; nothing where empty.
    pub message: String,
}

/// Runs `main` on a tokio runtime whose threads are called `name`, and turns what it returns into an exit code.
///
/// An error is one line on standard error: a log line at level fatal where [`log::init`] was called, else the chain
/// of causes joined by `: `. Logs are flushed for at most [`log::FLUSH_WAIT`]. Tasks that still run are dropped.
pub fn run<F>(name: &'static str, main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    run_with(name, None, main)
}

/// [`run`] with so many `workers` among the runtime's threads; without, as [`run`], with as many as
/// `TOKIO_WORKER_THREADS` says, else one for each processor.
pub fn run_with<F>(name: &'static str, workers: Option<NonZeroUsize>, main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers.get());
    }
    let runtime = match builder.enable_all().thread_name(name).build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(anyhow::Error::new(error).context("cannot start the runtime"))),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async move { main().await })));
    // Threads that block, on a stalled disk say, must not hold up the exit.
    runtime.shutdown_background();
    // The panic hook told a panic already.
    finish(ended.unwrap_or(Ok(ExitCode::from(PANICKED))))
}

/// How many processors this process may use; 1 where nobody says.
#[must_use]
pub fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The end of [`run`], for a `main` with a runtime of its own: tells the error, flushes the logs.
#[must_use]
pub fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    let code = match &result {
        Ok(code) => *code,
        Err(error) => ExitCode::from(tell(error)),
    };
    log::flush();
    code
}

/// `error` and its causes, as [`text::chain`] tells them, on one line and without passwords of URLs.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    text::one_line(&text::without_userinfo(&text::chain(error.as_ref()))).into_owned()
}

fn tell(error: &anyhow::Error) -> u8 {
    if matches!(error.downcast_ref(), Some(StdoutError::Closed)) {
        return stdout::CLOSED;
    }
    let line = one_line(error);
    if !line.is_empty() && !log::fatal(&line) {
        eprintln_quietly(&line);
    }
    error.downcast_ref::<Exit>().map_or(FAILURE, |exit| exit.code)
}

/// `eprintln!`, which panics where nobody reads.
pub(crate) fn eprintln_quietly(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_its_chain_on_one_line_without_passwords() {
        let error = anyhow::anyhow!("no route\nto host").context("GET http://me:secret@boskos/").context("cannot list");
        assert_eq!(one_line(&error), "cannot list: GET http://***@boskos/: no route\\nto host");
    }

    #[test]
    fn what_an_error_tells_of_its_cause_is_not_told_again() {
        let error = anyhow::anyhow!("Read-only file system").context("cannot open f: Read-only file system");
        assert_eq!(one_line(&error), "cannot open f: Read-only file system");
        assert_eq!(one_line(&anyhow::anyhow!("file").context("file f")), "file f: file");
    }

    #[test]
    fn exit_code_survives_context() {
        let error = anyhow::Error::new(Exit { code: 124, message: String::new() });
        assert_eq!(tell(&error), 124);
        let error = anyhow::Error::new(Exit { code: 121, message: "lease lost".into() }).context("acquire");
        assert_eq!((tell(&error), one_line(&error)), (121, "acquire: lease lost".to_owned()));
        assert_eq!(tell(&anyhow::Error::new(StdoutError::Closed).context("get")), stdout::CLOSED);
        assert_eq!(tell(&anyhow::anyhow!("other")), FAILURE);
    }
}
