//! The body of a request.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use thiserror::Error;

use super::{reply::Reply, traffic::Traffic};

/// A request's body, bounded in size and time.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Arriving>);

#[derive(Debug)]
struct Arriving {
    incoming: Incoming,
    traffic: Arc<Traffic>,
    limit_bytes: usize,
    within: Duration,
}

/// Why a request's body could not be read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is longer than the limit.
    #[error("request body too large, at most {limit_bytes} bytes are read")]
    TooLarge {
        /// Bytes that a body may have.
        limit_bytes: usize,
    },
    /// Its end did not arrive in time.
    #[error("request body did not arrive within {within:?}")]
    TooSlow {
        /// The time that a body may take.
        within: Duration,
    },
    /// The connection broke, or the body is malformed.
    #[error("request body broke off")]
    Broken(#[source] hyper::Error),
}

impl BodyError {
    /// The answer to a request whose body could not be read; it closes the connection, as the rest of the body may
    /// still be on its way.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let status = match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        };
        Reply::error(status, self.to_string()).closing()
    }
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(incoming: Incoming, traffic: Arc<Traffic>, limit_bytes: usize, within: Duration) -> Self {
        Self(Some(Arriving { incoming, traffic, limit_bytes, within }))
    }

    /// Reads the whole body; empty if there is none. Tells a client that waits for `100 Continue` to go on.
    ///
    /// # Errors
    ///
    /// Fails if the body is too large, too slow or broken; [`BodyError::reply`] is the answer.
    pub async fn read(self) -> Result<Bytes, BodyError> {
        let Some(arriving) = self.0 else { return Ok(Bytes::new()) };
        let mut whole = Whole::default();
        arriving.each(|chunk| whole.push(chunk)).await?;
        Ok(whole.into_bytes())
    }

    /// Reads the whole body and keeps nothing of it.
    ///
    /// # Errors
    ///
    /// Fails like [`RequestBody::read`].
    pub async fn discard(self) -> Result<(), BodyError> {
        match self.0 {
            Some(arriving) => arriving.each(drop).await,
            None => Ok(()),
        }
    }
}

impl Arriving {
    async fn each(mut self, mut take: impl FnMut(Bytes)) -> Result<(), BodyError> {
        let Self { limit_bytes, within, .. } = self;
        let mut left = limit_bytes;
        let announced = self.incoming.size_hint().lower();
        if usize::try_from(announced).map_or(true, |announced| announced > left) {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        let mut read = pin!(async {
            while let Some(frame) = self.incoming.frame().await {
                let Ok(chunk) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
                left = left.checked_sub(chunk.len()).ok_or(BodyError::TooLarge { limit_bytes })?;
                take(chunk);
            }
            Ok(())
        });
        // Nearly all bodies come with their head: those need no timer.
        let at_once = std::future::poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => Poll::Ready(None),
        });
        match at_once.await {
            Some(result) => result?,
            None => tokio::time::timeout(within, read).await.unwrap_or(Err(BodyError::TooSlow { within }))?,
        }
        self.traffic.body_read();
        Ok(())
    }
}

/// Chunks put together, without a copy if there is but one.
#[derive(Default)]
struct Whole {
    first: Bytes,
    rest: BytesMut,
}

impl Whole {
    fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&self.first);
            }
            self.rest.extend_from_slice(&chunk);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
