//! The resources of one type in one state, and who waits for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use super::{
    kind::KindKey,
    line::Line,
    plan::{PlaceNumber, PlanId, ResourceKey, Sequence},
};
use crate::State;

/// Numbers pools; good while the pool exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PoolKey(u32);

/// The resources of one type in one state, oldest first, and the queue for them.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) kind: KindKey,
    pub(super) state: State,
    /// Settled and unowned: what an acquire may take, least recently updated first.
    pub(super) unowned: BTreeMap<Sequence, ResourceKey>,
    /// Settled and owned.
    pub(super) owned: BTreeMap<Sequence, ResourceKey>,
    /// Resources whose committed form belongs here, those in flight included.
    pub(super) count: u32,
    /// The queue.
    pub(super) line: Line,
    /// The places of callers that named themselves, those whose grant is in flight included.
    pub(super) ids: HashMap<String, PlaceNumber>,
    /// Plans in flight after which an unowned resource could be here.
    pub(super) candidates: BTreeSet<PlanId>,
    /// Places parked until no candidate up to a plan is left, in the order of these plans.
    pub(super) seekers: VecDeque<(PlanId, PlaceNumber)>,
}

impl PoolKey {
    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 pools"))
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Pool {
    pub(super) fn new(kind: KindKey, state: State) -> Self {
        Self {
            kind,
            state,
            unowned: BTreeMap::new(),
            owned: BTreeMap::new(),
            count: 0,
            line: Line::default(),
            ids: HashMap::new(),
            candidates: BTreeSet::new(),
            seekers: VecDeque::new(),
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.count == 0
            && self.line.is_empty()
            && self.ids.is_empty()
            && self.candidates.is_empty()
            && self.unowned.is_empty()
            && self.owned.is_empty()
    }
}
