//! The body of a reply.

use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::{sync::mpsc, task::yield_now};

use super::{delivery::Delivery, traffic::Traffic};

/// Bytes of a reply that are handed to its connection at once. The connection copies them and keeps a buffer of that
/// size, so a large reply must not pass in one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// What a reply consists of behind its head, and what hangs on its delivery.
pub struct ReplyBody {
    content: Content,
    delivery: Option<Box<dyn Delivery>>,
    /// Who is told when the last byte was handed out; set once the reply is on its connection.
    traffic: Option<Arc<Traffic>>,
}

enum Content {
    Empty,
    Full(Bytes),
    /// Made chunk by chunk as the client takes it; `paused` after each, for others to get their turn.
    Pages {
        next: Box<dyn FnMut() -> Option<Result<Bytes, BrokenOff>> + Send>,
        paused: bool,
    },
    Channel(mpsc::Receiver<Piece>),
}

enum Piece {
    Chunk(Bytes),
    End,
}

/// A reply's body ended before its end was said.
///
/// The connection is closed then, so that the client can tell half a listing from a whole one.
#[derive(Debug, Default, Error)]
#[error("the reply broke off")]
pub struct BrokenOff(());

/// Feeds a body made with [`ReplyBody::channel`].
///
/// Dropped without [`BodySender::finish`], it breaks the reply off.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Piece>);

/// The client is gone and nobody reads the body any more.
#[derive(Debug, Error)]
#[error("nobody reads the reply any more")]
pub struct Unread(());

impl BodySender {
    /// Sends the next chunk, waiting while the client has not taken earlier ones.
    ///
    /// # Errors
    ///
    /// Fails when the connection is gone.
    pub async fn send(&self, chunk: Bytes) -> Result<(), Unread> {
        self.0.send(Piece::Chunk(chunk)).await.map_err(|_| Unread(()))
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// Fails when the connection is gone.
    pub async fn finish(self) -> Result<(), Unread> {
        self.0.send(Piece::End).await.map_err(|_| Unread(()))
    }
}

impl ReplyBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Content::Empty)
    }

    /// All bytes at once.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(if bytes.is_empty() { Content::Empty } else { Content::Full(bytes) })
    }

    /// Chunks made one at a time, each when the client has taken those before it, until `next` returns `None`, or says that it
    /// breaks off.
    ///
    /// Other connections get their turn after every chunk, so a chunk should take well below a millisecond to make.
    #[must_use]
    pub fn pages(next: impl FnMut() -> Option<Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self::new(Content::Pages { next: Box::new(next), paused: false })
    }

    /// Chunks sent from elsewhere, at most `depth` of them ahead of the client.
    #[must_use]
    pub fn channel(depth: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(depth);
        (BodySender(sender), Self::new(Content::Channel(receiver)))
    }

    fn new(content: Content) -> Self {
        Self { content, delivery: None, traffic: None }
    }

    /// Replaces the bytes and keeps the delivery.
    pub(crate) fn replace(&mut self, body: Self) {
        self.content = body.content;
    }

    pub(crate) fn set_delivery(&mut self, delivery: Box<dyn Delivery>) {
        self.delivery = Some(delivery);
    }

    pub(crate) fn take_delivery(&mut self) -> Option<Box<dyn Delivery>> {
        self.delivery.take()
    }

    /// Hands `delivery` to `traffic` together with the last byte.
    pub(crate) fn report_end(&mut self, delivery: Box<dyn Delivery>, traffic: Arc<Traffic>) {
        self.delivery = Some(delivery);
        self.traffic = Some(traffic);
    }

    fn ended(&mut self) {
        self.content = Content::Empty;
        if let (Some(delivery), Some(traffic)) = (self.delivery.take(), self.traffic.take()) {
            traffic.encoded(delivery);
        }
    }
}

impl Default for ReplyBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        let chunk = match &mut this.content {
            Content::Empty => return Poll::Ready(None),
            Content::Full(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                if bytes.is_empty() {
                    this.ended();
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            Content::Pages { paused: paused @ true, .. } => {
                *paused = false;
                // Not the waker: one that wakes itself has tasks alone come before it, and what arrives at sockets
                // only now and then.
                let _ = pin!(yield_now()).poll(cx);
                return Poll::Pending;
            }
            Content::Pages { next, paused } => {
                *paused = true;
                match next() {
                    Some(Ok(chunk)) => Some(chunk),
                    Some(Err(broken_off)) => return Poll::Ready(Some(Err(broken_off))),
                    None => None,
                }
            }
            Content::Channel(receiver) => match ready!(receiver.poll_recv(cx)) {
                Some(Piece::Chunk(chunk)) => Some(chunk),
                Some(Piece::End) => None,
                None => return Poll::Ready(Some(Err(BrokenOff(())))),
            },
        };
        if chunk.is_none() {
            this.ended();
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pages { .. } | Content::Channel(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::net::UnixStream as Peer,
        sync::atomic::{AtomicU32, Ordering::Relaxed},
    };

    use http_body_util::BodyExt as _;
    use tokio::{io::AsyncReadExt as _, net::UnixStream};

    use super::*;

    const PAGES: u32 = 1_000;

    /// Where one thread serves, whoever sends something while a listing is made.
    #[tokio::test]
    async fn what_arrives_is_served_between_two_pages() {
        let (mut peer, ours) = Peer::pair().expect("no sockets");
        ours.set_nonblocking(true).expect("cannot be told not to block");
        let mut ours = UnixStream::from_std(ours).expect("no socket for the runtime");
        let made = Arc::new(AtomicU32::new(0));
        let (counted, seen) = (made.clone(), made.clone());
        let arrives = tokio::spawn(async move {
            let mut worst = 0;
            for _ in 0..PAGES / 10 {
                let sent = ours.read_u32().await.expect("nothing arrived");
                worst = worst.max(seen.load(Relaxed) - sent);
            }
            worst
        });
        let mut body = ReplyBody::pages(move || {
            let page = counted.fetch_add(1, Relaxed) + 1;
            if page % 10 == 0 {
                peer.write_all(&page.to_be_bytes()).expect("cannot send");
            }
            (page <= PAGES).then(|| Ok(Bytes::from_static(b"page")))
        });
        tokio::spawn(async move { while body.frame().await.is_some() {} }).await.expect("the listing panicked");
        let worst = arrives.await.expect("the reader panicked");
        assert!(worst <= 1, "{worst} pages were made before what had arrived was looked at");
        assert_eq!(made.load(Relaxed), PAGES + 1);
    }
}
