//! Plans on their way: what they reserve, and whom their outcome concerns.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Ranch,
    command::{AcquireByState, CallId, Command, Receipt},
    kind::KindKey,
    plan::{Delete, LifecycleRecord, PlaceNumber, Plan, PlanId, Put, Record, ResourceKey, Transition, Write},
    pool::PoolKey,
};
use crate::{MonoTime, Now, Owner, ResourceType, State, state};

/// A plan whose outcome is not known yet.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) purpose: Purpose,
    pub(super) changes: SmallVec<[Change; 1]>,
    /// The pools in which this plan is a candidate.
    pub(super) candidate_in: SmallVec<[PoolKey; 2]>,
}

/// One resource that a plan changes.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: ResourceKey,
    /// The form it gets; `None` deletes it.
    pub(super) to: Option<Arc<Record>>,
    /// The state whose total grows.
    pub(super) counted: Option<State>,
    /// What else the change is accounted under.
    pub(super) role: Role,
}

/// What else a change is accounted under while it is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// Counted among the type's members being created.
    CreatesMember,
    /// Counted among the type's members being marked `toBeDeleted`.
    Departs,
}

/// Whether a change counts as an update of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It does: the newest of all.
    Fresh,
    /// It does not: the new form says itself how old it is.
    Kept,
}

/// Whom the outcome concerns.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Grants one resource; the place that it ends, if there was one.
    Grant(Grant),
    /// Grants all resources that it changes; whether the caller has gone meanwhile.
    GrantAll { call: CallId, command: AcquireByState, gone: bool },
    /// Done when written.
    Mutation { call: CallId, command: Command },
    /// One part of a reset: whom the resource was taken from.
    ResetPart { call: CallId, owner: Owner },
    /// One part of a sync.
    SyncPart { call: CallId },
    /// Sets, drains or forgets the lifecycle of a type.
    Lifecycle { call: Option<CallId>, r#type: ResourceType, to: Option<Box<LifecycleRecord>> },
    /// Keeps a place that was joined.
    Join { place: PlaceNumber },
    /// Takes a grant back; again when it could not be written.
    Undo(Receipt),
    /// Forgets a place that has ended; again when it could not be written.
    Forget(PlaceNumber),
    /// Nobody waits for it.
    Upkeep,
}

impl Purpose {
    /// Whether it is one of very many that nobody waits for one by one.
    pub(super) const fn is_chore(&self) -> bool {
        matches!(self, Self::ResetPart { .. } | Self::Upkeep)
    }
}

/// A grant on its way.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) call: CallId,
    /// The place that it ends, if there was one.
    pub(super) place: Option<PlaceNumber>,
    /// The id of a call that needed no place.
    pub(super) request_id: Option<String>,
    /// When the caller first asked.
    pub(super) asked: MonoTime,
    /// When the wait that it asked for ends.
    pub(super) until: Option<MonoTime>,
    /// The state that was asked for.
    pub(super) from: State,
    /// Whether the caller has gone meanwhile: in a conflict the call is not judged anew.
    pub(super) gone: bool,
}

/// Collects what one plan reserves and writes.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: PlanId,
    writes: SmallVec<[Write; 1]>,
    changes: SmallVec<[Change; 1]>,
    candidate_in: SmallVec<[PoolKey; 2]>,
}

impl Draft {
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }
}

impl Ranch {
    /// The caller of a grant in flight has gone.
    pub(super) fn abandon_grant(&mut self, call: CallId) {
        for flight in self.flights.values_mut() {
            if let Purpose::Grant(Grant { call: of, gone, .. }) | Purpose::GrantAll { call: of, gone, .. } =
                &mut flight.purpose
                && *of == call
            {
                *gone = true;
            }
        }
    }

    pub(super) fn draft(&mut self) -> Draft {
        let id = self.next_plan;
        self.next_plan = id.next();
        Draft { id, writes: SmallVec::new(), changes: SmallVec::new(), candidate_in: SmallVec::new() }
    }

    /// Sends a draft off.
    pub(super) fn launch(&mut self, draft: Draft, purpose: Purpose) -> PlanId {
        let Draft { id, writes, changes, candidate_in } = draft;
        self.chores += usize::from(purpose.is_chore());
        self.flights.insert(id, Flight { purpose, changes, candidate_in });
        self.pending.plans.push(Plan { id, writes });
        id
    }

    /// Marks the draft as one after which an unowned resource could be in `pool`.
    pub(super) fn add_candidate(&mut self, draft: &mut Draft, pool: PoolKey) {
        if self.inventory.pool_mut(pool).candidates.insert(draft.id) {
            draft.candidate_in.push(pool);
        }
    }

