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
    /// Paths of reads, and what form of answer they ask for.
    reads: Vec<String>,
    /// Requests that a rule was for.
    met: usize,
    /// So many watches find their history gone.
    expire_watches: usize,
    /// Whether watches that are cut end with the news that their history is gone.
    expire_at_cut: bool,
    /// Watches that are open.
    watches: usize,
    rules: Vec<Rule>,
}

/// What becomes of requests, reads and watches too, whose path or body has a text in it.
struct Rule {
    text: String,
    /// So many go through before.
    after: usize,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// Answered 403, and not carried out.
    Refused,
    /// Not carried out, and not answered.
    Lost,
    /// It waits for [`Wire::release`].
    Held,
}

/// The usual form of a 410 to a watch that was open.
const GONE: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
);

/// Counted as long as it is open.
struct OpenWatch(Arc<Wire>);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.state.lock().watches -= 1;
    }
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
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let subject = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
        let request = Request::from_parts(head, Body::from(body.to_vec()));
        let fate = self.fate_of(&subject);
        match fate {
            Some(Fate::Refused) => {
                let status = kube::core::Status::failure("refused by the wire", "Forbidden").with_code(403);
                return Err(kube::Error::Api(Box::new(status)));
            }
            Some(Fate::Lost) => return Err(kube::Error::Service("the connection broke".into())),
            Some(Fate::Held) => {
                self.state.lock().held += 1;
                self.until_released().await;
            }
            None => {}
        }
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

    fn fate_of(&self, subject: &str) -> Option<Fate> {
        let mut state = self.state.lock();
        let rule = state.rules.iter_mut().find(|rule| subject.contains(&rule.text))?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        let fate = rule.fate;
        state.met += 1;
        Some(fate)
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

    async fn pass_read(
        self: Arc<Self>,
        client: Client,
        request: Request<Body>,
    ) -> Result<Response<Bytes>, kube::Error> {
        let form = request.headers().get(http::header::ACCEPT).map_or("", |form| form.to_str().unwrap());
        self.state.lock().reads.push(format!("{} {form}", request.uri()));
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
        self.state.lock().watches += 1;
        let open = OpenWatch(self.clone());
        let stream = BodyStream::new(answer.into_body()).take_until(Box::pin(cut));
        let stream = stream.chain(futures_util::stream::once(async move {
            let gone = if open.0.state.lock().expire_at_cut { GONE } else { "" };
            Ok(hyper::body::Frame::data(bytes::Bytes::from_static(gone.as_bytes())))
        }));
        Ok(Response::new(BodyExt::boxed_unsync(StreamBody::new(stream))))
    }

    fn expires(&self) -> bool {
        let mut state = self.state.lock();
        let expires = state.expire_watches > 0;
        state.expire_watches -= usize::from(expires);
        expires
    }

    /// From now on, requests that have `text` in them, `after` so many, come to this end. An empty text is in all.
    pub(crate) fn rule(&self, text: &str, after: usize, fate: Fate) {
        self.state.lock().rules.push(Rule { text: text.to_owned(), after, fate });
    }

    /// Requests that a rule was for.
    pub(crate) fn met(&self) -> usize {
        self.state.lock().met
    }

    /// No rules any more.
    pub(crate) fn clear_rules(&self) {
        self.state.lock().rules.clear();
    }

    /// How many watches are open.
    pub(crate) fn watches(&self) -> usize {
        self.state.lock().watches
    }

    /// Ends all watches that are open with the event that their history is gone.
    pub(crate) fn expire_open_watches(&self) {
        self.state.lock().expire_at_cut = true;
        self.cut_watches();
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

    /// Paths of reads since the last [`Self::forget_reads`], and what form of answer they asked for.
    pub(crate) fn reads(&self) -> Vec<String> {
        self.state.lock().reads.clone()
    }

    pub(crate) fn forget_reads(&self) {
        self.state.lock().reads.clear();
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
