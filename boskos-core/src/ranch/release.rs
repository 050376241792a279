//! Release: only the owner gives a resource back.

use super::{
    Ranch,
    command::{CallId, Command, Refusal, Release},
    flight::{Age, Purpose, Role},
    plan::{Record, ResourceKey},
};
use crate::{Now, Owner};

impl Ranch {
    pub(super) fn release(&mut self, call: CallId, release: Release, now: Now) {
        // One that is being created is not there for callers yet, but a command that names it waits for it.
        let Some(key) = self.inventory.find(release.name.as_str()) else {
            return self.refuse(call, Refusal::NotFound(release.name));
        };
        if self.inventory.get(key).flight.is_some() {
            return self.wait_for(key, call, Command::Release(release));
        }
        if let Some(refusal) = self.owned_by_another(key, &release.owner) {
            return self.refuse(call, refusal);
        }
        let record = self.released(key, &release, now);
        let mut draft = self.draft();
        self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
        self.launch(draft, Purpose::Mutation { call, command: Command::Release(release) });
    }

    /// The form of a resource after its owner gave it back.
    ///
    /// A lifecycle with a lifespan sets the expiration date, one without leaves it, and without
    /// a lifecycle there is none.
    fn released(&self, key: ResourceKey, release: &Release, now: Now) -> Record {
        let mut record = self.moved(key, release.dest.clone(), None);
        match &self.inventory.kind(self.inventory.get(key).kind).lifecycle {
            Some(kept) => {
                if let Some(lifespan) = kept.lifecycle.lifespan {
                    record.resource.expiration = Some(now.wall.saturating_add_nanos(lifespan.as_nanos()));
                }
            }
            None => record.resource.expiration = None,
        }
        record
    }

    pub(super) fn owned_by_another(&self, key: ResourceKey, asked: &Owner) -> Option<Refusal> {
        let current = &self.inventory.get(key).record.resource.owner;
        (current.as_ref() != Some(asked)).then(|| Refusal::NotOwner { asked: asked.clone(), current: current.clone() })
    }
}
