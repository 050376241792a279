//! HTTP spoken by hand: a stub that answers as a test says, and a proxy that loses answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /acquire?type=t HTTP/1.1` and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Status, content type, body.
pub(crate) type Answer = (u16, &'static str, String);

/// A server that answers what a test says.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Request>>>,
}

/// What a proxy does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The server's answer is read to its end and goes nowhere.
    Answer,
    /// The call is passed on, then both connections are cut.
    Connection,
    /// Nothing comes of it, and the connection stays.
    Hang,
}

/// A proxy before a server that loses the next answers to a path.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    left: Arc<AtomicUsize>,
}

// === impl Request ===

impl Request {
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let mut body = bytes.split_off(end);
        let request = Self { head: String::from_utf8(bytes).unwrap(), body: Vec::new() };
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        while body.len() < length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        Some(Self { body, ..request })
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split([' ', '?']).nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

// === impl Stub ===

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub(crate) async fn start_at(address: &str, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_one(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen.lock().iter().filter(|request| request.path() == path).count()
    }
}

/// One request, one answer, then the connection ends.
pub(crate) async fn answer_one(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Arc<impl Fn(&Request) -> Answer>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let Some(request) = Request::read(&mut stream).await else { return };
    seen.lock().push(request.clone());
    let (status, content_type, body) = answer(&request);
    let text = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

// === impl Proxy ===

impl Proxy {
    /// Loses the first `count` answers to calls of `path`.
    pub(crate) async fn start(server: SocketAddr, path: &'static str, loss: Loss, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(count));
        let counter = Arc::clone(&left);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, server, path, loss, Arc::clone(&counter)));
            }
        });
        Self { address, left }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, path: &str, loss: Loss, left: Arc<AtomicUsize>) {
    let Some(request) = Request::read(&mut client).await else { return };
    let loses = request.path() == path
        && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    if loses && loss == Loss::Hang {
        client.read_buf(&mut Vec::new()).await.ok();
        return;
    }
    let mut upstream = TcpStream::connect(server).await.unwrap();
    let (line, headers) = request.head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\nConnection: close\r\n{headers}");
    upstream.write_all(&[head.as_bytes(), &request.body].concat()).await.unwrap();
    if loses && loss == Loss::Connection {
        return;
    }
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.unwrap();
    if !loses {
        client.write_all(&answer).await.ok();
        client.shutdown().await.ok();
    }
}
