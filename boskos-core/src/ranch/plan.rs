//! What the ranch asks a store to write, and what the store answers.

use std::{num::NonZeroU64, sync::Arc};

use smallvec::SmallVec;

use crate::{Lifecycle, Owner, Resource, ResourceName, ResourceType, State, WallTime};

/// Numbers plans in the order in which they were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(NonZeroU64);

/// A small number for each resource, stable while the resource exists and used again after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey(u32);

/// A place in the order of commits: "least recently updated" goes by it, and history rows are
/// named by it.
pub type Sequence = u64;

/// The store's own mark of an object's form, for conditional writes; 0 where a store has none.
pub type Version = u64;

/// The number of a queue place: lower is earlier, across all queues.
pub type PlaceNumber = u64;

/// Writes that belong together: the store does all of them or none.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which plan it is.
    pub id: PlanId,
    /// What to write, in this order.
    pub writes: SmallVec<[Write; 1]>,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Create or replace a resource.
    Put(Put),
    /// Delete a resource.
    Delete(Delete),
    /// Keep a queue place.
    PutPlace(PlaceRecord),
    /// Forget a queue place.
    DeletePlace(PlaceNumber),
    /// Create or replace a lifecycle.
    PutLifecycle(Box<LifecycleRecord>),
    /// Delete the lifecycle of a type.
    DeleteLifecycle(ResourceType),
}

/// Creates or replaces one resource.
#[derive(Clone, Debug)]
pub struct Put {
    /// Which resource.
    pub key: ResourceKey,
    /// The version that it replaces; `None` creates.
    pub replaces: Option<Version>,
    /// The form to write.
    pub record: Arc<Record>,
    /// What history is to say; `None` for heartbeats and user data.
    pub transition: Option<Transition>,
    /// Whether the transition, the expiration and `leaving` are all that is new: the form as it was and these make the
    /// form to write, whose sequence and time are those of the transition.
    pub moves_only: bool,
}

/// Deletes one resource.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Which resource.
    pub key: ResourceKey,
    /// Its name.
    pub name: ResourceName,
    /// The version that is deleted.
    pub replaces: Version,
    /// What history is to say.
    pub transition: Transition,
}

/// A resource and what is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The resource.
    pub resource: Resource,
    /// When, in the order of commits, it last changed.
    pub sequence: Sequence,
    /// Its newest history row, 0 if none.
    pub last_transition: Sequence,
    /// Whether it is being cleaned on the way to `tombstone`.
    pub leaving: bool,
}

/// A change of state or owner, a creation or a deletion: one row of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The row's number, higher than that of all before it.
    pub id: Sequence,
    /// The same resource's row before this one, 0 if none.
    pub previous: Sequence,
    /// When it happened.
    pub at: WallTime,
    /// The resource's name.
    pub name: ResourceName,
    /// The resource's type.
    pub r#type: ResourceType,
    /// State and owner before; `None` for a creation.
    pub from: Option<(State, Option<Owner>)>,
    /// State and owner after; `None` for a deletion.
    pub to: Option<(State, Option<Owner>)>,
    /// The state whose total of arrivals grows by one, if the state changed.
    pub counted: Option<State>,
}

/// A queue place as it is kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRecord {
    /// Its number.
    pub number: PlaceNumber,
    /// The type waited for.
    pub r#type: ResourceType,
    /// The state waited for.
    pub state: State,
    /// The id that the caller chose.
    pub request_id: String,
    /// When it was joined.
    pub joined: WallTime,
}

/// A lifecycle and whether its type has left the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRecord {
    /// The lifecycle; at min = max = 0 once draining.
    pub lifecycle: Lifecycle,
    /// Whether it goes when the last resource of its type has gone.
    pub draining: bool,
}

/// What became of a plan.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All of it is written and will be found again. One version for each write, or none at all
    /// from a store that has no versions.
    Committed(SmallVec<[Version; 1]>),
    /// Nothing is written: these objects are not what the plan took them for.
    Conflict(Vec<Foreign>),
    /// Nothing is written and nothing will be.
    NotWritten,
    /// It may or may not be written. Another outcome of the same plan follows when that is known.
    Unknown,
}

/// The form of an object that someone else wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The resource's name.
    pub name: ResourceName,
    /// What it is now; `None` when it is gone.
    pub now: Option<Resource>,
    /// The version of that form.
    pub version: Version,
}

/// A resource as a store found it at its start.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The key it was written under; `None` lets the ranch choose.
    pub key: Option<ResourceKey>,
    /// Its form.
    pub record: Record,
    /// Its version.
    pub version: Version,
}

// === impl PlanId ===

impl PlanId {
    pub(super) const FIRST: Self = Self(NonZeroU64::MIN);

    /// The id with this number, for plans that no ranch decided.
    #[must_use]
    pub const fn new(number: NonZeroU64) -> Self {
        Self(number)
    }

    pub(super) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^64 plans are never decided"))
    }
}

// === impl ResourceKey ===

impl ResourceKey {
    /// The key with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The key's number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl Plan ===

impl Plan {
    /// The names of the resources that the plan touches.
    pub fn names(&self) -> impl Iterator<Item = &ResourceName> {
        self.writes.iter().filter_map(|write| match write {
            Write::Put(put) => Some(&put.record.resource.name),
            Write::Delete(delete) => Some(&delete.name),
            Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => None,
        })
    }
}
