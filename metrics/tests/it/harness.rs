//! Real servers and the daemon in this process; HTTP spoken by hand.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use boskos_client::{Client, State, frame::Frame, types::TypeSelection};
use boskos_core::ranch::Limits as RanchLimits;
use boskos_runtime::{
    health::Readiness,
    signal::{Cause, Shutdown},
};
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running},
    store::{MemoryStore, Store},
};
use metrics::{Board, Collector, Watcher, Web};
use prometheus::{Registry, TextEncoder};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What must happen is waited for this long; a machine under load may need much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    running: Option<Running>,
}

/// The daemon in this process.
pub(crate) struct Daemon {
    pub(crate) readiness: Readiness,
    pub(crate) web: SocketAddr,
    pub(crate) registry: Registry,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<ExitCode>>,
}

/// Status, head in lower case, body.
pub(crate) type Answer = (u16, String, String);

// === impl Server ===

impl Server {
    pub(crate) async fn start(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Some(serve(dir.path(), listener).await);
        Self { address, dir, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }

    /// Starts anew, with another config.
    pub(crate) async fn restart(&mut self, config: &str) {
        self.stop().await;
        fs::write(self.dir.path().join("config.yaml"), config).unwrap();
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.running = Some(serve(self.dir.path(), listener).await);
    }
}

async fn serve(dir: &Path, http: TcpListener) -> Running {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let options = Options {
        config: dir.join("config.yaml"),
        update_period: Duration::from_secs(600),
        max_wait: Duration::from_secs(50),
        ranch: RanchLimits::default(),
        http: HttpLimits::default(),
        data_dir: None,
    };
    let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server::start(options, store, Ports { http, health, metrics }).await.unwrap()
}

pub(crate) fn builder(url: &str) -> boskos_client::ClientBuilder {
    Client::builder(url, "Metrics").without_proxies()
}

// === impl Daemon ===

impl Daemon {
    pub(crate) async fn start(client: Client, types: TypeSelection, states: &[&str]) -> Self {
        let shutdown = Shutdown::new();
        let frame = Frame::assemble("boskos-metrics", client.clone(), shutdown.clone()).unwrap();
        let (readiness, registry) = (frame.readiness.clone(), frame.registry.clone());
        let states: Vec<State> = states.iter().map(|state| State::from(*state)).collect();
        let board = Board::new(states, client.clock().clone());
        registry.register(Box::new(Collector::new(board.clone()).unwrap())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = listener.local_addr().unwrap();
        let watcher = Watcher::new(client.clone(), frame.work.clone(), types, board.clone());
        let stop = shutdown.clone();
        tokio::spawn(Web::new(client, board, readiness.clone()).serve(listener, async move {
            stop.triggered().await;
        }));
        Self { readiness, web, registry, shutdown, task: tokio::spawn(frame.run(watcher, 1)) }
    }

    /// The lines of one metric, as Prometheus gets them.
    pub(crate) fn lines(&self, metric: &str) -> Vec<String> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).map(str::to_owned).collect()
    }

    pub(crate) async fn page(&self) -> String {
        let (status, head, body) = call(self.web, "GET", "/", "Accept: text/html,*/*;q=0.8\r\n").await;
        assert!(status == 200 && head.contains("content-type: text/html; charset=utf-8"), "{head}");
        body
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger(Cause::Requested);
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// One request.
pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

/// Answers every request with what `answer` makes of its first line.
pub(crate) async fn stub(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 16 * 1024];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&bytes[..read]).lines().next().unwrap_or_default().to_owned();
            let body = answer(&line);
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.ok();
        }
    });
    address
}

/// Waits until `check` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// The real binary on free ports.
pub(crate) fn binary(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boskos-metrics"));
    command.args(["--listen-address=127.0.0.1", "--port=0", "--health-port=0", "--metrics-port=0"]);
    command.args(["--boskos-url", url]).args(args).env("NO_PROXY", "127.0.0.1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
