//! A stub of an older server: it knows the contract alone, and counts.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use boskos_client::Hand;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Answers paths that were added later with 200 and nothing, ignores `wait`, and says what a test says to the rest.
pub struct OlderServer {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Status and body.
type Answer = (u16, String);

impl OlderServer {
    /// Answers a path of the contract with what `answer` makes of the request line, `POST /acquire?type=t`.
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, lines) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answer, log) = (Arc::new(answer), Arc::clone(&lines));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_one(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { address, lines }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request lines with `text` in them.
    #[must_use]
    pub fn with(&self, text: &str) -> Vec<String> {
        self.lines.lock().iter().filter(|line| line.contains(text)).cloned().collect()
    }
}

async fn answer_one(mut stream: TcpStream, answer: Arc<impl Fn(&str) -> Answer>, lines: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let line = head.split(" HTTP/").next().unwrap_or_default().to_owned();
    let (status, body) = if line.contains("/api/") { (200, String::new()) } else { answer(&line) };
    lines.lock().push(line);
    let text = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
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
