//! What stands in for a server: one that answers what a test says, one of older days, one that is silent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use boskos_client::Hand;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinHandle,
};

use crate::http::{self, Answer, Request};

const TEXT: &str = "text/plain; charset=utf-8";

/// A server that answers what a test says, and keeps what it was asked.
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    /// The requests so far.
    pub seen: Arc<Mutex<Vec<Request>>>,
}

/// Answers paths that were added later with 200 and nothing, ignores `wait`, and says what a test says to the rest.
pub struct OlderServer(Stub);

// === impl Stub ===

impl Stub {
    /// One on a free port of 127.0.0.1.
    pub async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    /// One at `address`.
    pub async fn start_at(address: &str, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
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

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests for `path`.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.seen.lock().iter().filter(|request| request.path() == path).count()
    }
}

/// Answers one request, which `seen` keeps, and ends the connection.
pub async fn answer_one(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Arc<impl Fn(&Request) -> Answer>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let Some(request) = Request::read(&mut stream).await else { return };
    seen.lock().push(request.clone());
    http::write(&mut stream, answer(&request)).await;
}

// === impl OlderServer ===

impl OlderServer {
    /// Answers a path of the contract with what `answer` makes of the request line, `POST /acquire?type=t`: status and
    /// body.
    pub async fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let stub = Stub::start(move |request| match request.path().starts_with("/api/") {
            true => (200, TEXT, String::new()),
            false => {
                let (status, body) = answer(request.line());
                (status, TEXT, body)
            }
        });
        Self(stub.await)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The request lines with `text` in them.
    #[must_use]
    pub fn with(&self, text: &str) -> Vec<String> {
        let seen = self.0.seen.lock();
        seen.iter().map(Request::line).filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

/// A listener that takes connections and never answers, as a server that is stopped does.
pub async fn silent() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(listener.accept().await.unwrap());
        }
    });
    (address, task)
}

/// Turns `hand` by 100 ms each time, 50 times faster than the day, until the task is aborted.
#[must_use]
pub fn turning(hand: &Hand) -> JoinHandle<()> {
    let hand = hand.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            hand.advance(Duration::from_millis(100));
        }
    })
}
