//! The daemon in this process and beside it; HTTP spoken by hand.

use std::{
    net::SocketAddr,
    process::{Command, ExitCode, Stdio},
};

use boskos_client::{Client, State, frame::Frame, types::TypeSelection};
use boskos_metrics::{Board, Collector, Watcher, Web};
use boskos_runtime::{
    health::Readiness,
    signal::{Cause, Shutdown},
};
pub(crate) use boskos_testkit::{PATIENCE, Server, eventually};
use prometheus::{Registry, TextEncoder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

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
        let board = Board::new(states, client.clock().clone(), readiness.clone());
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

/// The real binary on free ports.
pub(crate) fn binary(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boskos-metrics"));
    command.args(["--listen-address=127.0.0.1", "--port=0", "--health-port=0", "--metrics-port=0"]);
    command.args(["--boskos-url", url]).args(args).env("NO_PROXY", "127.0.0.1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
