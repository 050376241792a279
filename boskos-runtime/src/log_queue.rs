//! A bounded queue of lines in front of a writer that may stall.
//!
//! Invariant: whoever logs never waits for whoever reads the log. Lines beyond the bound are dropped and counted, and
//! a line with the count follows once the reader is back.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// Bytes that may wait while the reader stalls; as much again may be in the writer's hand.
pub(crate) const QUEUE_BYTES: usize = 1 << 20;

/// Pause before a write is tried again on a full pipe that was set not to block.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Renders the line, newline included, that tells how many lines were dropped.
pub(crate) type DropReport = fn(lines: u64) -> Vec<u8>;

/// Puts lines into the queue. Its thread ends, once all is written, with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    open: Arc<Open>,
}

/// Dropped with the last handle.
#[derive(Debug)]
struct Open(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake_writer: Condvar,
    wrote: Condvar,
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    /// A line was refused since the writer last took what is pending: what follows is refused too, so that the report
    /// stands where the gap is.
    overflowed: bool,
    /// Lines dropped and not yet reported.
    unreported: u64,
    /// Lines dropped since the start.
    dropped: u64,
    writing: bool,
    closed: bool,
}

// === impl LogQueue ===

impl LogQueue {
    /// Starts a thread that writes to `writer` what is pushed, with at most `limit_bytes` waiting.
    ///
    /// # Errors
    ///
    /// When no thread can be had.
    pub(crate) fn spawn(
        writer: impl Write + Send + 'static,
        limit_bytes: usize,
        report: DropReport,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake_writer: Condvar::new(),
            wrote: Condvar::new(),
            limit_bytes,
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || theirs.write_all(writer, report))?;
        Ok(Self { open: Arc::new(Open(shared)) })
    }

    /// Queues `line`, which ends in a newline, or drops and counts it. Never waits for the writer.
    pub(crate) fn push(&self, line: &[u8]) {
        let shared = &self.open.0;
        let mut state = shared.state.lock();
        if state.overflowed || state.pending.len() + line.len() > shared.limit_bytes {
            state.overflowed = !state.pending.is_empty();
            state.unreported += 1;
            state.dropped += 1;
            return;
        }
        state.pending.extend_from_slice(line);
        drop(state);
        shared.wake_writer.notify_one();
    }

    /// Lines dropped since the start.
    #[must_use]
    pub(crate) fn dropped(&self) -> u64 {
        self.open.0.state.lock().dropped
    }

    /// Waits until all that was pushed is written, at most for `limit`; tells whether it is.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.open.0.state.lock();
        while state.writing || !state.pending.is_empty() {
            if self.open.0.wrote.wait_until(&mut state, deadline).timed_out() {
                return !state.writing && state.pending.is_empty();
            }
        }
        true
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.wake_writer.notify_one();
    }
}

// === impl Shared ===

impl Shared {
    fn write_all(&self, mut writer: impl Write, report: DropReport) {
        let mut batch = Vec::new();
        while self.take(&mut batch, report) {
            let lost = write_batch(&mut writer, &batch);
            batch.clear();
            let mut state = self.state.lock();
            state.writing = false;
            state.unreported += lost;
            state.dropped += lost;
            drop(state);
            self.wrote.notify_all();
        }
    }

    /// Waits for lines and moves them into `batch`; false once the queue is closed and empty.
    fn take(&self, batch: &mut Vec<u8>, report: DropReport) -> bool {
        let mut state = self.state.lock();
        while state.pending.is_empty() {
            if state.closed {
                return false;
            }
            self.wake_writer.wait(&mut state);
        }
        std::mem::swap(&mut state.pending, batch);
        state.overflowed = false;
        state.writing = true;
        let lines = std::mem::take(&mut state.unreported);
        drop(state);
        if lines > 0 {
            batch.extend_from_slice(&report(lines));
        }
        true
    }
}

/// Writes `batch` and tells how many of its lines were lost to an error (a closed pipe, a full disk).
fn write_batch(writer: &mut impl Write, mut batch: &[u8]) -> u64 {
    while !batch.is_empty() {
        match writer.write(batch) {
            Ok(0) => break,
            Ok(written) => batch = &batch[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => break,
        }
    }
    batch.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes one write per permit and hands on what it read.
    struct Reader {
        permits: mpsc::Receiver<()>,
        read: mpsc::Sender<String>,
        entered: mpsc::Sender<()>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).ok();
            self.permits.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.read.send(String::from_utf8_lossy(bytes).into_owned()).ok();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stalled {
        queue: LogQueue,
        permit: mpsc::Sender<()>,
        read: mpsc::Receiver<String>,
        entered: mpsc::Receiver<()>,
    }

    fn stalled(limit_bytes: usize) -> Stalled {
        let (permit, permits) = mpsc::channel();
        let (read_tx, read) = mpsc::channel();
        let (entered_tx, entered) = mpsc::channel();
        let reader = Reader { permits, read: read_tx, entered: entered_tx };
        let queue = LogQueue::spawn(reader, limit_bytes, |lines| format!("dropped {lines}\n").into_bytes()).unwrap();
        Stalled { queue, permit, read, entered }
    }

    #[test]
    fn stalled_reader_costs_lines_that_are_counted_where_the_gap_is() {
        let s = stalled(9);
        s.queue.push(b"first\n");
        s.entered.recv().unwrap();
        for line in ["one\n", "two2\n", "too-many\n", "x\n"] {
            s.queue.push(line.as_bytes());
        }
        assert_eq!(s.queue.dropped(), 2, "a short line after a refused one is refused too");
        assert!(!s.queue.flush(Duration::from_millis(1)), "nobody has read yet");
        s.permit.send(()).unwrap();
        s.permit.send(()).unwrap();
        assert_eq!(s.read.recv().unwrap(), "first\n");
        assert_eq!(s.read.recv().unwrap(), "one\ntwo2\ndropped 2\n");
        assert!(s.queue.flush(Duration::from_secs(60)));
        s.permit.send(()).unwrap();
        s.queue.push(b"again\n");
        assert_eq!(s.read.recv().unwrap(), "again\n", "reported once");
    }

    #[test]
    fn line_beyond_the_whole_bound_does_not_shut_the_queue() {
        let s = stalled(9);
        s.queue.push(b"far too long\n");
        s.queue.push(b"short\n");
        s.permit.send(()).unwrap();
        assert_eq!(s.read.recv().unwrap(), "short\ndropped 1\n");
    }

    #[test]
    fn closed_reader_loses_lines_and_the_flush_still_ends() {
        let s = stalled(99);
        drop(s.permit);
        s.queue.push(b"one\ntwo\n");
        assert!(s.queue.flush(Duration::from_secs(60)));
        assert_eq!(s.queue.dropped(), 2);
    }

    #[test]
    fn lines_pushed_before_the_last_handle_went_are_written() {
        let s = stalled(99);
        s.queue.push(b"one\n");
        s.entered.recv().unwrap();
        s.queue.push(b"two\n");
        drop(s.queue);
        s.permit.send(()).unwrap();
        s.permit.send(()).unwrap();
        assert_eq!(s.read.iter().collect::<String>(), "one\ntwo\n", "and the writer then ends");
    }
}
