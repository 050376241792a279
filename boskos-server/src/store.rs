//! Where the ranch is kept.

pub mod kubernetes;
pub mod memory;
pub mod sqlite;

pub use self::{kubernetes::KubernetesStore, memory::MemoryStore, sqlite::SqliteStore};

use std::sync::Arc;

use boskos_core::{
    Owner, ResourceType, State, WallTime,
    ranch::plan::{Foreign, LifecycleRecord, Outcome, PlaceNumber, PlaceRecord, Plan, PlanId, Sequence, Stored},
};

/// A place to keep what the ranch decides.
///
/// What every store guarantees:
///
/// - The writes of a plan are done all or none, and a plan is reported [`Outcome::Committed`] only
///   when all of it would be found again after the process, or the machine, stops at once. (A
///   store in memory gives up just this.)
/// - Every plan gets exactly one outcome, save that one reported [`Outcome::Unknown`] gets another
///   once the truth is known.
/// - Plans that touch a common resource are committed in the order in which they were submitted
///   (the ranch never has two of them in flight). Others may overtake each other.
/// - A plan that is [`Outcome::NotWritten`] leaves no trace, now or later.
/// - Nothing is retried that was reported `NotWritten`. A store that cannot write says so with
///   [`Outcomes::halted`] before it reports the plans that failed for it, tries by itself with
///   backoff whether it can, and then says [`Outcomes::resumed`].
pub trait Store: Send + Sync + 'static {
    /// What the store is called in `/api/v1/info` and logs.
    fn name(&self) -> &'static str;

    /// Hands over everything that the store holds, in any order. Called once, before the first
    /// [`Self::submit`].
    ///
    /// # Errors
    ///
    /// If the store cannot be read or holds what cannot be; the text says what and the way out.
    fn load(&self, sink: &mut dyn LoadSink) -> Result<(), StoreError>;

    /// Begins: outcomes go to `outcomes`. Called once, after [`Self::load`].
    fn start(&self, outcomes: Arc<dyn Outcomes>);

    /// Takes the plans to be written, in the order of decisions, and returns at once. Outcomes
    /// that are known already are added to `known`; the others reach [`Outcomes`] later, from
    /// another thread. [`Outcome::NotWritten`] in `known` says that the store cannot write until
    /// [`Outcomes::resumed`], even if [`Outcomes::halted`] was not heard yet, or that it is closed.
    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>);

    /// The newest `limit` transitions of a resource, newest first; `newest` is the number of the
    /// last one. Rows that were trimmed are missing. May block.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    fn history(&self, newest: Sequence, limit: usize) -> Result<Vec<HistoryRow>, StoreError>;

    /// Writes what was submitted, reports it, and closes. May block; nothing is reported after.
    ///
    /// # Errors
    ///
    /// If the store could not be closed in order; what was reported committed is kept all the same.
    fn close(&self) -> Result<(), StoreError>;
}

/// Whom a store reports to.
pub trait Outcomes: Send + Sync + 'static {
    /// What became of a batch of plans, in the order of their commits. The vector is left empty.
    fn settle(&self, batch: &mut Vec<(PlanId, Outcome)>);

    /// Others have changed these objects. Never older than what was reported of them before. The
    /// vector is left empty.
    fn observed(&self, news: &mut Vec<Foreign>);

    /// The store cannot write from now on; or still cannot, for another reason.
    fn halted(&self, why: &StoreError);

    /// The store can write again.
    fn resumed(&self);
}

/// What takes in a store's contents.
pub trait LoadSink {
    /// About `count` resources follow.
    fn expect_resources(&mut self, count: usize);
    /// A resource.
    fn resource(&mut self, stored: Stored);
    /// A lifecycle.
    fn lifecycle(&mut self, record: LifecycleRecord);
    /// A queue place.
    fn place(&mut self, record: PlaceRecord);
    /// How often resources of a type came to a state.
    fn total(&mut self, r#type: ResourceType, state: State, total: u64);
    /// The highest sequence that was ever written.
    fn sequence(&mut self, last: Sequence);
    /// The highest number that a queue place ever had.
    fn place_number(&mut self, last: PlaceNumber);
}

/// One transition of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Its number.
    pub id: Sequence,
    /// When it happened.
    pub at: WallTime,
    /// The resource's name.
    pub name: String,
    /// The resource's type.
    pub r#type: String,
    /// State and owner before; `None` for a creation.
    pub from: Option<(State, Option<Owner>)>,
    /// State and owner after; `None` for a deletion.
    pub to: Option<(State, Option<Owner>)>,
}

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The embedded store says so.
    #[error(transparent)]
    Sqlite(#[from] sqlite::SqliteError),
    /// It does not answer.
    #[error("the store does not answer")]
    Silent,
    /// Kubernetes storage says so.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::KubernetesError),
}