    /// Reserves a settled resource and drafts its new form.
    pub(super) fn draft_put(
        &mut self,
        draft: &mut Draft,
        key: ResourceKey,
        mut to: Record,
        age: Age,
        role: Role,
        now: Now,
    ) {
        self.inventory.unindex(key);
        let kind = self.inventory.kind_key_likely(&to.resource.r#type, self.inventory.get(key).kind);
        self.inventory.share_words(&mut to.resource, kind);
        let fresh = self.next_sequence();
        if age == Age::Fresh {
            to.sequence = fresh;
            to.resource.last_update = now.wall;
        }
        let slot = self.inventory.get(key);
        let (from, version, pool) = (&*slot.record, slot.version, slot.pool);
        if age == Age::Fresh {
            to.leaving = stays_leaving(from, &to);
        }
        let state_changes = from.resource.state != to.resource.state || from.resource.r#type != to.resource.r#type;
        let moves = state_changes || from.resource.owner != to.resource.owner;
        let moves_only = moves
            && age == Age::Fresh
            && from.resource.r#type == to.resource.r#type
            && from.resource.user_data == to.resource.user_data;
        let counted = state_changes.then(|| self.counted_as(&to.resource.state));
        let transition = moves.then(|| {
            to.last_transition = fresh;
            let before = (from.resource.state.clone(), from.resource.owner.clone());
            transition(fresh, from.last_transition, &to, Some(before), counted.clone(), now)
        });
        if from.resource.owner.is_none() {
            self.add_candidate(draft, pool);
        }
        self.add_target_candidate(draft, &to, kind);
        self.inventory.get_mut(key).flight = Some(draft.id);
        let to = Arc::new(to);
        draft.writes.push(Write::Put(Put { key, replaces: Some(version), record: to.clone(), transition, moves_only }));
        draft.changes.push(Change { key, to: Some(to), counted, role });
    }

    /// Reserves a settled resource and drafts its deletion.
    pub(super) fn draft_delete(&mut self, draft: &mut Draft, key: ResourceKey, now: Now) {
        self.inventory.unindex(key);
        let id = self.next_sequence();
        let slot = self.inventory.get(key);
        let (resource, version, pool) = (&slot.record.resource, slot.version, slot.pool);
        let name = resource.name.clone();
        let transition = Transition {
            id,
            previous: slot.record.last_transition,
            at: now.wall,
            name: name.clone(),
            r#type: resource.r#type.clone(),
            from: Some((resource.state.clone(), resource.owner.clone())),
            to: None,
            counted: None,
        };
        self.add_candidate(draft, pool);
        self.inventory.get_mut(key).flight = Some(draft.id);
        draft.writes.push(Write::Delete(Delete { key, name, replaces: version, transition }));
        draft.changes.push(Change { key, to: None, counted: None, role: Role::Plain });
    }

    /// Drafts a new resource. Its name must be new.
    pub(super) fn draft_create(
        &mut self,
        draft: &mut Draft,
        mut record: Record,
        listed: bool,
        now: Now,
    ) -> ResourceKey {
        let id = self.next_sequence();
        record.sequence = id;
        record.last_transition = id;
        let kind = self.inventory.kind_key(record.resource.r#type.as_str());
        self.inventory.share_words(&mut record.resource, kind);
        let counted = self.counted_as(&record.resource.state);
        let transition = transition(id, 0, &record, None, Some(counted.clone()), now);
        let record = Arc::new(record);
        let key = self.inventory.add(None, record.clone(), 0);
        let kind = self.inventory.get(key).kind;
        self.add_target_candidate(draft, &record, Some(kind));
        let slot = self.inventory.get_mut(key);
        slot.flight = Some(draft.id);
        slot.phantom = true;
        slot.listed = listed;
        let kind = slot.kind;
        let kind = self.inventory.kind_mut(kind);
        kind.phantoms += 1;
        kind.creating += u32::from(!listed);
        let role = if listed { Role::Plain } else { Role::CreatesMember };
        draft.writes.push(Write::Put(Put {
            key,
            replaces: None,
            record: record.clone(),
            transition: Some(transition),
            moves_only: false,
        }));
        draft.changes.push(Change { key, to: Some(record), counted: Some(counted), role });
        key
    }

    /// [`Self::add_candidate`] for the form that a resource gets; `kind` is the key of its type, if there is one.
    fn add_target_candidate(&mut self, draft: &mut Draft, to: &Record, kind: Option<KindKey>) {
        if to.resource.owner.is_none() {
            let kind = kind.unwrap_or_else(|| self.inventory.kind_or_new(&to.resource.r#type));
            let pool = self.inventory.pool_or_new(kind, &to.resource.state);
            self.add_candidate(draft, pool);
        }
    }
}

fn transition(
    id: u64,
    previous: u64,
    to: &Record,
    from: Option<(State, Option<Owner>)>,
    counted: Option<State>,
    now: Now,
) -> Transition {
    let resource = &to.resource;
    Transition {
        id,
        previous,
        at: now.wall,
        name: resource.name.clone(),
        r#type: resource.r#type.clone(),
        from,
        to: Some((resource.state.clone(), resource.owner.clone())),
        counted,
    }
}

/// Whether a resource is still on its way from `toBeDeleted` to `tombstone`.
pub(super) fn stays_leaving(from: &Record, to: &Record) -> bool {
    let from_state = from.resource.state.as_str();
    to.resource.state.as_str() == state::CLEANING
        && to.resource.r#type == from.resource.r#type
        && (from_state == state::TO_BE_DELETED || (from_state == state::CLEANING && from.leaving))
}
