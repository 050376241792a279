//! The reaper's pass: one reset for each type and state.

use std::{collections::BTreeMap, time::Duration};

use boskos_client::{
    Client, Error, Owner, ResourceName, ResourceType, State,
    frame::{Pass, Pool, Progress, Work},
    types::TypeSelection,
};
use boskos_core::state;
use prometheus::Registry;

use crate::{Expiry, Flags, untaken::Untaken};

/// The states that are taken back from without being asked for.
const SOURCES: [&str; 3] = [state::BUSY, state::CLEANING, state::LEASED];

/// A server is not asked more often than this, whatever the flag says.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// Names in one log line; the history has them all.
const MAX_NAMED: usize = 50;

/// Resets what is stale, type by type.
#[derive(Debug)]
pub struct Reaper {
    client: Client,
    work: Work,
    types: TypeSelection,
    sources: Vec<State>,
    target: State,
    expiry: Expiry,
    interval: Duration,
    untaken: Untaken,
}

// === impl Reaper ===

impl Reaper {
    /// A reaper as `flags` say.
    ///
    /// # Errors
    ///
    /// If a metric cannot be had.
    pub fn new(
        client: Client,
        work: Work,
        registry: &Registry,
        types: TypeSelection,
        flags: &Flags,
    ) -> Result<Self, prometheus::Error> {
        let extra = flags.extra_source_states.split(',').map(str::trim).filter(|text| !text.is_empty());
        let mut sources: Vec<State> = Vec::new();
        for source in SOURCES.into_iter().chain(extra) {
            if sources.iter().all(|known| known.as_str() != source) {
                sources.push(source.into());
            }
        }
        Ok(Self {
            client,
            work,
            types,
            sources,
            target: flags.target_state.as_str().into(),
            expiry: Expiry::new(flags.expire, &flags.expire_type),
            interval: flags.interval.to_std_or_zero().max(LEAST_INTERVAL),
            untaken: Untaken::register(registry)?,
        })
    }

    async fn reap(&mut self) -> Result<Progress, Error> {
        let types = self.types.current(&self.client).await?;
        let mut progress = Progress::Idle;
        for r#type in &types {
            for source in &self.sources {
                let reset =
                    self.client.reset(r#type.as_str(), source.as_str(), self.expiry.of(r#type), self.target.as_str());
                match reset.await {
                    Ok(taken) if taken.is_empty() => {}
                    Ok(taken) => {
                        progress = Progress::Did;
                        self.tell(r#type, source, &taken);
                    }
                    Err(error) if error.is_away() => return Err(error),
                    Err(error) => {
                        self.work.failed(r#type.as_str(), "reset");
                        tracing::warn!(%r#type, state = %source, %error, "not reset");
                    }
                }
            }
        }
        self.untaken.look(&self.client, &types).await?;
        Ok(progress)
    }

    fn tell(&self, r#type: &ResourceType, source: &State, taken: &BTreeMap<ResourceName, Owner>) {
        self.work.did(r#type.as_str(), taken.len().try_into().unwrap_or(u64::MAX));
        let named: Vec<String> =
            taken.iter().take(MAX_NAMED).map(|(name, owner)| format!("{name} from {owner}")).collect();
        let (count, named) = (taken.len(), named.join(", "));
        tracing::info!(%r#type, state = %source, target_state = %self.target, count, resources = named, "taken back");
    }
}

impl Pass for Reaper {
    async fn pass(&mut self, _: &mut Pool) -> Result<Progress, Error> {
        self.reap().await
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn called(&mut self) {
        self.types.changed().await;
    }
}
