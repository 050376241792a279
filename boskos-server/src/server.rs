//! Starting and stopping a whole server.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use boskos_core::{
    GoDuration, ResourceName, ResourceType, State,
    config::Config,
    ranch::{
        Limits as RanchLimits, Loader,
        plan::{LifecycleRecord, PlaceNumber, PlaceRecord, Sequence, Stored},
    },
    shown::{Info, InfoLimits},
};
use boskos_runtime::{
    blocking::blocking,
    follow::Watch,
    health::{self, Readiness},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    app::App,
    clock::Clock,
    config_file::{self, ConfigFileError},
    follower::{Follower, log_applied},
    http::Limits as HttpLimits,
    instruments::{Instruments, RanchGauges},
    listed::Listed,
    serving::Serving,
    steward::Steward,
    store::{LoadSink, Store, StoreError},
    sync::{self, SyncError},
};

/// How long the last writes may take after the drain.
pub(crate) const WIND_DOWN: Duration = Duration::from_secs(5);

/// How long the store may take to close. What was acknowledged is kept either way.
const CLOSE: Duration = Duration::from_secs(10);

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The config file.
    pub config: PathBuf,
    /// How often it is read again.
    pub update_period: Duration,
    /// The longest wait.
    pub max_wait: Duration,
    /// Bounds of the ranch.
    pub ranch: RanchLimits,
    /// Bounds of connections.
    pub http: HttpLimits,
    /// The folder of the store, for `/api/v1/info`.
    pub data_dir: Option<PathBuf>,
}

/// The ports of a server, bound.
#[derive(Debug)]
pub struct Ports {
    /// For clients.
    pub http: TcpListener,
    /// For probes.
    pub health: TcpListener,
    /// For Prometheus.
    pub metrics: TcpListener,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config is of no use.
    #[error("--config is of no use")]
    Config(#[from] ConfigFileError),
    /// The store is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not take the config's resources.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// A port is of no use.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// A metric's name is taken.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// The keeper of the ranch.
    pub steward: Arc<Steward>,
    /// Where clients call.
    pub http: SocketAddr,
    /// Where probes call.
    pub health: SocketAddr,
    /// Where Prometheus calls.
    pub metrics: SocketAddr,
    readiness: Readiness,
    reread: mpsc::Sender<()>,
    /// What runs for ever and ends with the server.
    background: JoinSet<()>,
    /// Brings outcomes to the ranch until the store is closed.
    carrier: JoinSet<()>,
    serving: Serving,
}

/// Starts a server on `store`; it serves when this returns.
///
/// # Errors
///
/// If config, store or ports are of no use. The text says what is wrong and the way out.
pub async fn start(options: Options, store: Arc<dyn Store>, ports: Ports) -> Result<Running, StartError> {
    let readiness = Readiness::not_ready("the config and the store are being read");
    let mut background = JoinSet::new();
    let (http, health, metrics) = (ports.http.local_addr()?, ports.health.local_addr()?, ports.metrics.local_addr()?);
    background.spawn(health::serve(ports.health, readiness.clone(), std::future::pending()));

    let watched = options.config.clone();
    let watch = blocking(|| Watch::begin(watched)).await;
    let path = options.config.clone();
    let config = move || config_file::parse(&path, &config_file::read(&path)?);
    let (steward, config) = load(&options, store.clone(), Clock::start(), config).await?;
    store.start(Arc::new(steward.clone()));
    let mut carrier = JoinSet::new();
    carrier.spawn(steward.clone().carry());
    background.spawn(steward.clone().drive());
    let found = sync::apply(steward.clone(), config).await?;
    log_applied(&options.config, &found);

    let registry = boskos_runtime::metrics::registry()?;
    let instruments = Arc::new(Instruments::register(&registry)?);
    let gauged = steward.clone();
    RanchGauges::register(&registry, move || Some(gauged.clone()))?;
    background.spawn(boskos_runtime::metrics::serve(ports.metrics, registry, std::future::pending()));

    let (reread, again) = mpsc::channel(1);
    let follower = Follower::new(watch, steward.clone(), options.update_period);
    background.spawn(follower.run(again));

    let info = info(&options, &*store);
    let app = App { steward: steward.clone(), instruments, max_wait: options.max_wait, info };
    let serving = Serving::begin(ports.http, Arc::new(app), options.http.clone());
    steward.extend_places();
    readiness.set_ready();
    tracing::info!(%http, %health, %metrics, store = store.name(), "serving");
    Ok(Running { steward, http, health, metrics, readiness, reread, background, carrier, serving })
}

impl Running {
    /// Has the config read again at once.
    pub fn reread_config(&self) {
        // One that is not carried out yet says the same.
        let _ = self.reread.try_send(());
    }

