//! Bringing the ranch to what a config says, in steps between requests.

use std::{collections::BTreeMap, sync::Arc};

use boskos_core::{
    Comparison, ResourceName, State,
    config::Config,
    ranch::{
        NameView,
        command::{Command, Refusal, Reply, SyncChange},
    },
    shown::Difference,
};
use hashbrown::HashSet;
use tokio_util::sync::CancellationToken;

use crate::steward::Steward;

/// Changes in one step: what requests may have to wait for.
const STEP: usize = 1_000;

/// Why a sync ended early.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store cannot be written.
    #[error("config could not be applied: {0}")]
    Refused(Refusal),
    /// Nobody waits for it any more.
    #[error("the server stops before its config is applied")]
    Stopped,
}

/// What applying `config` would do. Reads the ranch page by page.
pub fn difference(steward: &Steward, config: &Config) -> Difference {
    let mut comparison = Comparison::new(config);
    let mut found = Difference::default();
    for change in comparison.lifecycle_changes(&steward.read(|ranch, _| ranch.lifecycles())) {
        match change {
            SyncChange::SetLifecycle(lifecycle) => found.lifecycles.push(lifecycle.r#type.as_str().to_owned()),
            SyncChange::DrainLifecycle(r#type) => found.drain.push(r#type.as_str().to_owned()),
            SyncChange::List { .. } | SyncChange::Unlist { .. } => {}
        }
    }
    let mut after = None;
    loop {
        let page = steward.read(|ranch, _| ranch.names_page(after.as_ref(), STEP));
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        let mut changes = Vec::new();
        comparison.name_changes(&page, &mut changes);
        if changes.is_empty() {
            continue;
        }
        let views: BTreeMap<&ResourceName, &NameView> = page.iter().map(|view| (&view.name, view)).collect();
        for change in &changes {
            sort_change(change, &views, config, &mut found);
        }
    }
    loop {
        let rest = comparison.rest(STEP);
        if rest.is_empty() {
            return found;
        }
        for change in &rest {
            sort_change(change, &BTreeMap::new(), config, &mut found);
        }
    }
}

fn sort_change(
    change: &SyncChange,
    views: &BTreeMap<&ResourceName, &NameView>,
    config: &Config,
    found: &mut Difference,
) {
    match change {
        SyncChange::List { name, r#type, .. } => match views.get(name) {
            None => found.add.note(name, r#type),
            Some(view) if view.r#type != *r#type => found.remake.note(name, r#type),
            Some(_) => found.adopt.note(name, r#type),
        },
        SyncChange::Unlist { name } => {
            let Some(view) = views.get(name) else { return };
            let adopts = config.lifecycles.iter().any(|lifecycle| lifecycle.r#type == view.r#type);
            let names = if adopts { &mut found.adopt } else { &mut found.delete };
            names.note(name, &view.r#type);
        }
        SyncChange::SetLifecycle(_) | SyncChange::DrainLifecycle(_) => {}
    }
}

/// Brings the ranch to what `config` says. What an owner holds follows when that lets go.
///
/// Comparing takes a second for a million names: it is done on a thread of its own, where requests
/// do not wait for it.
///
/// Dropped before, it ends with the step that is under way.
///
/// # Errors
///
/// If something of it is not written; what is written stays. One name that the store will not have
/// does not keep the others from following. [`Steward::wind_down`] waits for the thread of one that was dropped.
pub async fn apply(steward: Arc<Steward>, config: Config) -> Result<Difference, SyncError> {
    let runtime = tokio::runtime::Handle::current();
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let syncs = steward.syncs().clone();
    let applied = syncs.spawn_blocking(move || runtime.block_on(apply_here(&steward, &config, &stop)));
    applied.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}

async fn apply_here(
    steward: &Arc<Steward>,
    config: &Config,
    stop: &CancellationToken,
) -> Result<Difference, SyncError> {
    let found = difference(steward, config);
    warn_of_mass_deletion(steward, &found);
    let mut sync = UnderWay::begin(steward, config, stop)?;
    // Mostly at a start; looking once more would find the same.
    if found.is_empty() {
        return sync.end().map(|()| found);
    }
    let mut comparison = Comparison::new(config);
    let lifecycles = comparison.lifecycle_changes(&steward.read(|ranch, _| ranch.lifecycles()));
    sync.step(lifecycles).await?;
    let mut after = None;
    let mut changes = Vec::new();
    loop {
        let page = steward.read(|ranch, _| ranch.names_page(after.as_ref(), STEP));
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        comparison.name_changes(&page, &mut changes);
        while changes.len() >= STEP {
            sync.step(changes.drain(..STEP).collect()).await?;
        }
    }
    sync.step(changes).await?;
    loop {
        let rest = comparison.rest(STEP);
        if rest.is_empty() {
            return sync.end().map(|()| found);
        }
        sync.step(rest).await?;
    }
}

/// The steps of a config are under way as long as this lives.
struct UnderWay<'a> {
    steward: &'a Arc<Steward>,
    stop: &'a CancellationToken,
    /// Why the first step that was not written was not.
    refused: Option<Refusal>,
}

impl<'a> UnderWay<'a> {
    fn begin(steward: &'a Arc<Steward>, config: &Config, stop: &'a CancellationToken) -> Result<Self, SyncError> {
        let states = states_of(config);
        if stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        steward.begin_sync(states);
        Ok(Self { steward, stop, refused: None })
    }

    async fn step(&mut self, changes: Vec<SyncChange>) -> Result<(), SyncError> {
        if changes.is_empty() {
            return Ok(());
        }
        let done = self.stop.run_until_cancelled(self.steward.call(Command::Sync(changes))).await;
        if let Reply::Refused(refusal) = done.ok_or(SyncError::Stopped)?.open().0 {
            self.refused.get_or_insert(refusal);
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), SyncError> {
        self.refused.take().map_or(Ok(()), |refusal| Err(SyncError::Refused(refusal)))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // At a stop dynamic types stay at rest: they would be kept to half a config.
        if !self.stop.is_cancelled() {
            self.steward.end_sync();
        }
    }
}

/// The states that a config names, each once.
pub(crate) fn states_of(config: &Config) -> HashSet<State> {
    let listed = config.statics.iter().map(|entry| &entry.state);
    let initial = config.lifecycles.iter().map(|lifecycle| &lifecycle.state);
    let mut states = HashSet::new();
    for state in listed.chain(initial) {
        if !states.contains(state) {
            states.insert(state.clone());
        }
    }
    states
}

fn warn_of_mass_deletion(steward: &Steward, found: &Difference) {
    for (r#type, deleted) in &found.delete.by_type {
        let pools = steward.read(|ranch, _| ranch.pools().collect::<Vec<_>>());
        let all: u64 = pools.iter().filter(|pool| pool.r#type == *r#type).map(|pool| pool.count).sum();
        if u64::try_from(*deleted).unwrap_or(u64::MAX).saturating_mul(2) > all {
            tracing::warn!(r#type = %r#type, deleted, all, "the config no longer names more than half of a type: these are deleted");
        }
    }
}
