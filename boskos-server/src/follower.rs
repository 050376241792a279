//! Following the config file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use boskos_core::config::Config;
use boskos_runtime::text;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    config_file::{self, ConfigFileError, SETTLE},
    steward::Steward,
    sync,
};

/// How long to wait before a failed sync is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Follows one config file for one ranch.
#[derive(Debug)]
pub struct Follower {
    watch: Watch,
    steward: Arc<Steward>,
    period: Duration,
}

/// Hears of changes in the folders that a file is in: its own, and the one that it links to.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Follower {
    /// Follows the watched file, which is re-read at least every `period`.
    #[must_use]
    pub fn new(watch: Watch, steward: Arc<Steward>, period: Duration) -> Self {
        Self { watch, steward, period }
    }

    /// Follows the file for ever; `again` yields when it is to be read at once.
    pub async fn run(mut self, mut again: mpsc::Receiver<()>) {
        loop {
            tokio::select! {
                Some(()) = self.watch.changes.recv() => {}
                Some(()) = again.recv() => {}
                () = sleep(self.period) => {}
            }
            self.watch.follow_link();
            while !self.read_and_apply().await {
                sleep(RETRY).await;
            }
        }
    }

    /// Whether this is done, if only because the file is bad.
    async fn read_and_apply(&self) -> bool {
        let config = match self.read_settled().await {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(error = text::chain(&error), "the config stays as it was");
                return true;
            }
        };
        match sync::apply(self.steward.clone(), config).await {
            Ok(found) => {
                log_applied(&self.watch.path, &found);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "trying again");
                false
            }
        }
    }

    /// Reads until two reads agree. Reading and parsing happen off the request path.
    async fn read_settled(&self) -> Result<Config, ConfigFileError> {
        let mut before = self.read().await?;
        loop {
            sleep(SETTLE).await;
            let now = self.read().await?;
            if now == before {
                let path = self.watch.path.clone();
                return blocking(move || config_file::parse(&path, &now)).await;
            }
            before = now;
        }
    }

    async fn read(&self) -> Result<Vec<u8>, ConfigFileError> {
        let path = self.watch.path.clone();
        blocking(move || config_file::read(&path)).await
    }
}

/// Says what a config changed, if anything.
pub fn log_applied(path: &Path, found: &sync::Difference) {
    let names = found.add.count + found.delete.count + found.remake.count + found.adopt.count;
    if names + found.lifecycles.len() + found.drain.len() > 0 {
        tracing::info!(
            config = %path.display(),
            added = found.add.count,
            deleted = found.delete.count,
            remade = found.remake.count,
            adopted = found.adopt.count,
            lifecycles = found.lifecycles.len(),
            drained = found.drain.len(),
            "config applied"
        );
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

// === impl Watch ===

impl Watch {
    /// Begins to listen for changes of the file at `path`. To be done before the file is first
    /// read, or a change just after that goes unnoticed.
    #[must_use]
    pub fn begin(path: PathBuf) -> Self {
        let (changed, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What is only read has not changed: a read of our own would be followed by another.
            if !event.is_ok_and(|event| is_only_read(event.kind)) {
                // A change that is not read yet says the same.
                let _ = changed.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "changes of the config are seen at the update period only"))
            .ok();
        let mut watch = Self { path, watcher, watched: Vec::new(), changes };
        watch.follow_link();
        watch
    }

    /// Watches where the path leads now.
    fn follow_link(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let real = self.path.canonicalize().ok();
        let folders = [Some(self.path.as_path()), real.as_deref()].into_iter().flatten().filter_map(folder_of);
        let mut folders: Vec<PathBuf> = folders.collect();
        folders.dedup();
        for gone in self.watched.iter().filter(|folder| !folders.contains(folder)) {
            // It may be gone by itself, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        for folder in folders {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(folder),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "changes are seen at the update period only");
                }
            }
        }
    }
}

fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
}
