//! What callers ask of the ranch and what they are told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::plan::{PlaceNumber, PlaceRecord, Plan, Record, ResourceKey, Sequence};
use crate::{
    Lifecycle, MonoTime, Owner, Resource, ResourceName, ResourceType, State, WallTime, duration::GoDuration,
    user_data::UserDataPatch,
};

/// Names one call; chosen by whoever hands the reply on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// One thing asked of the ranch.
#[derive(Clone, Debug)]
pub enum Command {
    /// Take the least recently updated resource of a type and state.
    Acquire(Acquire),
    /// Take all the named resources or none.
    AcquireByState(AcquireByState),
    /// Give a resource back.
    Release(Release),
    /// Heartbeat and user data.
    Update(Update),
    /// Take stale resources from their owners.
    Reset(Reset),
    /// A step of following the config.
    Sync(Vec<SyncChange>),
    /// Take back a grant that nobody read.
    Undo(Receipt),
    /// Wait until a resource matches.
    Watch(Watch),
}

/// Take the least recently updated unowned resource of a type and state.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The type wanted.
    pub r#type: ResourceType,
    /// The state it must be in.
    pub state: State,
    /// The state it gets.
    pub dest: State,
    /// Who gets it.
    pub owner: Owner,
    /// Names a place in the queue over several calls.
    pub request_id: Option<String>,
    /// How long to wait for a resource; zero: not at all.
    pub wait: Duration,
}

/// Take all the named resources, which must be unowned and in one state, or none.
#[derive(Clone, Debug)]
pub struct AcquireByState {
    /// The state they must be in.
    pub state: State,
    /// The state they get.
    pub dest: State,
    /// Who gets them.
    pub owner: Owner,
    /// Which, in the order of the answer, each once.
    pub names: Vec<ResourceName>,
}

/// Give a resource back.
#[derive(Clone, Debug)]
pub struct Release {
    /// Which.
    pub name: ResourceName,
    /// The state it gets.
    pub dest: State,
    /// Who gives it.
    pub owner: Owner,
}

/// Heartbeat and user data.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which.
    pub name: ResourceName,
    /// Who holds it.
    pub owner: Owner,
    /// The state it is in.
    pub state: State,
    /// What to note on it.
    pub patch: UserDataPatch,
}

/// Take every owned resource of a type and state from its owner if it was not updated lately.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The type.
    pub r#type: ResourceType,
    /// The state they are in.
    pub state: State,
    /// How long without an update; zero or less: all.
    pub expire: GoDuration,
    /// The state they get.
    pub dest: State,
}

/// One difference between the config and the ranch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncChange {
    /// The config lists this name under this type.
    List {
        /// The name.
        name: ResourceName,
        /// The type it is listed under.
        r#type: ResourceType,
        /// The state it starts in.
        state: State,
    },
    /// The config no longer lists this name.
    Unlist {
        /// The name.
        name: ResourceName,
    },
    /// The type is dynamic.
    SetLifecycle(Lifecycle),
    /// The type is no longer dynamic.
    DrainLifecycle(ResourceType),
}

/// Wait until a resource matches.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What matches.
    pub filter: Filter,
    /// Only what changed after that counts; see [`Ranch::settled_up_to`](super::Ranch::settled_up_to).
    pub since: Option<Sequence>,
    /// How long to wait; zero: not at all.
    pub wait: Duration,
}

/// Which resources are meant: those that match every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these types.
    pub types: Vec<ResourceType>,
    /// Any of these states.
    pub states: Vec<State>,
    /// Any of these owners; `None` is nobody.
    pub owners: Vec<Option<Owner>>,
}

/// What a caller is told.
#[derive(Debug)]
pub enum Reply {
    /// The caller now owns this resource.
    Granted(Box<Granted>),
    /// The caller now owns all of these resources.
    GrantedAll(Vec<Resource>, Receipt),
    /// It is done.
    Done,
    /// These were taken from their owners.
    Reset(BTreeMap<ResourceName, Owner>),
    /// A step of the config is carried out, or waits for owners to let go.
    Synced,
    /// A resource matches, or the wait has ended.
    Watched {
        /// Whether one matches.
        found: bool,
    },
    /// It was not done.
    Refused(Refusal),
}

