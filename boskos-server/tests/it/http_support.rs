//! A server over a scripted service, and a client that shows every byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use boskos_server::http::{
    BrokenOff, Delivery, Drained, Limits, Listener, Reply, ReplyBody, RequestBody, Service, path, query, serve,
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// What the service saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Entered,
    /// A call was dropped before its answer.
    Dropped,
    Delivered,
    Undelivered,
}

/// Answers by path:
///
/// - `/park`: waits for a permit, then a reply of `size` bytes that reports its delivery
/// - `/grant`: the same at once
/// - `/update`: its body back
/// - `/pages`, `/channel`, `/broken`: chunks
/// - `/panic`
/// - else: `now`
pub(crate) struct Script {
    events: mpsc::UnboundedSender<Event>,
    pub(crate) permits: Semaphore,
    pub(crate) calls: AtomicUsize,
}

impl Script {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, seen) = mpsc::unbounded_channel();
        (Arc::new(Self { events, permits: Semaphore::new(0), calls: AtomicUsize::new(0) }), seen)
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn grant(&self, head: &Parts) -> Reply {
        let query = head.uri.query().unwrap_or_default();
        let size = query::first(query, "size").map_or(3, |size| size.parse().unwrap());
        let body = match query::first(query, "as").as_deref() {
            Some("pages") => ReplyBody::pages(pages(size)),
            _ => ReplyBody::full(vec![b'x'; size]),
        };
        let reply =
            Reply::json_stream(body).with_delivery(Some(Report { events: self.events.clone(), is_delivered: false }));
        if query::first(query, "status").is_some() { reply.with_status(StatusCode::NO_CONTENT) } else { reply }
    }
}

fn pages(mut left: usize) -> impl FnMut() -> Option<Result<Bytes, BrokenOff>> {
    move || {
        let page = left.min(1000);
        left -= page;
        (page > 0).then(|| Ok(vec![b'x'; page].into()))
    }
}

struct Report {
    events: mpsc::UnboundedSender<Event>,
    is_delivered: bool,
}

impl Delivery for Report {
    fn delivered(mut self: Box<Self>) {
        self.is_delivered = true;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = self.events.send(if self.is_delivered { Event::Delivered } else { Event::Undelivered });
    }
}

struct OnDrop<'a>(Option<&'a Script>);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        if let Some(script) = self.0 {
            script.tell(Event::Dropped);
        }
    }
}

impl Service for Script {
    fn reads_body(&self, head: &Parts) -> bool {
        head.uri.path() == "/update"
    }

    async fn call(&self, head: &Parts, body: RequestBody) -> Reply {
        self.calls.fetch_add(1, SeqCst);
        if let Some(location) = path::redirect(&head.method, &head.uri) {
            return Reply::redirect(&head.method, &location);
        }
        match head.uri.path() {
            "/park" => {
                let mut on_drop = OnDrop(Some(self));
                self.tell(Event::Entered);
                self.permits.acquire().await.unwrap().forget();
                on_drop.0 = None;
                self.grant(head)
            }
            "/grant" => self.grant(head),
            "/update" => match body.read().await {
                Ok(body) => Reply::text(body),
                Err(error) => error.reply(),
            },
            "/pages" => Reply::json_stream(ReplyBody::pages(pages(1_000_000))),
            "/channel" => {
                let (sender, body) = ReplyBody::channel(2);
                tokio::spawn(async move {
                    for _ in 0..100 {
                        if sender.send(Bytes::from_static(b"0123456789")).await.is_err() {
                            return;
                        }
                    }
                    let _ = sender.finish().await;
                });
                Reply::json_stream(body)
            }
            "/broken" => {
                let (sender, body) = ReplyBody::channel(2);
                tokio::spawn(async move { sender.send(Bytes::from_static(b"half")).await.unwrap() });
                Reply::json_stream(body)
            }
            "/error" => Reply::error(StatusCode::SERVICE_UNAVAILABLE, "storage is away").with_retry_after(2),
            "/empty" => Reply::empty(),
            "/panic" => panic!("as asked"),
            _ => Reply::text("now"),
        }
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) script: Arc<Script>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    stop: Option<oneshot::Sender<Duration>>,
    pub(crate) served: JoinHandle<Drained>,
}

impl Running {
    pub(crate) fn on(listener: impl Listener + 'static, limits: Limits) -> Self {
        let (script, events) = Script::new();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { Instant::now() + stopped.await.unwrap_or_default() };
        let service = script.clone();
        let served = tokio::spawn(async move { serve(listener, service, limits, stopped).await.drained().await });
        Self { script, events, stop: Some(stop), served }
    }

    pub(crate) async fn tcp(limits: Limits) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self::on(listener, limits), address)
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap()
    }

    pub(crate) fn stop(&mut self, within: Duration) {
        self.stop.take().unwrap().send(within).unwrap();
    }
}

/// A client that shows every byte.
pub(crate) struct Client<I = TcpStream> {
    pub(crate) io: I,
    read: Vec<u8>,
}

/// A response, or what there was of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Client<I> {
    pub(crate) fn over(io: I) -> Self {
        Self { io, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn request(&mut self, line: &str) {
        self.send(format!("{line} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.request(&format!("GET {target}")).await;
        self.answer().await.unwrap()
    }

    async fn fill(&mut self) -> bool {
        matches!(self.io.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }

    /// The bytes up to and with `end`; `None` if the stream ends before.
    async fn take_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(found) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..found + end.len()).collect());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n").await?).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body: Vec::new() })
    }

    /// The next whole response; `None` if the stream ends before its end.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        if answer.header("transfer-encoding").is_some() {
            loop {
                let size = String::from_utf8(self.take_until(b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                let mut chunk = self.take(size + 2).await?;
                chunk.truncate(size);
                answer.body.extend(chunk);
                if size == 0 {
                    return Some(answer);
                }
            }
        }
        let size = answer.header("content-length").map_or(0, |size| size.parse().unwrap());
        answer.body = self.take(size).await?;
        Some(answer)
    }

    /// Everything up to the end of the stream, however it ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }
}
