//! What tests of stores have in common.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use boskos_core::{
    Lifecycle, Owner, Resource, ResourceType, State, UserData, WallTime,
    ranch::plan::{
        Delete, Foreign, LifecycleRecord, Outcome, PlaceNumber, PlaceRecord, Plan, PlanId, Put, Record, ResourceKey,
        Sequence, Stored, Transition, Write,
    },
};
use boskos_server::store::{
    LoadSink, Outcomes, SqliteStore, Store, StoreError,
    sqlite::{Opened, SqliteOptions},
};
use parking_lot::{Condvar, Mutex};

/// After this long something that should happen never will.
const NEVER: Duration = Duration::from_secs(60);

pub(crate) fn id(number: u64) -> PlanId {
    PlanId::new(NonZeroU64::new(number).unwrap())
}

pub(crate) fn plan(number: u64, writes: impl IntoIterator<Item = Write>) -> Plan {
    Plan { id: id(number), writes: writes.into_iter().collect() }
}

/// A resource of type `t` as the write `sequence` leaves it.
pub(crate) fn record(name: &str, state: &str, owner: Option<&str>, sequence: Sequence) -> Record {
    let mut resource =
        Resource::new(name.into(), "t".into(), state.into(), WallTime::from_nanos(sequence.cast_signed()));
    resource.owner = owner.map(Owner::from);
    Record { resource, sequence, last_transition: sequence, leaving: false }
}

/// Creates a resource.
pub(crate) fn create(key: u32, record: &Record) -> Write {
    change(key, record, None, 0)
}

/// Moves a resource from `before`, its state and owner, to what `record` says.
pub(crate) fn change(key: u32, record: &Record, before: Option<&Record>, previous: Sequence) -> Write {
    let resource = &record.resource;
    let standing = |record: &Record| (record.resource.state.clone(), record.resource.owner.clone());
    let transition = Transition {
        id: record.last_transition,
        previous,
        at: resource.last_update,
        name: resource.name.clone(),
        r#type: resource.r#type.clone(),
        from: before.map(standing),
        to: Some(standing(record)),
        counted: Some(resource.state.clone()),
    };
    Write::Put(Put {
        key: ResourceKey::new(key),
        replaces: before.map(|_| 0),
        record: record.clone().into(),
        transition: Some(transition),
        moves_only: before.is_some_and(|before| {
            before.resource.user_data == resource.user_data && record.last_transition == record.sequence
        }),
    })
}

/// A heartbeat: no transition.
pub(crate) fn touch(key: u32, record: &Record) -> Write {
    let record = record.clone().into();
    Write::Put(Put { key: ResourceKey::new(key), replaces: Some(0), record, transition: None, moves_only: false })
}

pub(crate) fn delete(key: u32, before: &Record, sequence: Sequence) -> Write {
    let resource = &before.resource;
    Write::Delete(Delete {
        key: ResourceKey::new(key),
        name: resource.name.clone(),
        replaces: 0,
        transition: Transition {
            id: sequence,
            previous: before.last_transition,
            at: WallTime::from_nanos(sequence.cast_signed()),
            name: resource.name.clone(),
            r#type: resource.r#type.clone(),
            from: Some((resource.state.clone(), resource.owner.clone())),
            to: None,
            counted: None,
        },
    })
}

pub(crate) fn place(number: PlaceNumber) -> PlaceRecord {
    PlaceRecord {
        number,
        r#type: "t".into(),
        state: "free".into(),
        request_id: format!("request {number}"),
        joined: WallTime::from_nanos(-7),
    }
}

