//! A real server in this process.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use boskos_client::{Client, ClientBuilder};
use boskos_core::ranch::Limits as RanchLimits;
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running},
    store::{MemoryStore, SqliteStore, Store, sqlite::SqliteOptions},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A server in this process.
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    /// Its folder, for what a test keeps beside it.
    pub dir: TempDir,
    /// Its resources outlast a restart.
    is_kept: bool,
    running: Option<Running>,
}

impl Server {
    /// Starts one with `config` that keeps everything in memory.
    pub async fn start(config: &str) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), config).await
    }

    /// The same on a port that is bound already.
    pub async fn start_on(http: TcpListener, config: &str) -> Self {
        Self::begin(http, config, false).await
    }

    /// One whose resources outlast a restart.
    pub async fn start_kept(config: &str) -> Self {
        Self::begin(TcpListener::bind("127.0.0.1:0").await.unwrap(), config, true).await
    }

    async fn begin(http: TcpListener, config: &str, is_kept: bool) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        let address = http.local_addr().unwrap();
        let running = Some(serve(dir.path(), is_kept, http).await);
        Self { address, dir, is_kept, running }
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }

    /// Starts it again at the same address.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.running = Some(serve(self.dir.path(), self.is_kept, listener).await);
    }

    /// The same with another config.
    pub async fn restart_with(&mut self, config: &str) {
        fs::write(self.dir.path().join("config.yaml"), config).unwrap();
        self.restart().await;
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self, owner: &str) -> Client {
        self.builder(owner).build().unwrap()
    }

    /// The same before it is built.
    #[must_use]
    pub fn builder(&self, owner: &str) -> ClientBuilder {
        Client::builder(self.url(), owner).without_proxies().poll_pace(Duration::from_millis(300))
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
