//! Following the config file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use boskos_core::shown::Difference;
use boskos_runtime::{
    blocking::blocking,
    follow::{SETTLE, Watch},
    text,
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    config_file::{self, ConfigFileError},
    steward::Steward,
    sync,
    trouble::Trouble,
};

/// How long to wait before a failed sync is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Follows one config file for one ranch.
#[derive(Debug)]
pub struct Follower {
    watch: Watch,
    steward: Arc<Steward>,
    period: Duration,
    /// How long until it is tried again, if what the file said before is not applied in full.
    retry: Option<Duration>,
    /// That it cannot be applied in full.
    unapplied: Trouble,
}

impl Follower {
    /// Follows the watched file, which is re-read at least every `period`.
    #[must_use]
    pub fn new(watch: Watch, steward: Arc<Steward>, period: Duration) -> Self {
        Self { watch, steward, period, retry: None, unapplied: Trouble::default() }
    }

    /// What the file said when it was read first is not applied in full: it is to be tried again.
    #[must_use]
    pub fn owing(mut self) -> Self {
        self.retry = Some(RETRY.0);
        self
    }

    /// Follows the file for ever; `again` yields when it is to be read at once.
    pub async fn run(mut self, mut again: mpsc::Receiver<()>) {
        loop {
            tokio::select! {
                () = self.watch.changed() => {}
                Some(()) = again.recv() => {}
                () = resumed(&self.steward), if self.retry.is_some() => {}
                () = sleep(self.retry.unwrap_or(self.period)) => {}
            }
            self.watch.follow_link().await;
            self.retry = match self.read_and_apply().await {
                true => None,
                false => Some(self.retry.map_or(RETRY.0, |retry| (retry * 2).min(RETRY.1))),
            };
        }
    }

    /// Whether this is done, if only because the file is bad.
    async fn read_and_apply(&mut self) -> bool {
        let path = self.watch.path().to_owned();
        let config = match read_settled(path.clone()).await {
            Ok(bytes) => blocking(move || config_file::parse(&path, &bytes)).await,
            Err(error) => Err(error),
        };
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(error = text::chain(&error), "the config stays as it was");
                return true;
            }
        };
        match sync::apply(self.steward.clone(), config).await {
            Ok(found) => {
                log_applied(self.watch.path(), &found);
                if self.unapplied.end() {
                    tracing::info!(config = %self.watch.path().display(), "the config is applied in full");
                }
                true
            }
            Err(error) => {
                self.unapplied.goes_on("the config is not applied in full; trying again", &error);
                false
            }
        }
    }
}

/// Waits until the store can be written again, and for the shortest pause at least: what fails for want of room may itself
/// make the store halt and resume.
async fn resumed(steward: &Steward) {
    sleep(RETRY.0).await;
    steward.resumed().notified().await;
}

/// Reads until two reads agree. Reading, like parsing, happens off the request path.
pub(crate) async fn read_settled(path: PathBuf) -> Result<Vec<u8>, ConfigFileError> {
    let read = || {
        let path = path.clone();
        blocking(move || config_file::read(&path))
    };
    let mut before = read().await?;
    loop {
        sleep(SETTLE).await;
        let now = read().await?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// Says what a config changed, if anything.
pub fn log_applied(path: &Path, found: &Difference) {
    if !found.is_empty() {
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
