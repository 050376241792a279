//! Who holds what, who waits for what, and what happens next: a pure state machine.
//!
//! The ranch decides by reservation. [`Ranch::decide`] takes the resources and queue places that
//! a command touches out of every index and yields a [`plan::Plan`]; a store writes it;
//! [`Ranch::settle`] puts back the new form, the old one or a foreign one and yields replies and
//! what follows from them. Reads show the last committed form. No decision rests on one that is
//! not committed, so a failed write undoes itself alone.
//!
//! Times and names are arguments; the ranch never sleeps, logs or fails for reasons outside
//! itself.

pub mod command;
pub mod plan;

mod acquire;
mod acquire_by_state;
mod backlog;
mod deadline;
mod flight;
mod foreign;
mod inventory;
mod kind;
mod line;
mod load;
mod place;
mod pool;
mod release;
mod reopen;
mod reset;
mod settle;
mod snapshot;
mod surplus;
mod sync;
mod undo;
mod update;
mod upkeep;
mod view;
mod waiting;
mod watch;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    time::Duration,
};

use hashbrown::{HashMap, HashSet};

use self::{
    backlog::Backlog,
    command::{CallId, Command, Effects, Refusal, Reply},
    flight::Flight,
    inventory::Inventory,
    kind::KindKey,
    place::Places,
    plan::{PlanId, ResourceKey, Sequence},
    pool::PoolKey,
    reset::Gather,
    snapshot::Snapshots,
    sync::Fate,
    waiting::Waiting,
    watch::Watches,
};
pub use self::{
    deadline::Wake,
    load::Loader,
    snapshot::{SnapshotId, SnapshotRead},
    sync::NameView,
    view::{Counts, LifecycleView, Metric, PlaceView, PoolView},
};
use crate::{Now, ResourceName, State, state};

/// Where generated names come from: each call yields a new one.
pub type Names = Box<dyn FnMut() -> ResourceName + Send>;

/// What the ranch holds at most, and how long a queue place lasts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a queue place lasts after the last call of its id.
    pub request_ttl: Duration,
    /// Queue places; a call beyond gets the ordinary refusal and no place.
    pub places: usize,
    /// Parked calls; a call beyond is answered at once.
    pub parked: usize,
    /// Calls that watch; one beyond is refused.
    pub watches: usize,
    /// Commands that wait for one resource in flight.
    pub waiting_per_resource: usize,
    /// Changes made in one go by resets, syncs, upkeep and what follows an outage, save what is to go then; resources
    /// looked at in one go for calls that watch, and for those that are too many of their type.
    pub step: usize,
    /// How long a snapshot may be read: about as long as a slow link needs for a million resources.
    pub listing: Duration,
    /// Changes of resets and upkeep that are in flight together: a call that comes in waits for no more of them, save
    /// after an outage.
    pub chores: usize,
}

/// The ranch. See the [module](self).
pub struct Ranch {
    limits: Limits,
    names: Names,
    inventory: Inventory,
    places: Places,
    flights: HashMap<PlanId, Flight>,
    next_plan: PlanId,
    next_sequence: Sequence,
    /// Commands that wait for a resource in flight, by resource.
    waiting: HashMap<ResourceKey, VecDeque<Waiting>>,
    /// Plans of resets and upkeep that no outcome is known of yet.
    chores: usize,
    /// Calls with several plans: resets and syncs.
    gathers: HashMap<CallId, Gather>,
    /// Resets that are not all decided yet.
    resets: VecDeque<CallId>,
    /// What is to become of resources as soon as nobody owns them.
    fates: HashMap<ResourceKey, Fate>,
    /// Dynamic types to be looked at.
    upkeep: BTreeSet<KindKey>,
    watches: Watches,
    snapshots: Snapshots,
    backlog: Backlog,
    /// States with totals of their own beside the known ones.
    named_states: HashSet<State>,
    halted: bool,
    /// The queue that is not served yet, while an undo is carried out.
    held: Option<PoolKey>,
    /// Whether the steps of a config are under way.
    syncing: bool,
    pending: Effects,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_ttl: Duration::from_secs(30),
            places: 100_000,
            parked: 15_000,
            watches: 4_096,
            waiting_per_resource: 1_000,
            step: 1_000,
            listing: Duration::from_secs(60),
            chores: 128,
        }
    }
}

