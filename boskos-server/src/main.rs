//! The boskos server.

use std::{env, num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use boskos_core::ranch::Limits as RanchLimits;
use boskos_runtime::{exit, flags, listen, log, signal, stdout};
use boskos_server::{
    args::{Args, ArgsError, Serve, Storage, Verb},
    cluster, config_file,
    http::Limits as HttpLimits,
    replica,
    server::{self, Options, Ports, StartError},
    shares,
    store::{
        MemoryStore, SqliteStore, Store,
        sqlite::{self, SqliteOptions},
    },
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Files beside connections: the store's, the listeners', the log's.
const OTHER_FILES: u64 = 256;

const DEFAULT_DATA_DIR: &str = "./boskos-data";

fn main() -> ExitCode {
    let args: Args = flags::parse();
    match args.verb {
        Some(verb) => exit::finish(work_on_store(&verb).map(|()| ExitCode::SUCCESS)),
        None => {
            let storage = args.serve.store(boskos_kube::is_in_cluster(args.serve.token_file()));
            exit::run_with("boskos-server", workers(&storage), || serve(args.serve, storage))
        }
    }
}

/// How many threads serve requests, where that is not left to the runtime: with the embedded store one less than there
/// are processors, as all of them wait for its own.
///
/// They work on the one ranch, so that one thread less costs less than it costs to have it take turns with the writer.
fn workers(storage: &Result<Storage, ArgsError>) -> Option<NonZeroUsize> {
    let is_embedded = matches!(storage, Ok(Storage::Sqlite));
    let processors = exit::processors();
    (is_embedded && env::var_os("TOKIO_WORKER_THREADS").is_none())
        .then(|| NonZeroUsize::new(processors.get() - 1).unwrap_or(processors))
}

async fn serve(flags: Serve, storage: Result<Storage, ArgsError>) -> anyhow::Result<ExitCode> {
    log::init("boskos-server", flags.log.log_level)?;
    flags.check()?;
    if flags.install_crds {
        for line in cluster::install_crds(&flags).await? {
            stdout::print_line(&line)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let storage = storage?;
    if flags.enable_leader_election && storage != Storage::Kubernetes {
        tracing::warn!(
            "--enable-leader-election has no effect: this store has one server only, and a lock against a second"
        );
    }
    let shutdown = signal::install().context("cannot install signal handlers")?;
    let mut hangups = signal::hangups().context("cannot install signal handlers")?;
    let http = http_limits(&flags);
    let address = flags.listen.listen_address;
    let ports = Ports {
        http: listen::bind(address, flags.port, "port")?,
        health: listen::bind(address, flags.listen.health_port, "health-port")?,
        metrics: listen::bind(address, flags.listen.metrics_port, "metrics-port")?,
    };
    let data_dir =
        (storage == Storage::Sqlite).then(|| flags.data_dir.clone().unwrap_or_else(|| DEFAULT_DATA_DIR.into()));
    if let (None, Some(unused)) = (&data_dir, &flags.data_dir) {
        tracing::warn!(data_dir = %unused.display(), "nothing is kept in this folder: --in_memory or --storage says where");
    }
    let parked = max_parked(&flags, &http);
    let options = Options {
        config: flags.config.clone(),
        update_period: flags.dynamic_resource_update_period.to_std_or_zero(),
        max_wait: flags.max_wait.to_std_or_zero(),
        ranch: RanchLimits {
            request_ttl: flags.request_ttl.to_std_or_zero(),
            parked,
            watches: shares::watching(http.connections, parked),
            ..RanchLimits::default()
        },
        http,
        data_dir,
    };
    let store: Arc<dyn Store> = match storage {
        Storage::Sqlite => tokio::select! {
            opened = open_sqlite(options.data_dir.clone().expect("set above"), &flags) => opened?,
            _ = shutdown.triggered() => return Ok(ExitCode::SUCCESS),
        },
        Storage::Memory => {
            tracing::warn!("resources are kept in memory only: they are gone when the server ends");
            Arc::new(MemoryStore::default())
        }
        Storage::Kubernetes => return serve_replica(&flags, options, ports, &shutdown, hangups).await,
    };
    let running = tokio::select! {
        started = server::start(options, store, ports) => started?,
        _ = shutdown.triggered() => return Ok(ExitCode::SUCCESS),
    };
    loop {
        tokio::select! {
            _ = shutdown.triggered() => break,
            () = hangups.next() => running.reread_config(),
        }
    }
    running.stop().await.context("the store was not closed in order")?;
    Ok(ExitCode::SUCCESS)
}

async fn serve_replica(
    flags: &Serve,
    options: Options,
    ports: Ports,
    shutdown: &signal::Shutdown,
    mut hangups: signal::Hangups,
) -> anyhow::Result<ExitCode> {
    let shared = cluster::shared(flags).await?;
    let mut replica = tokio::select! {
        started = replica::start(options, shared, ports) => started?,
        _ = shutdown.triggered() => return Ok(ExitCode::SUCCESS),
    };
    loop {
        tokio::select! {
            _ = shutdown.triggered() => break,
            // Whoever restarts the process has a working one.
            failed = replica.broken() => return Err(failed).context("leading ended abnormally"),
            () = hangups.next() => replica.reread_config(),
        }
    }
    replica.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// As many connections as the flags say, or fewer where files are short.
fn http_limits(flags: &Serve) -> HttpLimits {
    let wanted = u64::try_from(flags.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let granted = listen::raise_file_limit(wanted);
    let mut limits = HttpLimits { connections: flags.max_connections, ..HttpLimits::default() };
    if granted < wanted {
        limits.connections = usize::try_from(granted.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
        tracing::warn!(
            connections = limits.connections,
            files = granted,
            "fewer connections than --max-connections says: the limit on open files (ulimit -n) allows no more"
        );
    }
    limits
}

/// As many waiting calls as the flags say, but never so many that a release finds no connection.
fn max_parked(flags: &Serve, http: &HttpLimits) -> usize {
    let room = shares::waiting(http.connections);
    if room < flags.max_parked {
        tracing::warn!(
            parked = room,
            "fewer waiting calls than --max-parked says: a quarter of the connections is kept free"
        );
    }
    flags.max_parked.min(room)
}

async fn open_sqlite(dir: PathBuf, flags: &Serve) -> anyhow::Result<Arc<dyn Store>> {
    let config = flags.config.clone();
    let options = SqliteOptions { dir, must_exist: flags.data_must_exist, history_rows: flags.history_rows };
    // A disk that hangs, or a large file, must not hold up a signal.
    let opening = tokio::task::spawn_blocking(move || {
        tracing::info!(data_dir = %options.dir.display(), "opening the store");
        if !sqlite::is_there(&options.dir)? {
            // Begun for a config of no use, it would be taken for one that was filled, by --data-must-exist above all.
            boskos_runtime::config_file::check(&config).map_err(StartError::from)?;
        }
        anyhow::Ok(SqliteStore::open(options)?)
    });
    let opened = opening.await.context("opening the store failed")??;
    if opened.created {
        tracing::warn!(
            data_dir = %opened.dir.display(),
            "this is a new store: every resource starts in its config's state (--data-must-exist makes that fatal)"
        );
    }
    Ok(Arc::new(opened.store))
}

fn work_on_store(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::CheckStore { data_dir } => {
            let report = sqlite::check_store(data_dir)?;
            stdout::print_line(&report.to_string())?;
            anyhow::ensure!(
                report.is_sound(),
                "the store in {} is damaged: move it away and `boskos-server restore` a backup",
                data_dir.display()
            );
        }
        Verb::CheckConfig { config } => {
            config_file::parse(config, &config_file::read(config)?)?;
        }
        Verb::Backup { data_dir, to } => {
            sqlite::backup(data_dir, to)?;
            stdout::print_line(&format!("backed up {} to {}", data_dir.display(), to.display()))?;
        }
        Verb::Restore { data_dir, from } => {
            sqlite::restore(from, data_dir)?;
            stdout::print_line(&format!("restored {} from {}", data_dir.display(), from.display()))?;
        }
    }
    Ok(())
}
