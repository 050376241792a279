//! Real servers in this process, masons in it and beside it, and commands that are shell scripts.

pub(crate) mod proxy;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use boskos_client::{
    Client, Clock, GoDuration, Resource, ResourceName, UserDataPatch,
    frame::{Frame, Work},
};
use boskos_core::{leased::leased_resources, ranch::Limits as RanchLimits};
use boskos_runtime::{
    health::Readiness,
    signal::{Cause, Shutdown},
};
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running},
    store::{MemoryStore, SqliteStore, Store, sqlite::SqliteOptions},
};
use mason::{ConfigSource, MAX_JOBS, Mason, command::CommandConverter};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

/// What must happen is waited for this long; a machine under load may need much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Prints user data and ends well.
pub(crate) const GOOD: &str = "cat > /dev/null; echo '{\"endpoint\":\"https://c\"}'";

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    running: Option<Running>,
}

/// A mason in this process.
pub(crate) struct Daemon {
    pub(crate) work: Work,
    pub(crate) readiness: Readiness,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<ExitCode>>,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Some(serve(dir.path(), false, listener).await);
        Self { address, dir, running }
    }

    /// One whose resources outlast a restart.
    pub(crate) async fn start_kept(config: &str) -> Self {
        let mut server = Self::start(config).await;
        server.restart().await;
        server
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.running = Some(serve(self.dir.path(), true, listener).await);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self, owner: &str) -> Client {
        client(&self.url(), owner)
    }

    /// An executable script with `body`.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        script(self.dir.path(), name, body)
    }
}

async fn serve(dir: &Path, is_kept: bool, http: TcpListener) -> Running {
    let store: Arc<dyn Store> = match is_kept {
        false => Arc::new(MemoryStore::default()),
        true => {
            let options = SqliteOptions { dir: dir.join("data"), must_exist: false, history_rows: 1_000_000 };
            Arc::new(SqliteStore::open(options).unwrap().store)
        }
    };
    let options = Options {
        config: dir.join("config.yaml"),
        update_period: Duration::from_secs(600),
        max_wait: Duration::from_secs(50),
        ranch: RanchLimits { request_ttl: Duration::from_secs(3600), ..RanchLimits::default() },
        http: HttpLimits::default(),
        data_dir: None,
    };
    let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server::start(options, store, Ports { http, health, metrics }).await.unwrap()
}

pub(crate) fn client(url: &str, owner: &str) -> Client {
    Client::builder(url, owner).without_proxies().poll_pace(Duration::from_millis(300)).build().unwrap()
}

pub(crate) fn script(dir: &Path, name: &str, body: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

// === impl Daemon ===

impl Daemon {
    /// A mason whose converter `Creator` is the script, with an hour for each run.
    pub(crate) fn start(client: &Client, script: &Path) -> Self {
        Self::start_with(client, ConfigSource::Server, script, "1h")
    }

    pub(crate) fn start_with(client: &Client, source: ConfigSource, script: &Path, timeout: &str) -> Self {
        let shutdown = Shutdown::new();
        let frame = Frame::assemble("boskos-mason", client.clone(), shutdown.clone()).unwrap();
        let (work, readiness) = (frame.work.clone(), frame.readiness.clone());
        let mut mason = Mason::new(client.clone(), work.clone(), source, 15);
        let converter = CommandConverter { config_type: "Creator".to_owned(), path: script.to_owned() };
        let timeout = GoDuration::parse(timeout).unwrap().to_std_or_zero();
        mason.register_config_converter("Creator", converter.converter(timeout, &Clock::system()).unwrap());
        Self { work, readiness, shutdown, task: tokio::spawn(frame.run(mason, MAX_JOBS)) }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger(Cause::Requested);
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

// === looking ===

/// State and owner as the server has them.
pub(crate) async fn look(client: &Client, name: &str) -> (String, String) {
    let Resource { state, owner, .. } = client.resource(name).await.unwrap();
    (state.as_str().to_owned(), owner.map_or_else(String::new, |owner| owner.as_str().to_owned()))
}

pub(crate) async fn is(client: &Client, name: &str, state: &str) -> bool {
    look(client, name).await == (state.to_owned(), String::new())
}

/// What the list of a resource names.
pub(crate) async fn listed(client: &Client, name: &str) -> Vec<ResourceName> {
    let data = client.resource(name).await.unwrap().user_data;
    leased_resources(data.get("leasedResources").as_deref()).unwrap()
}

/// Sets user data of a free or dirty resource, which keeps its state.
pub(crate) async fn note(client: &Client, name: &str, key: &str, value: &str) {
    let state = client.resource(name).await.unwrap().state;
    client.acquire_by_state(state.as_str(), "noting", &[name.into()]).await.unwrap();
    let patch: UserDataPatch = [(key.to_owned(), Some(value.to_owned()))].into();
    client.update(name, "noting", &patch).await.unwrap();
    client.release(name, state.as_str()).await.unwrap();
}

/// Moves an unowned resource to another state.
pub(crate) async fn shift(client: &Client, name: &str, from: &str, to: &str) {
    client.acquire_by_state(from, "shifting", &[name.into()]).await.unwrap();
    client.release(name, to).await.unwrap();
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_boskos-mason"));
    command.args(["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"]);
    command.args(["--boskos-url", url]).args(args).env("NO_PROXY", "127.0.0.1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
