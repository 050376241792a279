//! A proxy before a server that counts what passes, loses it, or kills who calls.

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

use crate::http::{self, Request};

/// Counts POSTs: reads change nothing, so that a caller killed after one might as well have been killed before it.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// What becomes of a call that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The server's answer is read to its end and goes nowhere.
    Answer,
    /// The call is passed on, then both connections are cut.
    Connection,
    /// Nothing comes of it, and the connection stays.
    Hang,
}

struct Shared {
    server: SocketAddr,
    /// `/api/v1` is answered as a server answers that has none.
    is_older: bool,
    /// Which calls are lost, and how.
    loss: Option<(&'static str, Loss)>,
    /// How many are still to be.
    losses: AtomicUsize,
    posts: AtomicUsize,
    /// After which POST whom.
    cut: Mutex<Option<(usize, u32)>>,
}

// === impl Proxy ===

impl Proxy {
    /// A proxy before `server`.
    pub async fn start(server: SocketAddr) -> Self {
        Self::begin(Shared::before(server)).await
    }

    /// One that loses the first `count` calls of `path`.
    pub async fn losing(server: SocketAddr, path: &'static str, loss: Loss, count: usize) -> Self {
        let losses = AtomicUsize::new(count);
        Self::begin(Shared { loss: Some((path, loss)), losses, ..Shared::before(server) }).await
    }

    /// One that makes `server` look like one without `/api/v1`.
    pub async fn older(server: SocketAddr) -> Self {
        Self::begin(Shared { is_older: true, ..Shared::before(server) }).await
    }

    async fn begin(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(shared);
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

    /// Whether all calls that were to be lost are.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.shared.losses.load(Ordering::SeqCst) == 0
    }

    /// Loses the next `count` calls of that path too.
    pub fn lose(&self, count: usize) {
        self.shared.losses.fetch_add(count, Ordering::SeqCst);
    }

    /// Kills the process `id` once the server has carried out POST number `count`, before its answer is read. Later
    /// calls go nowhere.
    pub fn kill_after(&self, count: usize, id: u32) {
        *self.shared.cut.lock() = Some((count, id));
    }
}

// === impl Shared ===

impl Shared {
    fn before(server: SocketAddr) -> Self {
        let (losses, posts) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { server, is_older: false, loss: None, losses, posts, cut: Mutex::new(None) }
    }

    /// How `request` is to be lost; counted.
    fn loss_of(&self, request: &Request) -> Option<Loss> {
        let (_, loss) = self.loss.filter(|(path, _)| request.path() == *path)?;
        let left = self.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.is_ok().then_some(loss)
    }
}

async fn pass(mut caller: TcpStream, shared: Arc<Shared>) {
    let Some(request) = Request::read(&mut caller).await else { return };
    if shared.is_older && request.path().starts_with("/api/v1") {
        return http::write(&mut caller, (200, "text/plain; charset=utf-8", String::new())).await;
    }
    let is_post = request.head.starts_with("POST ");
    let number = if is_post { shared.posts.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    let cut = *shared.cut.lock();
    if cut.is_some_and(|(count, _)| number > count) {
        // It is dead, or about to be.
        return;
    }
    let loss = shared.loss_of(&request);
    if loss == Some(Loss::Hang) {
        caller.read_buf(&mut Vec::new()).await.ok();
        return;
    }
    let Some(mut upstream) = request.send_to(shared.server).await else { return };
    if loss == Some(Loss::Connection) {
        return;
    }
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
    if loss.is_none() {
        caller.write_all(&answer).await.ok();
        caller.shutdown().await.ok();
    }
}
