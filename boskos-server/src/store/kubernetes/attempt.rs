//! One write, until it is known what became of it.

use std::time::Duration;

use boskos_core::ranch::plan::{Outcome, PlanId};
use boskos_kube::{Collection, Fence, Object, Version, WRITE, WriteError};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{error::KubernetesError, reach::Reach};

/// How long an object that the API server will not have stays in flight: whoever asks for the same
/// again and again must not do so in a tight loop.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// The pause between attempts to find out what became of a write.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// What the writes of one plan have come to so far.
pub(super) struct Attempt<'a> {
    pub(super) plan: PlanId,
    reach: &'a Reach,
    fence: &'a Fence,
    stop: &'a CancellationToken,
    /// Whether it was said that the outcome is not known.
    told: bool,
}

/// One conditional write.
#[derive(Debug)]
pub(super) enum Step {
    /// Creates an object.
    Create(Value),
    /// Merges this into the object of that version.
    Patch(Version, Value),
    /// Deletes the object of that uid and version.
    Delete(String, Version),
}

/// Why a write did not come about.
#[derive(Debug)]
pub(super) enum Failure {
    /// Someone else changed the object, or an attempt of our own whose outcome was not heard: it is to
    /// be read.
    Conflict {
        /// Whether there was such an attempt.
        perhaps_ours: bool,
    },
    /// There is no such object, perhaps since such an attempt deleted it.
    Missing {
        /// Whether there was such an attempt.
        perhaps_ours: bool,
    },
    /// It is not written and will not be.
    NotWritten,
    /// It is not known, and this process will not find out.
    Abandoned,
}

// === impl Attempt ===

impl<'a> Attempt<'a> {
    pub(super) fn new(plan: PlanId, reach: &'a Reach, fence: &'a Fence, stop: &'a CancellationToken) -> Self {
        Self { plan, reach, fence, stop, told: false }
    }

    /// Writes until it is known what became of it. The very same conditional write may be repeated
    /// when its outcome is not known: at most one of them comes about.
    /// The object's new form, unless it was deleted.
    pub(super) async fn write<K: Object>(
        &mut self,
        objects: &Collection<K>,
        name: &str,
        step: &Step,
    ) -> Result<Option<K>, Failure> {
        // Since when it is not known what became of an attempt.
        let mut unknown: Option<Instant> = None;
        loop {
            if unknown.is_none() && (!self.fence.is_open() || self.stop.is_cancelled()) {
                return Err(Failure::NotWritten);
            }
            // Late, but not out: it may be renewed yet.
            while !self.fence.is_open() {
                self.pause(ASK_AGAIN).await?;
            }
            match step.take(objects, name).await {
                Ok(written) => {
                    self.reach.wrote();
                    return Ok(written);
                }
                Err(WriteError::Conflict) => return Err(Failure::Conflict { perhaps_ours: unknown.is_some() }),
                Err(WriteError::Missing) => return Err(Failure::Missing { perhaps_ours: unknown.is_some() }),
                Err(error @ WriteError::Refused(_)) => {
                    tracing::warn!(error = boskos_runtime::text::chain(&error), "the API server refuses a write");
                    let Some(since) = unknown else {
                        self.pause_refused().await;
                        return Err(Failure::NotWritten);
                    };
                    // An earlier attempt may come about until its time is over.
                    self.pause(WRITE.saturating_sub(since.elapsed())).await?;
                    return Err(Failure::Conflict { perhaps_ours: true });
                }
                Err(error @ WriteError::Unreachable(_)) if unknown.is_none() => {
                    self.reach.lost(KubernetesError::Write(error));
                    return Err(Failure::NotWritten);
                }
                Err(error @ WriteError::Busy(_)) if unknown.is_none() => {
                    self.failed(KubernetesError::Write(error)).await;
                    return Err(Failure::NotWritten);
                }
                Err(error @ (WriteError::Unknown(_) | WriteError::Busy(_) | WriteError::Unreachable(_))) => {
                    unknown = Some(Instant::now());
                    self.doubt(KubernetesError::Write(error));
                }
            }
            self.pause(ASK_AGAIN).await?;
        }
    }

    /// Reads until there is an answer.
    pub(super) async fn read<K: Object>(&mut self, objects: &Collection<K>, name: &str) -> Result<Option<K>, Failure> {
        loop {
            match objects.get(name).await {
                Ok(read) => return Ok(read),
                Err(error) => self.doubt(KubernetesError::Read(error)),
            }
            self.pause(ASK_AGAIN).await?;
        }
    }

    /// Nothing was written, though the object is not to blame: is anything to be written at all?
    pub(super) async fn failed(&self, why: KubernetesError) {
        if self.reach.answers().await {
            self.pause_refused().await;
        } else {
            self.reach.lost(why);
        }
    }

    /// It is not known how things stand: the caller is told.
    pub(super) fn doubt(&mut self, why: KubernetesError) {
        let first = !std::mem::replace(&mut self.told, true);
        self.reach.doubt(first, why);
        if first {
            self.reach.outcomes().settle(&mut vec![(self.plan, Outcome::Unknown)]);
        }
    }

    /// Waits as long as what is refused stays in flight. What cannot wait any more is refused all the same.
    pub(super) async fn pause_refused(&self) {
        let _ = self.pause(REFUSED_PAUSE).await;
    }

    /// Waits; refused if the store closes or this process leads no more.
    pub(super) async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        let ended = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.fence.until_shut() => {}
            }
        };
        tokio::select! {
            () = ended => Err(Failure::Abandoned),
            () = sleep(pause) => Ok(()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.told {
            self.reach.doubt_ended();
        }
    }
}

// === impl Step ===

impl Step {
    async fn take<K: Object>(&self, objects: &Collection<K>, name: &str) -> Result<Option<K>, WriteError> {
        match self {
            Self::Create(body) => objects.create(name, body.clone()).await.map(Some),
            Self::Patch(version, patch) => objects.patch(name, *version, patch.clone()).await.map(Some),
            Self::Delete(uid, version) => objects.delete(name, uid, *version).await.map(|()| None),
        }
    }
}
