//! A real server in this process.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use boskos_client::{Client, ClientBuilder};
use boskos_core::ranch::Limits as RanchLimits;
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running},
    store::MemoryStore,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A server in this process that keeps everything in memory.
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    _dir: TempDir,
    _running: Running,
}

impl Server {
    /// Starts one with `config`.
    pub async fn start(config: &str) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), config).await
    }

    /// The same on a port that is bound already.
    pub async fn start_on(http: TcpListener, config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        let address = http.local_addr().unwrap();
        let options = Options {
            config: dir.path().join("config.yaml"),
            update_period: Duration::from_secs(600),
            max_wait: Duration::from_secs(50),
            ranch: RanchLimits { request_ttl: Duration::from_secs(3600), ..RanchLimits::default() },
            http: HttpLimits::default(),
            data_dir: None,
        };
        let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ports = Ports { http, health, metrics };
        let running = server::start(options, Arc::new(MemoryStore::default()), ports).await.unwrap();
        Self { address, _dir: dir, _running: running }
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
