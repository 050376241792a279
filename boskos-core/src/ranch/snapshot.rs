//! Reading all resources as they were at one moment, page by page.

use std::collections::BTreeMap;

use super::{Ranch, command::Filter};
use crate::{MonoTime, Now, Resource, ResourceName};

/// Snapshots open at once, at most.
const MAX_SNAPSHOTS: usize = 16;

/// Names an open snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId(u64);

/// How far a snapshot was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotRead {
    /// There is more.
    More,
    /// That was the last.
    Last,
    /// It took too long and was closed.
    Closed,
}

/// Open snapshots: each remembers what has changed behind its back.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// By number: the oldest first.
    open: BTreeMap<u64, Snapshot>,
    next: u64,
}

#[derive(Debug)]
struct Snapshot {
    /// When it is closed though it is not read to its end: a reader that takes its time must neither keep others from
    /// theirs nor have old forms pile up.
    until: MonoTime,
    /// Everything up to here was read.
    read: Option<ResourceName>,
    /// The old forms of what has changed since, beyond that; `None` did not exist.
    changed: BTreeMap<ResourceName, Option<Resource>>,
}

impl Snapshots {
    /// A resource is about to change; `old` is its form, if it `existed`.
    pub(super) fn note(&mut self, old: &Resource, existed: bool) {
        for snapshot in self.open.values_mut() {
            if snapshot.read.as_ref().is_none_or(|read| *read < old.name) {
                snapshot.changed.entry(old.name.clone()).or_insert_with(|| existed.then(|| old.clone()));
            }
        }
    }
}

impl Snapshots {
    pub(super) fn first_deadline(&self) -> Option<MonoTime> {
        self.open.first_key_value().map(|(_, snapshot)| snapshot.until)
    }

    /// Closes those that have been read for too long.
    pub(super) fn end_due(&mut self, now: MonoTime) {
        while let Some(oldest) = self.open.first_entry()
            && oldest.get().until <= now
        {
            oldest.remove();
        }
    }
}

impl Ranch {
    /// Opens a snapshot of all committed resources that begins after `after`; `None` if too many
    /// are open. It is to be closed with [`Self::close_snapshot`]; after [`super::Limits::listing`] it is closed all
    /// the same.
    pub fn open_snapshot(&mut self, after: Option<ResourceName>, now: Now) -> Option<SnapshotId> {
        self.snapshots.end_due(now.mono);
        if self.snapshots.open.len() >= MAX_SNAPSHOTS {
            return None;
        }
        let until = now.mono.saturating_add(self.limits.listing);
        self.snapshots.next += 1;
        let number = self.snapshots.next;
        self.snapshots.open.insert(number, Snapshot { until, read: after, changed: BTreeMap::new() });
        Some(SnapshotId(number))
    }

    /// Reads on, in name order: looks at up to `scan` resources and adds those that match to
    /// `out`.
    pub fn read_snapshot(
        &mut self,
        id: SnapshotId,
        filter: &Filter,
        scan: usize,
        out: &mut Vec<Resource>,
    ) -> SnapshotRead {
        let Some(snapshot) = self.snapshots.open.get_mut(&id.0) else { return SnapshotRead::Closed };
        let after = snapshot.read.clone();
        let mut now = self.inventory.names_after(after.as_ref()).peekable();
        for _ in 0..scan {
            let next_now = now.peek().map(|(name, _)| *name);
            let next_changed = snapshot.changed.first_key_value().map(|(name, _)| name);
            let take_changed = match (next_now, next_changed) {
                (None, None) => return SnapshotRead::Last,
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
        SnapshotRead::More
    }

    /// Closes a snapshot.
    pub fn close_snapshot(&mut self, id: SnapshotId) {
        self.snapshots.open.remove(&id.0);
    }
}
