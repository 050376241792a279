//! What a watch tells of the objects of a type, noted as it comes.

use std::sync::Arc;

use boskos_kube::{Collection, Definition, Follow, Meta, News, Object};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::{
    api_server::{ApiServer, runtime},
    replica::eventually,
};

/// All forms of all objects of a type in a namespace, from its start on.
pub(crate) struct Diary<K> {
    notes: Arc<Mutex<Vec<Note<K>>>>,
    follows: JoinHandle<()>,
}

/// One form of an object.
#[derive(Clone, Debug)]
pub(crate) struct Note<K> {
    pub(crate) form: K,
    /// Whether it is the last, since the object is gone.
    pub(crate) gone: bool,
}

/// A resource, of which the type alone matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Typed {
    metadata: Meta,
    pub(crate) spec: TypedSpec,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TypedSpec {
    pub(crate) r#type: String,
}

/// A Lease.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Held {
    metadata: Meta,
    pub(crate) spec: HeldSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldSpec {
    #[serde(default)]
    pub(crate) holder_identity: String,
    pub(crate) lease_transitions: i64,
}

impl Typed {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }
}

impl Object for Typed {
    const DEFINITION: Definition =
        Definition { group: "boskos.k8s.io", version: "v1", plural: "resources", kind: "ResourceObject" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Object for Held {
    const DEFINITION: Definition =
        Definition { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

// === impl Diary ===

impl<K: Object> Diary<K> {
    /// Begins with what there is.
    pub(crate) fn begin(api: &ApiServer, namespace: &str) -> Self {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let begun = Arc::new(Mutex::new(false));
        let mut follow = Follow::new(Collection::<K>::new(api.client(), namespace), None);
        let (writes, begins) = (notes.clone(), begun.clone());
        let follows = runtime().spawn(async move {
            loop {
                let (forms, gone) = match follow.next().await {
                    News::All(listing) => {
                        let again = std::mem::replace(&mut *begins.lock(), true);
                        assert!(!again, "listed anew: what happened in between was not told");
                        (listing.items, false)
                    }
                    News::Changed(form) => (vec![form], false),
                    News::Gone(form) => (vec![form], true),
                    News::Again | News::Back | News::Trouble(_) => continue,
                };
                let note = |form| Note { form, gone };
                writes.lock().extend(forms.into_iter().map(note));
            }
        });
        eventually("the first list", || begun.lock().then_some(()));
        Self { notes, follows }
    }

    /// All notes so far.
    pub(crate) fn notes(&self) -> Vec<Note<K>> {
        assert!(!self.follows.is_finished(), "the diary ended early");
        self.notes.lock().clone()
    }
}

impl Diary<Typed> {
    /// How many objects of a type there are, and the most that there ever were at a time.
    pub(crate) fn count(&self, r#type: &str) -> (usize, usize) {
        let mut there = std::collections::BTreeSet::new();
        let mut most = 0;
        for note in self.notes().iter().filter(|note| note.form.spec.r#type == r#type) {
            let uid = note.form.metadata.uid.clone();
            if note.gone {
                there.remove(&uid);
            } else {
                there.insert(uid);
            }
            most = most.max(there.len());
        }
        (there.len(), most)
    }
}

impl<K> Drop for Diary<K> {
    fn drop(&mut self) {
        self.follows.abort();
    }
}