impl Ranch {
    /// Decides what is to be done about a command.
    ///
    /// The reply, if it is known at once, and the plans are found by [`Self::take_effects`];
    /// other replies follow from outcomes and from the passing of time.
    pub fn decide(&mut self, call: CallId, command: Command, now: Now) {
        if self.halted && !matches!(command, Command::Watch(_) | Command::Undo(_)) {
            return self.reply(call, Reply::Refused(Refusal::Unavailable));
        }
        match command {
            Command::Acquire(acquire) => self.acquire(call, acquire, now),
            Command::AcquireByState(acquire) => self.acquire_by_state(call, acquire, now),
            Command::Release(release) => self.release(call, release, now),
            Command::Update(update) => self.update(call, update, now),
            Command::Reset(reset) => self.reset(call, reset, now),
            Command::Sync(changes) => self.sync(call, changes, now),
            Command::Undo(receipt) => self.undo(receipt, now),
            Command::Watch(watch) => self.watch(call, watch, now),
        }
    }

    /// The plans and replies that have come up since the last call.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.pending)
    }

    /// [`Self::take_effects`] into room that is there already: `room` must be empty.
    pub fn swap_effects(&mut self, room: &mut Effects) {
        debug_assert!(room.plans.is_empty() && room.replies.is_empty(), "effects would be lost");
        std::mem::swap(&mut self.pending, room);
    }

    /// Whether there are effects to take.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.pending.plans.is_empty() || !self.pending.replies.is_empty()
    }

    /// The store cannot be written: from now on commands are refused at once and nothing is
    /// granted to those who wait.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Whether the store is taken to be out of reach.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    /// Does a bounded part of what is due: places and waits that ended, expired resources, min
    /// and max of dynamic types, resets under way. Whether more is due at once.
    pub fn work(&mut self, now: Now) -> bool {
        let mut budget = self.limits.step;
        self.end_places_and_waits(now, &mut budget);
        self.search(now);
        if self.halted {
            self.abandon_resets();
            return budget == 0;
        }
        self.make_up(now, &mut budget);
        let more = budget == 0;
        let mut chores = budget.min(self.room_for_chores());
        self.continue_resets(now, &mut chores);
        if !self.syncing {
            self.expire_resources(now, &mut chores);
            self.keep_up(now, &mut chores);
        }
        more || chores == 0 && self.room_for_chores() > 0
    }

    /// The last thing before the store closes: tries once more what is owed to it. Whether nothing is, and nothing is
    /// being written.
    pub fn wind_down(&mut self, now: Now) -> bool {
        if !self.halted {
            self.backlog.try_owed();
            let mut budget = self.limits.step;
            self.pay_owed(now, &mut budget);
        }
        self.flights.is_empty() && self.backlog.owes_nothing()
    }

    /// How many more changes of resets and upkeep may be sent off.
    fn room_for_chores(&self) -> usize {
        self.limits.chores.saturating_sub(self.chores)
    }

    /// Takes no more waiting callers: each parked call is answered now, places are kept.
    pub fn release_waiters(&mut self, now: Now) {
        self.unpark_all(now);
        self.watches.end_all(&mut self.pending.replies);
    }

    /// Plans that no outcome is known of yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The first of those plans. Looks at all of them.
    #[must_use]
    pub fn oldest_in_flight(&self) -> Option<PlanId> {
        self.flights.keys().min().copied()
    }

    fn reply(&mut self, call: CallId, reply: Reply) {
        self.pending.replies.push((call, reply));
    }

    fn refuse(&mut self, call: CallId, refusal: Refusal) {
        self.reply(call, Reply::Refused(refusal));
    }

    fn next_sequence(&mut self) -> Sequence {
        self.next_sequence += 1;
        self.next_sequence
    }

    /// The state under which arrivals at `state` are totalled.
    fn counted_as(&self, state: &State) -> State {
        if state::is_known(state.as_str()) || self.named_states.contains(state) {
            state.clone()
        } else {
            State::from(state::OTHER)
        }
    }
}

impl fmt::Debug for Ranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranch")
            .field("resources", &self.inventory.len())
            .field("in_flight", &self.flights.len())
            .field("halted", &self.halted)
            .finish_non_exhaustive()
    }
}