pub(crate) fn lifecycle(r#type: &str, draining: bool) -> LifecycleRecord {
    let lifecycle = Lifecycle { min_count: 1, max_count: 5, ..Lifecycle::new(r#type.into()) };
    LifecycleRecord { lifecycle, draining }
}

pub(crate) fn user_data(pairs: &[(&str, &str)]) -> UserData {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>().into()
}

/// Everything that a store holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) resources: BTreeMap<u32, Record>,
    pub(crate) lifecycles: BTreeMap<String, LifecycleRecord>,
    pub(crate) places: BTreeMap<PlaceNumber, PlaceRecord>,
    pub(crate) totals: BTreeMap<(String, String), u64>,
    pub(crate) sequence: Sequence,
    pub(crate) place_number: PlaceNumber,
}

impl LoadSink for Contents {
    fn expect_resources(&mut self, _count: usize) {}

    fn resource(&mut self, stored: Stored) {
        let key = stored.key.map_or_else(|| u32::try_from(self.resources.len()).unwrap(), ResourceKey::get);
        assert_eq!(self.resources.insert(key, stored.record), None, "key {key} came twice");
    }

    fn lifecycle(&mut self, record: LifecycleRecord) {
        self.lifecycles.insert(record.lifecycle.r#type.as_str().to_owned(), record);
    }

    fn place(&mut self, record: PlaceRecord) {
        self.places.insert(record.number, record);
    }

    fn total(&mut self, r#type: ResourceType, state: State, total: u64) {
        self.totals.insert((r#type.as_str().to_owned(), state.as_str().to_owned()), total);
    }

    fn sequence(&mut self, last: Sequence) {
        self.sequence = last;
    }

    fn place_number(&mut self, last: PlaceNumber) {
        self.place_number = last;
    }
}

pub(crate) fn contents(store: &dyn Store) -> Contents {
    let mut contents = Contents::default();
    store.load(&mut contents).unwrap();
    contents
}

/// What became of a plan, without versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Conflict,
    NotWritten,
    Unknown,
}

/// What a store reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Settled(PlanId, Fate),
    Halted(String),
    Resumed,
}

/// Takes down what a store reports.
#[derive(Debug, Default)]
pub(crate) struct Log {
    events: Mutex<Vec<Event>>,
    news: Mutex<Vec<Foreign>>,
    more: Condvar,
}

impl Outcomes for Log {
    fn settle(&self, batch: &mut Vec<(PlanId, Outcome)>) {
        self.add(batch.drain(..).map(|(id, outcome)| Event::Settled(id, fate(&outcome))));
    }

    fn observed(&self, news: &mut Vec<Foreign>) {
        self.news.lock().append(news);
        self.more.notify_all();
    }

    fn halted(&self, why: &StoreError) {
        self.add([Event::Halted(why.to_string())]);
    }

    fn resumed(&self) {
        self.add([Event::Resumed]);
    }
}

fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Committed(_) => Fate::Committed,
        Outcome::Conflict(_) => Fate::Conflict,
        Outcome::NotWritten => Fate::NotWritten,
        Outcome::Unknown => Fate::Unknown,
    }
}

impl Log {
    fn add(&self, events: impl IntoIterator<Item = Event>) {
        self.events.lock().extend(events);
        self.more.notify_all();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// Waits until what was reported satisfies `enough`; all of it.
    pub(crate) fn wait(&self, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let until = Instant::now() + NEVER;
        let mut events = self.events.lock();
        while !enough(&events) {
            let late = self.more.wait_until(&mut events, until).timed_out();
            assert!(!late, "this is all that was reported: {events:?}");
        }
        events.clone()
    }

    /// Waits for the first outcome of a plan, or for that after [`Fate::Unknown`].
    pub(crate) fn fates(&self, id: PlanId, count: usize) -> Vec<Fate> {
        fates(&self.wait(|events| fates(events, id).len() >= count), id)
    }
}

/// All outcomes of one plan.
pub(crate) fn fates(events: &[Event], id: PlanId) -> Vec<Fate> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Settled(other, fate) if *other == id => Some(*fate),
            Event::Settled(..) | Event::Halted(_) | Event::Resumed => None,
        })
        .collect()
}

/// A store that was started, and what it reports.
pub(crate) struct Started {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) log: Arc<Log>,
}

impl Started {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let log = Arc::new(Log::default());
        store.start(log.clone());
        Self { store, log }
    }

    /// Submits plans; what is known at once goes to the log as well.
    pub(crate) fn submit(&self, plans: impl IntoIterator<Item = Plan>) {
        let mut known = Vec::new();
        let mut plans = plans.into_iter().collect();
        self.store.submit(&mut plans, &mut known);
        assert!(plans.is_empty(), "a store takes all plans");
        self.log.add(known.iter().map(|(id, outcome)| Event::Settled(*id, fate(outcome))));
    }

    /// Submits plans and waits for all to be committed.
    pub(crate) fn commit(&self, plans: impl IntoIterator<Item = Plan>) {
        let plans: Vec<_> = plans.into_iter().collect();
        let ids: Vec<_> = plans.iter().map(|plan| plan.id).collect();
        self.submit(plans);
        for id in ids {
            assert_eq!(self.log.fates(id, 1), [Fate::Committed]);
        }
    }
}

pub(crate) fn options(dir: &Path) -> SqliteOptions {
    SqliteOptions { dir: dir.into(), must_exist: false, history_rows: 1_000 }
}

pub(crate) fn sqlite(dir: &Path) -> Started {
    Started::new(Arc::new(open(dir).store))
}

pub(crate) fn open(dir: &Path) -> Opened {
    SqliteStore::open(options(dir)).unwrap()
}

/// What the store in `dir` holds; it is opened and closed for it.
pub(crate) fn contents_in(dir: &Path) -> Contents {
    contents(&open(dir).store)
}

/// Copies a directory's files as a crash would leave them at this moment.
pub(crate) fn as_after_crash(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    // Processes that crash leave no index of the log that counts.
    for name in ["boskos.db", "boskos.db-wal"] {
        if dir.join(name).exists() {
            std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    copy
}
