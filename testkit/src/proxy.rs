//! A proxy before a server that counts what passes, and kills who calls after a number of calls.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Counts POSTs: reads change nothing, so that a caller killed after one might as well have been killed before it.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    posts: AtomicUsize,
    /// After which POST whom.
    cut: Mutex<Option<(usize, u32)>>,
}

// === impl Proxy ===

impl Proxy {
    /// A proxy before `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { server, posts: AtomicUsize::new(0), cut: Mutex::new(None) });
        let state = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, Arc::clone(&state)));
            }
        });
        Self { address, shared }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// POSTs that passed.
    #[must_use]
    pub fn posts(&self) -> usize {
        self.shared.posts.load(Ordering::SeqCst)
    }

    /// Kills the process `id` once the server has carried out POST number `count`, before its answer is read. Later
    /// calls go nowhere.
    pub fn kill_after(&self, count: usize, id: u32) {
        *self.shared.cut.lock() = Some((count, id));
    }
}

/// One request, one answer, then the connection ends.
async fn pass(mut caller: TcpStream, shared: Arc<Shared>) {
    let mut request = Vec::new();
    let end = loop {
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if caller.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let length = headers.find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, text)| text.trim().parse().unwrap());
    while request.len() < end + length {
        if caller.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let number = if head.starts_with("POST ") { shared.posts.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    let cut = *shared.cut.lock();
    if cut.is_some_and(|(count, _)| number > count) {
        // It is dead, or about to be.
        return;
    }
    let mut upstream = TcpStream::connect(shared.server).await.unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\nConnection: close\r\n{headers}");
    upstream.write_all(&[head.as_bytes(), &request[end..]].concat()).await.unwrap();
    let mut answer = Vec::new();
    if upstream.read_to_end(&mut answer).await.is_err() {
        return;
    }
    if let Some((count, id)) = cut
        && number == count
    {
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::KILL).ok();
        return;
    }
    caller.write_all(&answer).await.ok();
    caller.shutdown().await.ok();
}
