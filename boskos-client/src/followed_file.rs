//! A small file that is read again when it changes, and now and then.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use boskos_core::MonoTime;
use boskos_runtime::{
    blocking::blocking,
    follow::{SETTLE, Watch},
    text,
};

use crate::{
    Clock,
    config_file::{self, ConfigFileError},
};

/// How often the file is read even if nothing is heard of a change.
const READ_EVERY: Duration = Duration::from_secs(600);

/// Reads of a file that goes on changing before what is there last is taken up later.
const SETTLE_READS: u32 = 20;

/// A file, followed through links that are swapped.
#[derive(Debug)]
pub struct FollowedFile {
    path: PathBuf,
    clock: Clock,
    watch: Watch,
    /// A change was heard of and not looked at yet.
    changed: bool,
    read_at: MonoTime,
    /// What is wrong with it, as it was last said.
    fault: Option<String>,
}

// === impl FollowedFile ===

impl FollowedFile {
    /// Begins to follow the file at `path`, and reads it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn begin(path: &Path, clock: &Clock) -> Result<(Self, Vec<u8>), ConfigFileError> {
        // One that is of no use has that said of it, and not what comes of it for the watch.
        config_file::read(path)?;
        // Before the read that counts, or a change just after it would go unnoticed.
        let watch = Watch::begin(path.to_owned());
        let bytes = config_file::read(path)?;
        let (path, clock) = (path.to_owned(), clock.clone());
        Ok((Self { path, read_at: clock.mono(), clock, watch, changed: false, fault: None }, bytes))
    }

    /// Where it is, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the file may have changed. Safe to cancel.
    pub async fn changed(&mut self) {
        self.watch.changed().await;
        self.changed = true;
    }

    /// What `parse` makes of the file at its path, if it may have changed or was not read for 10 min. One that is of no
    /// use is none: the log has that once, as an error that says what `stays` in its place.
    pub async fn parsed_news<T, E>(
        &mut self,
        stays: &'static str,
        parse: impl FnOnce(&Path, &[u8]) -> Result<T, E>,
    ) -> Option<T>
    where
        E: Error + From<ConfigFileError>,
    {
        let read = self.news().await?;
        let parsed = read.map_err(E::from).and_then(|bytes| parse(&self.path, &bytes));
        let fault = parsed.as_ref().err().map(|error| text::chain(error));
        if self.note_fault(fault.clone()) {
            tracing::error!(error = fault, "{stays}");
        }
        parsed.ok()
    }

    /// What is in the file, once it has settled, if it may have changed or was not read for 10 min.
    async fn news(&mut self) -> Option<Result<Vec<u8>, ConfigFileError>> {
        let is_due = self.clock.mono().saturating_since(self.read_at) >= READ_EVERY;
        self.changed |= self.watch.take_changed();
        if !self.changed && !is_due {
            return None;
        }
        self.watch.follow_link().await;
        let settled = self.read_settled().await;
        // Cut before, it is still to be looked at.
        self.changed = false;
        self.read_at = self.clock.mono();
        Some(settled)
    }

    /// Takes note of what is wrong with the file, or that nothing is; true if that is to be said: the same fault is said
    /// once.
    fn note_fault(&mut self, fault: Option<String>) -> bool {
        let is_new = fault.is_some() && fault != self.fault;
        self.fault = fault;
        is_new
    }

    /// Reads until two reads agree.
    async fn read_settled(&self) -> Result<Vec<u8>, ConfigFileError> {
        let read = || {
            let path = self.path.clone();
            blocking(move || config_file::read(&path))
        };
        let mut before = read().await;
        for _ in 0..SETTLE_READS {
            tokio::time::sleep(SETTLE).await;
            let now = read().await;
            match (&before, &now) {
                (Ok(one), Ok(two)) if one == two => break,
                (Err(_), Err(_)) => break,
                _ => before = now,
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_once_until_there_is_another_one_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("types.yaml");
        std::fs::write(&path, "").unwrap();
        let (mut file, _) = FollowedFile::begin(&path, &Clock::system()).unwrap();
        for (step, (fault, is_said)) in [
            (None, false),
            (Some("cut"), true),
            (Some("cut"), false),
            (Some("gone"), true),
            (Some("gone"), false),
            (Some("cut"), true),
            (None, false),
            (Some("cut"), true),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(file.note_fault(fault.map(str::to_owned)), is_said, "{step}");
        }
    }
}
