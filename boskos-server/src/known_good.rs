//! The config that was good when it was last looked at: what a replica goes by that comes to lead while the
//! file is of no use.

use std::{path::PathBuf, sync::Arc, time::Duration};

use boskos_core::config::Config;
use boskos_runtime::{blocking::blocking, follow::Watch, text};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::{
    config_file::{self, ConfigFileError},
    follower::read_settled,
};

/// The text of the last good config of a file. See the [module](self).
#[derive(Debug)]
pub struct KnownGood {
    path: PathBuf,
    text: Mutex<Arc<Vec<u8>>>,
}

// === impl KnownGood ===

impl KnownGood {
    /// Begins with the file as it is.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is against the rules.
    pub async fn begin(path: PathBuf) -> Result<Self, ConfigFileError> {
        let text = blocking({
            let path = path.clone();
            move || {
                let text = config_file::read(&path)?;
                config_file::parse(&path, &text).map(|_| text)
            }
        });
        let text = Mutex::new(Arc::new(text.await?));
        Ok(Self { path, text })
    }

    /// Follows the watched file for ever, which is re-read at least every `period`.
    pub async fn keep_up(self: Arc<Self>, mut watch: Watch, period: Duration) {
        loop {
            tokio::select! {
                () = watch.changed() => {}
                () = sleep(period) => {}
            }
            watch.follow_link().await;
            // Whoever leads says what is wrong with it.
            let Ok(text) = read_settled(self.path.clone()).await else { continue };
            let known = self.clone();
            blocking(move || {
                if **known.text.lock() != text && Config::parse(&text).is_ok() {
                    *known.text.lock() = Arc::new(text);
                }
            })
            .await;
        }
    }

    /// What the file says now, or else what it last said that was of use.
    ///
    /// # Errors
    ///
    /// Never, unless rules change while a process runs.
    pub fn config(&self) -> Result<Config, ConfigFileError> {
        match config_file::read(&self.path).and_then(|text| config_file::parse(&self.path, &text)) {
            Ok(config) => Ok(config),
            Err(error) => {
                tracing::error!(error = text::chain(&error), "the config stays as this replica last saw it");
                let text = self.text.lock().clone();
                config_file::parse(&self.path, &text)
            }
        }
    }
}
