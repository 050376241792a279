//! A client whose requests can be held, counted and lost on the way.

use std::sync::Arc;

use boskos_kube::Client;
use futures_util::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// What happens to the writes of one client.
#[derive(Default)]
pub(crate) struct Wire {
    state: Mutex<State>,
    changed: Notify,
    /// Watches end at each change of this.
    cuts: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    /// Writes that go through before all further ones are lost, unheard of: as if the process had
    /// been killed.
    left: Option<usize>,
    /// Whether the next write waits.
    hold_next: bool,
    held: usize,
    /// Answers of that many writes are lost, though they are carried out.
    deaf: usize,
    writes: usize,
    /// So many watches find their history gone.
    expire_watches: usize,
}

/// What is answered, however it comes.
type Bytes = UnsyncBoxBody<bytes::Bytes, kube::Error>;

impl Wire {
    /// A client that goes over this wire to where `client` leads.
    pub(crate) fn client(self: &Arc<Self>, client: Client) -> Client {
        let wire = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (wire, client) = (wire.clone(), client.clone());
            async move { wire.pass(client, request).await }
        });
        Client::new(service, "default")
    }

    async fn pass(self: Arc<Self>, client: Client, request: Request<Body>) -> Result<Response<Bytes>, kube::Error> {
        if request.method() == Method::GET {
            return self.pass_read(client, request).await;
        }
        let Some(held) = self.begin_write() else { return std::future::pending().await };
        self.changed.notify_waiters();
        if held {
            self.until_released().await;
        }
        let answer = client.send(request).await;
        let deaf = {
            let mut state = self.state.lock();
            let deaf = state.deaf > 0;
            state.deaf -= usize::from(deaf);
            deaf
        };
        if deaf {
            // An answer that never comes, as far as this end can tell.
            return Err(kube::Error::Service("the connection broke".into()));
        }
        answer.map(|answer| answer.map(BodyExt::boxed_unsync))
    }

    async fn until_released(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().held == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Counts a write: whether it is held; `None` if it is lost.
    fn begin_write(&self) -> Option<bool> {
        let mut state = self.state.lock();
        state.writes += 1;
        if let Some(left) = &mut state.left {
            *left = left.checked_sub(1)?;
        }
        let held = std::mem::take(&mut state.hold_next);
        state.held += usize::from(held);
        Some(held)
    }

    async fn pass_read(&self, client: Client, request: Request<Body>) -> Result<Response<Bytes>, kube::Error> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        if is_watch && self.expires() {
            let gone = kube::core::Status::failure("too old resource version", "Expired").with_code(410);
            return Err(kube::Error::Api(Box::new(gone)));
        }
        // Before the answer: a cut just after it counts.
        let mut cuts = self.cuts.subscribe();
        let answer = client.send(request).await?;
        if !is_watch {
            return Ok(answer.map(BodyExt::boxed_unsync));
        }
        let cut = async move {
            // The sender lives as long as the wire.
            let _ = cuts.changed().await;
        };
        let stream = BodyStream::new(answer.into_body()).take_until(Box::pin(cut));
        Ok(Response::new(BodyExt::boxed_unsync(StreamBody::new(stream))))
    }

    fn expires(&self) -> bool {
        let mut state = self.state.lock();
        let expires = state.expire_watches > 0;
        state.expire_watches -= usize::from(expires);
        expires
    }

    /// Ends all watches that are open.
    pub(crate) fn cut_watches(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// All writes after the next `count` are lost.
    pub(crate) fn die_after(&self, count: usize) {
        self.state.lock().left = Some(count);
    }

    /// The next write waits for [`Self::release`].
    pub(crate) fn hold_next(&self) {
        self.state.lock().hold_next = true;
    }

    pub(crate) fn held(&self) -> usize {
        self.state.lock().held
    }

    pub(crate) fn release(&self) {
        self.state.lock().held = 0;
        self.changed.notify_waiters();
    }

    /// The next `count` writes are carried out, and their answers lost.
    pub(crate) fn lose_answers(&self, count: usize) {
        self.state.lock().deaf = count;
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> usize {
        self.state.lock().writes
    }

    /// The next `count` watches find their history gone.
    pub(crate) fn expire_watches(&self, count: usize) {
        self.state.lock().expire_watches = count;
    }
}
