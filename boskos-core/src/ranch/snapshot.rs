//! Reading all resources as they were at one moment, page by page.

use std::collections::BTreeMap;

use super::{Ranch, command::Filter};
use crate::{Resource, ResourceName};

/// Snapshots open at once, at most.
const MAX_SNAPSHOTS: usize = 16;

/// Names an open snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId(usize);

/// Open snapshots: each remembers what has changed behind its back.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    open: slab::Slab<Snapshot>,
}

#[derive(Debug, Default)]
struct Snapshot {
    /// Everything up to here was read.
    read: Option<ResourceName>,
    /// The old forms of what has changed since, beyond that; `None` did not exist.
    changed: BTreeMap<ResourceName, Option<Resource>>,
}

impl Snapshots {
    /// A resource is about to change; `old` is its form, if it `existed`.
    pub(super) fn note(&mut self, old: &Resource, existed: bool) {
        for (_, snapshot) in &mut self.open {
            if snapshot.read.as_ref().is_none_or(|read| *read < old.name) {
                snapshot.changed.entry(old.name.clone()).or_insert_with(|| existed.then(|| old.clone()));
            }
        }
    }
}

impl Ranch {
    /// Opens a snapshot of all committed resources that begins after `after`; `None` if too many
    /// are open. It is to be closed with [`Self::close_snapshot`].
    pub fn open_snapshot(&mut self, after: Option<ResourceName>) -> Option<SnapshotId> {
        if self.snapshots.open.len() >= MAX_SNAPSHOTS {
            return None;
        }
        Some(SnapshotId(self.snapshots.open.insert(Snapshot { read: after, changed: BTreeMap::new() })))
    }

    /// Reads on, in name order: looks at up to `scan` resources and adds those that match to
    /// `out`. Whether that was the last.
    pub fn read_snapshot(&mut self, id: SnapshotId, filter: &Filter, scan: usize, out: &mut Vec<Resource>) -> bool {
        let Some(snapshot) = self.snapshots.open.get_mut(id.0) else { return true };
        let after = snapshot.read.clone();
        let mut now = self.inventory.names_after(after.as_ref()).peekable();
        for _ in 0..scan {
            let next_now = now.peek().map(|(name, _)| *name);
            let next_changed = snapshot.changed.first_key_value().map(|(name, _)| name);
            let take_changed = match (next_now, next_changed) {
                (None, None) => return true,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(now), Some(changed)) => changed <= now,
            };
            if take_changed {
                let (name, old) = snapshot.changed.pop_first().expect("just seen");
                now.next_if(|(other, _)| **other == name);
                snapshot.read = Some(name);
                out.extend(old.filter(|old| filter.matches(old)));
            } else {
                let (name, key) = now.next().expect("just seen");
                snapshot.read = Some(name.clone());
                let slot = self.inventory.get(*key);
                if !slot.phantom && filter.matches(&slot.record.resource) {
                    out.push(slot.record.resource.clone());
                }
            }
        }
        false
    }

    /// Closes a snapshot.
    pub fn close_snapshot(&mut self, id: SnapshotId) {
        self.snapshots.open.try_remove(id.0);
    }
}
