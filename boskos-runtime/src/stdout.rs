//! Output for the caller's eyes and pipes.

use std::io::{self, Write as _};

/// Why output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StdoutError {
    /// Nobody reads it any more. [`crate::exit::run`] ends silently with [`CLOSED`] on this.
    #[error("standard output was closed")]
    Closed,
    /// It could not be written for another reason, such as a full disk.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

/// The exit code when the reader went away: what a shell shows for a program that SIGPIPE ended (128 + 13).
pub const CLOSED: u8 = 141;

/// Writes `line` and a newline to standard output and flushes it.
///
/// Unlike `println!` it does not panic where nobody reads.
///
/// # Errors
///
/// When standard output is closed or cannot be written.
pub fn print_line(line: &str) -> Result<(), StdoutError> {
    print(&format!("{line}\n"))
}

/// Writes `text` as it is to standard output and flushes it.
///
/// # Errors
///
/// When standard output is closed or cannot be written.
pub fn print(text: &str) -> Result<(), StdoutError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        match error.kind() == io::ErrorKind::BrokenPipe {
            true => StdoutError::Closed,
            false => StdoutError::Write(error),
        }
    })
}

/// Writes lines to standard error. Where nobody reads they are lost: there is nobody left to tell.
pub fn eprint_lines(lines: impl IntoIterator<Item = impl AsRef<str>>) {
    let mut err = io::stderr().lock();
    for line in lines {
        if writeln!(err, "{}", line.as_ref()).is_err() {
            return;
        }
    }
}