    /// Stops in order: no longer ready, no new connections, waiting callers answered, requests in
    /// flight finished, store closed.
    ///
    /// # Errors
    ///
    /// If the store could not be closed in order.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.readiness.set_not_ready("shutting down");
        tracing::info!("shutting down");
        self.serving.stop(|| self.steward.release_waiters()).await;
        self.background.shutdown().await;
        wind_down(&self.steward).await;
        let steward = self.steward.clone();
        let closing = tokio::task::spawn_blocking(move || steward.store().close());
        let closed = match timeout(CLOSE, closing).await {
            Ok(closed) => closed.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())),
            Err(_) => Err(StoreError::Silent),
        };
        self.carrier.shutdown().await;
        tracing::info!("stopped");
        closed
    }
}

/// Has everything written that is still to be, if that can be.
pub(crate) async fn wind_down(steward: &Arc<Steward>) {
    if timeout(WIND_DOWN, steward.wind_down()).await.is_err() {
        tracing::warn!(
            "not everything could be written before the end: some grants may have owners that never read them"
        );
    }
}

/// Reads config and store side by side. Dynamic types rest until [`sync::apply`] has brought the ranch to that config.
pub(crate) async fn load(
    options: &Options,
    store: Arc<dyn Store>,
    clock: Clock,
    config: impl FnOnce() -> Result<Config, ConfigFileError> + Send + 'static,
) -> Result<(Arc<Steward>, Config), StartError> {
    let config = tokio::task::spawn_blocking(move || config().map(|config| (Listed::by(&config), config)));
    let names = Box::new(|| ResourceName::from(uuid::Uuid::new_v4().to_string()));
    let mut sink = Sink(Loader::new(options.ranch.clone(), names, clock.now()));
    let filling = store.clone();
    let loaded = tokio::task::spawn_blocking(move || filling.load(&mut sink).map(|()| sink.0));
    let (mut listed, config) = joined(config.await)?;
    let mut loader = joined(loaded.await)?;
    let (ranch, config) = joined(
        tokio::task::spawn_blocking(move || {
            loader.mark_listed(|resource| listed.has(resource));
            drop(listed);
            let mut ranch = loader.finish();
            // What the config lists is known, and the lifecycles are still those of the one before.
            ranch.begin_sync(sync::states_of(&config));
            (ranch, config)
        })
        .await,
    );
    Ok((Steward::new(ranch, store, clock), config))
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    result.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}

pub(crate) fn info(options: &Options, store: &dyn Store) -> Info {
    Info {
        version: boskos_runtime::version::VERSION.to_owned(),
        commit: boskos_runtime::version::COMMIT.to_owned(),
        store: store.name().to_owned(),
        data_dir: options.data_dir.as_ref().map(|dir| dir.display().to_string()),
        limits: InfoLimits {
            request_ttl: GoDuration::from_std(options.ranch.request_ttl),
            max_wait: GoDuration::from_std(options.max_wait),
            connections: options.http.connections,
            parked: options.ranch.parked,
            places: options.ranch.places,
            body_bytes: options.http.body_bytes,
            head_bytes: options.http.head_bytes,
        },
    }
}

/// What a store hands over goes to the loader.
struct Sink(Loader);

impl LoadSink for Sink {
    fn expect_resources(&mut self, count: usize) {
        self.0.reserve(count);
    }

    fn resource(&mut self, stored: Stored) {
        // Whether the config lists it is said for all at once, when both are read.
        self.0.resource(stored, false);
    }

    fn lifecycle(&mut self, record: LifecycleRecord) {
        self.0.lifecycle(record);
    }

    fn place(&mut self, record: PlaceRecord) {
        self.0.place(record);
    }

    fn total(&mut self, r#type: ResourceType, state: State, total: u64) {
        self.0.total(&r#type, state, total);
    }

    fn sequence(&mut self, last: Sequence) {
        self.0.sequence(last);
    }

    fn place_number(&mut self, last: PlaceNumber) {
        self.0.place_number(last);
    }
}
