//! Following the config file.

use std::{path::Path, sync::Arc, time::Duration};

use boskos_core::{config::Config, shown::Difference};
use boskos_runtime::{
    follow::{SETTLE, Watch},
    text,
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    config_file::{self, ConfigFileError},
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
                () = self.watch.changed() => {}
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
                log_applied(self.watch.path(), &found);
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
                let path = self.watch.path().to_owned();
                return blocking(move || config_file::parse(&path, &now)).await;
            }
            before = now;
        }
    }

    async fn read(&self) -> Result<Vec<u8>, ConfigFileError> {
        let path = self.watch.path().to_owned();
        blocking(move || config_file::read(&path)).await
    }
}

/// Says what a config changed, if anything.
pub fn log_applied(path: &Path, found: &Difference) {
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