/// A resource that was granted.
#[derive(Debug)]
pub struct Granted {
    /// Its form after the grant.
    pub record: Arc<Record>,
    /// What an undo needs.
    pub receipt: Receipt,
    /// From the first request of this id to the grant.
    pub waited: Duration,
}

/// What it takes to undo a grant.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub(super) granted: SmallVec<[GrantedRecord; 1]>,
    pub(super) place: Option<Box<VacatedPlace>>,
}

/// One granted resource and what it was before.
#[derive(Clone, Debug)]
pub(super) struct GrantedRecord {
    pub(super) key: ResourceKey,
    pub(super) sequence: Sequence,
    pub(super) before: Arc<Record>,
}

/// The queue place that a grant ended.
#[derive(Clone, Debug)]
pub(super) struct VacatedPlace {
    pub(super) number: PlaceNumber,
    pub(super) r#type: ResourceType,
    pub(super) state: State,
    pub(super) request_id: String,
    pub(super) owner: Option<Owner>,
    pub(super) joined: WallTime,
    /// When the wait began, as far as this process knows, and how long it had lasted before.
    pub(super) asked: MonoTime,
    pub(super) carried: Duration,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No unowned resource of that type (or, by state, not all of those names in that state).
    #[error("no available resource {0}, try again later.")]
    NoneAvailable(String),
    /// No resource and no lifecycle of that type.
    #[error("resource type {} does not exist", crate::go_quote::quoted(.0.as_str()))]
    UnknownType(ResourceType),
    /// No resource of that name.
    #[error("no available resource {0}, try again later.")]
    NotFound(ResourceName),
    /// Someone else owns it.
    #[error("owner mismatch request by {asked}, currently owned by {}", .current.as_ref().map_or("", Owner::as_str))]
    NotOwner {
        /// Who asked.
        asked: Owner,
        /// Who owns it.
        current: Option<Owner>,
    },
    /// It is in another state. The text has the two the wrong way round: clients know it so.
    #[error("state mismatch - expected {current}, current {asked}")]
    WrongState {
        /// The state that the caller took it to be in.
        asked: State,
        /// The state it is in.
        current: State,
    },
    /// The store cannot be reached.
    #[error("storage is not available, try again later")]
    Unavailable,
    /// Too many callers wait for one resource.
    #[error("too many requests wait for resource {0}, try again later")]
    Crowded(ResourceName),
    /// Too many callers wait for one that matches.
    #[error("too many requests wait for a resource that matches, try again later")]
    TooManyWatches,
}

/// What follows from a decision or an outcome.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be written.
    pub plans: Vec<Plan>,
    /// To be told.
    pub replies: Vec<(CallId, Reply)>,
}

// === impl Receipt ===

impl Receipt {
    /// Takes the receipt out and leaves one that undoes nothing.
    pub fn take(&mut self) -> Self {
        Self { granted: std::mem::take(&mut self.granted), place: self.place.take() }
    }
}

// === impl VacatedPlace ===

impl VacatedPlace {
    pub(super) fn record(&self) -> PlaceRecord {
        PlaceRecord {
            number: self.number,
            r#type: self.r#type.clone(),
            state: self.state.clone(),
            request_id: self.request_id.clone(),
            joined: self.joined,
        }
    }
}

// === impl Filter ===

impl Filter {
    /// Whether `resource` is meant.
    #[must_use]
    pub fn matches(&self, resource: &Resource) -> bool {
        (self.types.is_empty() || self.types.contains(&resource.r#type))
            && (self.states.is_empty() || self.states.contains(&resource.state))
            && (self.owners.is_empty() || self.owners.contains(&resource.owner))
    }
}
