//! Reading history from the store, which may block.

use std::{sync::Arc, time::Duration};

use boskos_core::ranch::plan::Sequence;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::Steward;
use crate::store::{HistoryRow, StoreError};

/// How long it may take: far longer than it does, unless the disk hangs.
const PATIENCE: Duration = Duration::from_secs(5);

impl Steward {
    /// The newest `limit` transitions of a resource, as [`crate::store::Store::history`] has them. One call reads at a
    /// time, so that a disk that hangs costs one thread.
    ///
    /// # Errors
    ///
    /// If the store cannot be read, or does not answer.
    pub async fn history(self: &Arc<Self>, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        let until = Instant::now() + PATIENCE;
        let turn = timeout_at(until, self.history_turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| StoreError::Silent)?.expect("it is never closed");
        let steward = self.clone();
        let reading = spawn_blocking(move || {
            let _turn = turn;
            steward.store.history(newest, limit)
        });
        match timeout_at(until, reading).await {
            Ok(read) => read.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())),
            Err(_) => Err(StoreError::Silent),
        }
    }
}
