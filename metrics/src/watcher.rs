//! The pass: everything is asked for again.

use std::time::Duration;

use boskos_client::{
    Client, Error, Metric, ResourceType,
    frame::{Pass, Pool, Progress, Work},
    types::TypeSelection,
};

use crate::board::{Board, REFRESH_EVERY};

/// Keeps a board fresh.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    work: Work,
    types: TypeSelection,
    board: Board,
}

// === impl Watcher ===

impl Watcher {
    /// Shows `types` on `board`.
    #[must_use]
    pub fn new(client: Client, work: Work, types: TypeSelection, board: Board) -> Self {
        Self { client, work, types, board }
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        if self.types.is_all() {
            let all = self.client.types().await?;
            let types: Vec<ResourceType> = all.iter().map(|metric| metric.r#type.as_str().into()).collect();
            self.board.keep(&types);
            types.iter().zip(all).for_each(|(r#type, metric)| self.refreshed(r#type, metric));
            return Ok(());
        }
        let types = self.types.current(&self.client).await?;
        self.board.keep(&types);
        for r#type in &types {
            match self.client.metric(r#type.as_str()).await {
                Ok(metric) => self.refreshed(r#type, metric),
                // There is nothing of it, which is an answer too.
                Err(error) if error.is_none_now() => self.refreshed(r#type, Metric::default()),
                Err(error) if error.is_away() => return Err(error),
                Err(error) => {
                    tracing::warn!(r#type = %r#type, %error, "not refreshed");
                    self.work.failed(r#type.as_str(), "metric");
                    self.board.fail(Some(r#type));
                }
            }
        }
        Ok(())
    }

    fn refreshed(&self, r#type: &ResourceType, metric: Metric) {
        self.board.refresh(r#type, metric);
        self.work.did(r#type.as_str(), 1);
    }
}

impl Pass for Watcher {
    async fn pass(&mut self, _pool: &mut Pool) -> Result<Progress, Error> {
        match self.refresh().await {
            Ok(()) => Ok(Progress::Did),
            Err(error) => {
                self.board.fail(None);
                Err(error)
            }
        }
    }

    fn interval(&self) -> Duration {
        REFRESH_EVERY
    }

    async fn called(&mut self) {
        self.types.changed().await;
    }
}
