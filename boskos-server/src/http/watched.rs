//! The socket as hyper sees it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::traffic::Traffic;

/// Bytes that are read ahead of hyper to find a hang-up behind them. A client that sends more than this behind a call
/// that has not been answered is noticed to be gone only with that answer.
const AHEAD_BYTES: usize = 64 * 1024;

/// Bytes that are read ahead at once.
const AHEAD_STEP_BYTES: usize = 4 * 1024;

/// A socket that tells its [`Traffic`] what passes, and looks for hang-ups where hyper does not.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    io: I,
    traffic: Arc<Traffic>,
    /// Read from the socket, not yet by hyper.
    ahead: BytesMut,
}

impl<I> Watched<I> {
    pub(crate) fn new(io: I, traffic: Arc<Traffic>) -> Self {
        Self { io, traffic, ahead: BytesMut::new() }
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }
}

impl<I: AsyncRead + Unpin> Watched<I> {
    fn read_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, buf) else {
            self.traffic.read_blocked();
            return Poll::Pending;
        };
        result?;
        if self.traffic.received(&buf.filled()[before..]) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "request line too long")))
        }
    }

    /// Reads what a client sent behind a call that is not answered, until the socket has no more.
    ///
    /// # Errors
    ///
    /// Fails when the client hung up.
    fn look_for_hang_up(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.ahead.len() < AHEAD_BYTES {
            let mut step = [0; AHEAD_STEP_BYTES];
            let mut buf = ReadBuf::new(&mut step);
            match self.read_socket(cx, &mut buf) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "client hung up"));
                }
                Poll::Ready(result) => result?,
            }
            self.ahead.extend_from_slice(buf.filled());
        }
        Ok(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return this.read_socket(cx, buf);
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper comes here each time it is polled, whenever its write buffer is empty and only then.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.traffic.flushed();
        if this.traffic.must_look_for_hang_up() {
            this.look_for_hang_up(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl<I> Watched<I> {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(_)) => self.traffic.sent(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.traffic.write_blocked(),
        }
        written
    }
}
