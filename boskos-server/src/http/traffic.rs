//! What the parts of one connection tell each other.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
};

use memchr::memchr;
use parking_lot::Mutex;

use super::delivery::Delivery;

/// The state of one connection, shared by its socket, its service call and its reply body, all of which live inside
/// hyper and can be reached by no other way.
///
/// All of them run on the connection's task, one at a time: the atomics are there for `Sync` alone, and relaxed order
/// suffices because a task that moves between threads is synchronised by the runtime.
pub(crate) struct Traffic {
    /// Bytes that a request line may have.
    line_limit: usize,
    /// A service call has begun and not answered.
    in_service: AtomicBool,
    /// The last request announced a body that is not known to be read to its end.
    body_open: AtomicBool,
    /// A read since the task was last woken found nothing, so the task is woken by the next byte, FIN or RST.
    read_blocked: AtomicBool,
    /// The last write found the socket full.
    write_blocked: AtomicBool,
    /// Counts reads and writes that moved bytes; wraps.
    progress: AtomicU32,
    /// Counts service calls; wraps.
    calls: AtomicU32,
    /// Bytes received since the last service call began, leading empty lines not counted: the beginning of a head.
    head_bytes: AtomicUsize,
    /// The last four bytes received outside bodies, the last one lowest. Unless they end a head, another has begun.
    tail: AtomicU32,
    /// The bytes of that head hold a whole request line.
    line_ended: AtomicBool,
    /// A request line passed the limit.
    line_too_long: AtomicBool,
    /// `encoded` is not empty. Spares the lock where no reply carries a delivery.
    has_encoded: AtomicBool,
    /// Deliveries whose replies are in the write buffer to their last byte.
    encoded: Mutex<Vec<Box<dyn Delivery>>>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The service.
    Service,
    /// The client, to take more of a reply.
    Write,
}

impl Traffic {
    pub(crate) fn new(line_limit: usize) -> Self {
        Self {
            line_limit,
            in_service: AtomicBool::new(false),
            body_open: AtomicBool::new(false),
            read_blocked: AtomicBool::new(false),
            write_blocked: AtomicBool::new(false),
            progress: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            head_bytes: AtomicUsize::new(0),
            tail: AtomicU32::new(0),
            line_ended: AtomicBool::new(false),
            line_too_long: AtomicBool::new(false),
            has_encoded: AtomicBool::new(false),
            encoded: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.write_blocked.load(Relaxed) {
            Phase::Write
        } else if self.in_service.load(Relaxed) {
            Phase::Service
        } else if self.head_bytes.load(Relaxed) > 0 {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    pub(crate) fn progress(&self) -> u32 {
        self.progress.load(Relaxed)
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    fn progressed(&self) {
        self.progress.store(self.progress().wrapping_add(1), Relaxed);
    }

    // === the service call ===

    /// A head was parsed and the service is called.
    pub(crate) fn called(&self, has_body: bool) {
        self.calls.store(self.calls().wrapping_add(1), Relaxed);
        // What came behind this request is in hyper's buffer, unseen from here but for its end.
        let tail = self.tail.load(Relaxed).to_be_bytes();
        let has_begun_another = !has_body && !tail.ends_with(b"\n\r\n") && !tail.ends_with(b"\n\n");
        self.head_bytes.store(usize::from(has_begun_another), Relaxed);
        self.line_ended.store(false, Relaxed);
        self.body_open.store(has_body, Relaxed);
        self.in_service.store(true, Relaxed);
    }

    /// The request's body was read to its end.
    pub(crate) fn body_read(&self) {
        self.body_open.store(false, Relaxed);
    }

    /// The service has answered.
    pub(crate) fn answered(&self) {
        self.in_service.store(false, Relaxed);
    }

    /// The client may still be sending a body that nobody reads.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.body_open.load(Relaxed)
    }

    /// Nothing else would notice a hang-up: the service is at work, the request is read, and hyper does not wait for
    /// a byte (it stops reading once a client has sent ahead).
    pub(crate) fn must_look_for_hang_up(&self) -> bool {
        self.in_service.load(Relaxed) && !self.read_blocked.load(Relaxed) && !self.body_open.load(Relaxed)
    }

    // === the socket ===

    /// The connection's task runs, perhaps because of what nobody has read yet.
    pub(crate) fn woken(&self) {
        self.read_blocked.store(false, Relaxed);
    }

    pub(crate) fn read_blocked(&self) {
        self.read_blocked.store(true, Relaxed);
    }

    /// Takes note of `bytes` from the client; `false` if they make a request line longer than the limit.
    pub(crate) fn received(&self, bytes: &[u8]) -> bool {
        self.read_blocked.store(false, Relaxed);
        self.progressed();
        if self.in_service.load(Relaxed) && self.body_open.load(Relaxed) {
            return true;
        }
        let tail = &bytes[bytes.len().saturating_sub(4)..];
        self.tail.store(tail.iter().fold(self.tail.load(Relaxed), |tail, byte| tail << 8 | u32::from(*byte)), Relaxed);
        let before = self.head_bytes.load(Relaxed);
        // Old clients end a body with an empty line that belongs to no request.
        let skip = if before == 0 { bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count() } else { 0 };
        let bytes = &bytes[skip..];
        let after = before + bytes.len();
        self.head_bytes.store(after, Relaxed);
        if self.line_ended.load(Relaxed) {
            return true;
        }
        let line_end = memchr(b'\n', bytes);
        self.line_ended.store(line_end.is_some(), Relaxed);
        let too_long = line_end.map_or(after, |end| before + end) >= self.line_limit;
        self.line_too_long.store(too_long, Relaxed);
        !too_long
    }

    pub(crate) fn is_line_too_long(&self) -> bool {
        self.line_too_long.load(Relaxed)
    }

    pub(crate) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    pub(crate) fn sent(&self) {
        self.write_blocked.store(false, Relaxed);
        self.progressed();
    }

    // === deliveries ===

    /// The reply of `delivery` is in the write buffer to its last byte, or will be before the next flush.
    pub(crate) fn encoded(&self, delivery: Box<dyn Delivery>) {
        self.encoded.lock().push(delivery);
        self.has_encoded.store(true, Relaxed);
    }

    /// The write buffer is empty: the socket accepted all there was.
    pub(crate) fn flushed(&self) {
        if self.has_encoded.load(Relaxed) {
            self.has_encoded.store(false, Relaxed);
            // Taken out first: what a delivery does must not happen under the lock.
            let encoded = std::mem::take(&mut *self.encoded.lock());
            encoded.into_iter().for_each(Delivery::delivered);
        }
    }

    /// The connection is over: what was not flushed by now never will be.
    pub(crate) fn ended(&self) {
        drop(std::mem::take(&mut *self.encoded.lock()));
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic").field("phase", &self.phase()).finish_non_exhaustive()
    }
}
