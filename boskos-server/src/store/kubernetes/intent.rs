//! Changes of several objects at once, noted before the first is written and struck out after the
//! last: whoever finds a note puts back what it lists.

use std::{collections::BTreeMap, sync::Arc};

use boskos_core::{Owner, ranch::plan::Version};
use boskos_kube::{Fence, Lease, LeaseError, WriteError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::Form;

/// The annotation on the Lease.
const UNFINISHED: &str = "boskos.k8s.io/unfinished";

/// Bytes of all notes: annotations may have 256 KiB in all.
const MAX_BYTES: usize = 200_000;

/// The notes, as the Lease has them or is about to.
#[derive(Debug)]
pub(super) struct Intents {
    lease: Arc<Lease>,
    /// Who must hold the Lease; `None` where nobody leads.
    holder: Option<String>,
    /// A term that is over must not write over the notes of the next, which may be of the same holder.
    fence: Fence,
    notes: Mutex<Notes>,
    /// Notes are written together: one request at a time, which takes in all that has come up.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Notes {
    by_number: BTreeMap<u64, Vec<Note>>,
    next_number: u64,
    /// Counts changes; up to which they are written.
    changed: u64,
    written: u64,
}

/// What is about to be done to one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Which resource.
    pub(super) name: String,
    /// The version that is replaced; `None` creates.
    pub(super) replaces: Option<Version>,
    /// What puts the object back, as a merge patch, where it changes; what was created is deleted.
    pub(super) back: Option<Value>,
    /// How to tell that it was done.
    pub(super) done: Mark,
}

/// What tells the outcome of a write from what others write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    state: String,
    owner: String,
    at: String,
}

// === impl Mark ===

impl Mark {
    pub(super) fn of(form: &Form) -> Self {
        let resource = &form.resource;
        Self {
            state: resource.state.as_str().to_owned(),
            owner: resource.owner.as_ref().map_or("", Owner::as_str).to_owned(),
            at: resource.last_update.to_string(),
        }
    }
}

// === impl Intents ===

impl Intents {
    pub(super) fn new(lease: Arc<Lease>, holder: Option<String>, fence: Fence) -> Self {
        Self { lease, holder, fence, notes: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Notes what is about to be done; its number.
    pub(super) async fn note(&self, notes: Vec<Note>) -> Result<u64, LeaseError> {
        let (number, change) = {
            let mut all = self.notes.lock();
            all.next_number += 1;
            all.changed += 1;
            let number = all.next_number;
            all.by_number.insert(number, notes);
            (number, all.changed)
        };
        match self.write_up_to(change).await {
            Ok(()) => Ok(number),
            Err(error) => {
                // What was written of it after all goes with the next change.
                self.notes.lock().remove(number);
                Err(error)
            }
        }
    }

    /// Strikes a note out.
    pub(super) async fn strike(&self, number: u64) -> Result<(), LeaseError> {
        let change = self.notes.lock().remove(number);
        self.write_up_to(change).await
    }

    async fn write_up_to(&self, change: u64) -> Result<(), LeaseError> {
        let _one_at_a_time = self.writing.lock().await;
        let (text, changed) = {
            let notes = self.notes.lock();
            if notes.written >= change {
                return Ok(());
            }
            (text_of(&notes.by_number), notes.changed)
        };
        if text.as_ref().is_some_and(|text| text.len() > MAX_BYTES) {
            tracing::error!(limit = MAX_BYTES, "a change of so many resources at once does not fit the lease");
            return Err(LeaseError::Refused);
        }
        self.set(text.as_deref()).await?;
        self.notes.lock().written = changed;
        Ok(())
    }

    async fn set(&self, text: Option<&str>) -> Result<(), LeaseError> {
        let is_held = |lease: &Value| match &self.holder {
            Some(holder) => lease["spec"]["holderIdentity"].as_str() == Some(holder),
            None => true,
        };
        let allowed = |lease: &Value| self.fence.is_open() && is_held(lease);
        self.lease.annotate(UNFINISHED, text, allowed).await
    }

    /// What others, or this process before its end, have not finished.
    pub(super) async fn left_over(&self) -> Result<Vec<Note>, LeaseError> {
        let Some(text) = self.lease.annotation(UNFINISHED).await? else { return Ok(Vec::new()) };
        match serde_json::from_str::<BTreeMap<u64, Vec<Note>>>(&text) {
            Ok(notes) => Ok(notes.into_values().flatten().collect()),
            Err(error) => {
                tracing::error!(%error, annotation = UNFINISHED, "what is noted on the lease cannot be read, and is dropped");
                Ok(Vec::new())
            }
        }
    }

    /// Everything that was left over is done.
    pub(super) async fn clear(&self) -> Result<(), LeaseError> {
        match self.lease.annotation(UNFINISHED).await? {
            Some(_) => self.set(None).await,
            None => Ok(()),
        }
    }
}

impl Notes {
    fn remove(&mut self, number: u64) -> u64 {
        self.by_number.remove(&number);
        self.changed += 1;
        self.changed
    }
}

fn text_of(notes: &BTreeMap<u64, Vec<Note>>) -> Option<String> {
    (!notes.is_empty()).then(|| serde_json::to_string(notes).expect("notes are plain JSON"))
}

/// Whether a failed note may be tried again to some end.
pub(super) fn is_lost(error: &LeaseError) -> bool {
    match error {
        LeaseError::Read(_) => true,
        LeaseError::Write(WriteError::Unknown(_) | WriteError::Unreachable(_) | WriteError::Busy(_)) => true,
        LeaseError::Write(WriteError::Conflict | WriteError::Missing | WriteError::Refused(_))
        | LeaseError::Refused => false,
    }
}
