//! The accept loop.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use hyper::server::conn::http1;
use tokio::{
    sync::{Notify, futures::Notified},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout_at},
};

use super::{
    connection,
    limits::Limits,
    listener::{Listener, Next, Setback},
    refusal::refuse,
    service::Service,
};

/// The least that hyper takes for a buffer's limit.
const LEAST_BUFFER_BYTES: usize = 8 * 1024;

/// The last of so many parts of all connections are not kept between requests.
const SPARE: usize = 8;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Server<S> {
    pub(crate) service: Arc<S>,
    pub(crate) limits: Limits,
    pub(crate) http: http1::Builder,
    pub(crate) stop: Stop,
    /// Connections there are.
    open: AtomicUsize,
}

impl<S> Server<S> {
    /// Whether an answer is to be the last on its connection: none will be served any more, or so few are left that
    /// clients must not keep theirs for a request that may come. Whoever gives something back needs one.
    pub(crate) fn ends_connections(&self) -> bool {
        let Limits { connections, .. } = self.limits;
        self.stop.is_given() || self.open.load(Relaxed) > connections - connections / SPARE
    }
}

/// The word to finish, given once.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    given: AtomicBool,
    notify: Notify,
}

impl Stop {
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(SeqCst)
    }

    /// Completes at the word, if it is given after this call.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }

    fn give(&self) {
        self.given.store(true, SeqCst);
        self.notify.notify_waiters();
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut at the deadline with a request in flight.
    pub cut: usize,
}

/// The connections of a server that accepts no more.
#[derive(Debug)]
#[must_use = "dropped, it aborts its connections"]
pub struct Draining {
    connections: JoinSet<()>,
    refusals: JoinSet<()>,
    deadline: Instant,
}

/// Accepts connections and has `service` answer their requests until `stop` completes. Then no more are accepted,
/// idle connections are closed, and answers say that their connection ends with them; requests in flight may finish
/// until the instant that `stop` returned.
///
/// Dropped before, it aborts its connections.
pub async fn serve<L, S>(
    mut listener: L,
    service: Arc<S>,
    limits: Limits,
    stop: impl Future<Output = Instant>,
) -> Draining
where
    L: Listener,
    S: Service,
{
    let server =
        Arc::new(Server { http: builder(&limits), service, limits, stop: Stop::default(), open: AtomicUsize::new(0) });
    let mut stop = pin!(stop);
    let mut setback = Setback::default();
    let mut connections = JoinSet::new();
    // Apart from the others, so that a crowd at the door neither takes nor waits for their places.
    let mut refusals = JoinSet::new();
    let deadline = loop {
        tokio::select! {
            biased;
            deadline = &mut stop => break deadline,
            Some(ended) = connections.join_next() => {
                note(ended);
                server.open.store(connections.len(), Relaxed);
            }
            Some(ended) = refusals.join_next() => note(ended),
            accepted = accept(&mut listener, &mut setback) => {
                let Some(io) = accepted else { continue };
                if connections.len() < server.limits.connections {
                    // Before it can answer.
                    server.open.store(connections.len() + 1, Relaxed);
                    connections.spawn(connection::run(io, server.clone()));
                } else if refusals.len() < server.limits.refusals {
                    refusals.spawn(refuse(io, server.limits.linger));
                }
            }
        }
    };
    drop(listener);
    server.stop.give();
    Draining { connections, refusals, deadline }
}

impl Draining {
    /// Waits until all requests in flight are finished, or cuts them when it is time to. Everything that the server
    /// started has ended then.
    pub async fn drained(mut self) -> Drained {
        let drain = async {
            while let Some(ended) = self.connections.join_next().await {
                note(ended);
            }
        };
        // Who is over the limit was told; the rest of that is politeness.
        self.refusals.shutdown().await;
        if timeout_at(self.deadline, drain).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = self.connections.len();
        self.connections.shutdown().await;
        Drained { cut }
    }
}

/// `None` after a failure that was dealt with.
async fn accept<L: Listener>(listener: &mut L, setback: &mut Setback) -> Option<L::Io> {
    match listener.accept().await {
        Ok(io) => {
            setback.accepted();
            Some(io)
        }
        Err(error) => {
            if let Next::After { pause, is_known } = setback.failed(&error) {
                if !is_known {
                    tracing::warn!(%error, "cannot accept connections, trying on");
                }
                sleep(pause).await;
            }
            None
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// How hyper is set up.
///
/// Its own limit on the time of a head is left off: it counts the time between requests too, and sets a timer for each
/// of them. Replies are copied behind their heads rather than written from two places, which is cheaper for short ones;
/// long ones come in pieces (see [`super::ReplyBody`]).
fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(LEAST_BUFFER_BYTES))
        .writev(false);
    builder
}
