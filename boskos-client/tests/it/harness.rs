//! Real servers in this process, and what stands in for bad ones.

pub(crate) mod http;

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use boskos_client::{Client, ClientBuilder, Error, Resource};
use boskos_core::ranch::Limits as RanchLimits;
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running},
    store::{MemoryStore, SqliteStore, Store, sqlite::SqliteOptions},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What must happen is waited for this long; a machine under load may need much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Three free things, one of another type, and a dynamic type.
pub(crate) const CONFIG: &str = "resources:
- {type: thing, state: free, names: [thing1, thing2, thing3]}
- {type: other, state: free, names: [other1]}
";

/// Where resources are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    Memory,
    Sqlite,
}

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    kept: Kept,
    running: Option<Running>,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_on(Kept::Memory, config).await
    }

    pub(crate) async fn start_on(kept: Kept, config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = serve(dir.path(), kept, listener).await;
        Self { address, dir, kept, running: Some(running) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of this server whose pace is a test's.
    pub(crate) fn client(&self, owner: &str) -> Client {
        client(&self.url(), owner)
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }

    /// Starts again at the same address.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.running = Some(serve(self.dir.path(), self.kept, listener).await);
    }
}

async fn serve(dir: &Path, kept: Kept, http: TcpListener) -> Running {
    let store: Arc<dyn Store> = match kept {
        Kept::Memory => Arc::new(MemoryStore::default()),
        Kept::Sqlite => {
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

pub(crate) fn builder(url: &str, owner: &str) -> ClientBuilder {
    Client::builder(url, owner).without_proxies().poll_pace(Duration::from_millis(300))
}

pub(crate) fn client(url: &str, owner: &str) -> Client {
    builder(url, owner).build().unwrap()
}

/// The resource as the server has it.
pub(crate) async fn look(client: &Client, name: &str) -> (String, String) {
    let Resource { state, owner, .. } = client.resource(name).await.unwrap();
    (state.as_str().to_owned(), owner.map_or_else(String::new, |owner| owner.as_str().to_owned()))
}

/// Waits until `check` holds.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

pub(crate) fn kind(error: &Error) -> String {
    format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}
