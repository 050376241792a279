//! How tests start a server and speak to it.

pub(crate) mod client;
pub(crate) mod process;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use boskos_core::ranch::{Limits as RanchLimits, Ranch};
use boskos_server::{
    http::Limits as HttpLimits,
    server::{self, Options, Ports, Running, StartError},
    store::{MemoryStore, SqliteStore, Store, sqlite::SqliteOptions},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

use self::client::{Client, Response};

/// What must happen is waited for this long; a machine under load may need much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The stores that every server test passes on.
const STORES: &[StoreKind] = &[StoreKind::Memory, StoreKind::Sqlite];

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// In memory.
    Memory,
    /// In a folder.
    Sqlite,
}

/// A server in this process, with a folder of its own.
pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) dir: TempDir,
    running: Option<Running>,
    runtime: Option<Runtime>,
}

/// Runs a test once on every kind of store.
pub(crate) fn for_each_store(test: impl Fn(StoreKind)) {
    for store in STORES {
        println!("on {store:?}");
        test(*store);
    }
}

/// Runs a test once on every kind of store, with a server of the given config.
pub(crate) fn with_server(config: &str, test: impl Fn(&Server)) {
    for_each_store(|store| test(&Server::start(store, config)));
}

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A config that this repository ships.
pub(crate) fn shipped_config(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/configs").join(name)).unwrap()
}

// === impl StoreKind ===

impl StoreKind {
    fn open(self, dir: &Path) -> Arc<dyn Store> {
        match self {
            Self::Memory => Arc::new(MemoryStore::default()),
            Self::Sqlite => {
                let options = SqliteOptions { dir: dir.to_owned(), must_exist: false, history_rows: 1_000_000 };
                Arc::new(SqliteStore::open(options).unwrap().store)
            }
        }
    }

    /// What the store calls itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

// === impl Server ===

impl Server {
    /// A server of `config` with the limits of a real one; all that the config makes is there.
    pub(crate) fn start(store: StoreKind, config: &str) -> Self {
        Self::start_with(store, config, |_| {})
    }

    /// The same with options changed.
    pub(crate) fn start_with(store: StoreKind, config: &str, change: impl FnOnce(&mut Options)) -> Self {
        Self::try_start(store, config, change).unwrap_or_else(|error| panic!("does not start: {error}"))
    }

    /// The same where it may not start.
    pub(crate) fn try_start(
        store: StoreKind,
        config: &str,
        change: impl FnOnce(&mut Options),
    ) -> Result<Self, StartError> {
        Self::try_start_on(|dir| store.open(&dir.join("data")), config, change)
    }

    /// A server on a store that the test has made.
    pub(crate) fn start_on(store: Arc<dyn Store>, config: &str) -> Self {
        Self::try_start_on(|_| store, config, |_| {}).unwrap_or_else(|error| panic!("does not start: {error}"))
    }

    fn try_start_on(
        open: impl FnOnce(&Path) -> Arc<dyn Store>,
        config: &str,
        change: impl FnOnce(&mut Options),
    ) -> Result<Self, StartError> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("config.yaml");
        fs::write(&path, config).unwrap();
        let mut options = Options {
            config: path,
            update_period: Duration::from_secs(600),
            max_wait: Duration::from_secs(50),
            // However slow the machine, no place ends that a test does not want to end.
            ranch: RanchLimits { request_ttl: Duration::from_secs(3600), ..RanchLimits::default() },
            http: HttpLimits::default(),
            data_dir: None,
        };
        change(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = open(dir.path());
        let running = runtime.block_on(async {
            let listen = || TcpListener::bind("127.0.0.1:0");
            let ports = Ports {
                http: listen().await.unwrap(),
                health: listen().await.unwrap(),
                metrics: listen().await.unwrap(),
            };
            server::start(options, store, ports).await
        })?;
        let Running { http, health, metrics, .. } = running;
        let server = Self { http, health, metrics, dir, running: Some(running), runtime: Some(runtime) };
        // Dynamic types come to their min by themselves, just after the start.
        server.await_settled();
        Ok(server)
    }

    /// Waits until nothing is being written and nothing is due.
    pub(crate) fn await_settled(&self) {
        let steward = &self.running.as_ref().unwrap().steward;
        let is_settled = |ranch: &Ranch| ranch.in_flight() == 0 && !ranch.next_wake().at_once;
        eventually("a settled ranch", || steward.read(|ranch, _| is_settled(ranch)).then_some(()));
    }

    /// Where the config is unless options say otherwise.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) {
        let running = self.running.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(running.stop()).unwrap();
    }

    /// Has the config read again, as SIGHUP does.
    pub(crate) fn reread_config(&self) {
        self.running.as_ref().unwrap().reread_config();
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.http)
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, method: &str, target: &str) -> Response {
        self.connect().request(method, target)
    }

    pub(crate) fn post(&self, target: &str) -> Response {
        self.request("POST", target)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.request("GET", target)
    }

    pub(crate) fn post_body(&self, target: &str, body: &str) -> Response {
        self.connect().post_body(target, body)
    }

    /// Acquires, which must succeed; the name.
    pub(crate) fn take(&self, r#type: &str, state: &str, owner: &str) -> String {
        let response = self.post(&format!("/acquire?type={type}&state={state}&dest=busy&owner={owner}"));
        response.expect_status(200).json()["name"].as_str().unwrap().to_owned()
    }

    /// Releases, which must succeed.
    pub(crate) fn release(&self, name: &str, dest: &str, owner: &str) {
        self.post(&format!("/release?name={name}&dest={dest}&owner={owner}")).expect_empty();
    }

    /// The resource as the API shows it; `None` if there is none.
    pub(crate) fn resource(&self, name: &str) -> Option<Value> {
        let response = self.get(&format!("/api/v1/resources/{name}"));
        (response.status == 200).then(|| response.json())
    }

    /// State and owner of a resource that must be there.
    pub(crate) fn standing(&self, name: &str) -> (String, String) {
        let resource = self.resource(name).unwrap_or_else(|| panic!("{name} is gone"));
        (resource["state"].as_str().unwrap().to_owned(), resource["owner"].as_str().unwrap().to_owned())
    }

    /// The resources that match the query.
    pub(crate) fn resources(&self, query: &str) -> Vec<Value> {
        let response = self.get(&format!("/api/v1/resources?{query}"));
        response.expect_status(200).json().as_array().unwrap().clone()
    }

    /// Their names.
    pub(crate) fn names(&self, query: &str) -> Vec<String> {
        self.resources(query).iter().map(|resource| resource["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until exactly these names match the query.
    pub(crate) fn await_names(&self, query: &str, expected: &[&str]) {
        let mut last = Vec::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("the names that match", || {
                last = self.names(query);
                (last == expected).then_some(())
            });
        }));
        assert!(found.is_ok(), "{query}: at last {last:?}, not {expected:?}");
    }

    /// The queue, as `id rank parked` each; `-` for a call without an id.
    pub(crate) fn queue(&self) -> Vec<String> {
        let queue = self.get("/api/v1/queue").expect_status(200).json();
        let line = |place: &Value| {
            let id = place["request_id"].as_str().unwrap_or("-");
            let parked = if place["parked"].as_bool().unwrap() { " parked" } else { "" };
            format!("{id} {}{parked}", place["rank"])
        };
        queue.as_array().unwrap().iter().map(line).collect()
    }

    /// Waits until the queue is this.
    pub(crate) fn await_queue(&self, expected: &[&str]) {
        eventually(&format!("the queue {expected:?}"), || (self.queue() == expected).then_some(()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
