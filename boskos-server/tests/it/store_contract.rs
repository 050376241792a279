//! What every store guarantees.

use std::{path::Path, sync::Arc};

use boskos_core::{
    Owner, State, WallTime,
    ranch::plan::{Sequence, Write},
};
use boskos_server::store::{HistoryRow, MemoryStore, SqliteStore, Store};

use crate::store_support::{
    Contents, Fate, Started, change, contents, create, delete, fates, id, lifecycle, options, place, plan, record,
    touch, user_data,
};

/// Makes stores of one kind.
trait Kind {
    /// Whether what was written is found when the store is opened again.
    const LASTS: bool;

    fn open(dir: &Path) -> Arc<dyn Store>;
}

struct Memory;

impl Kind for Memory {
    const LASTS: bool = false;

    fn open(_dir: &Path) -> Arc<dyn Store> {
        Arc::new(MemoryStore::default())
    }
}

struct Sqlite;

impl Kind for Sqlite {
    const LASTS: bool = true;

    fn open(dir: &Path) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(options(dir)).unwrap().store)
    }
}

/// A store under test, and where it is.
struct Fixture<K> {
    started: Started,
    dir: tempfile::TempDir,
    kind: std::marker::PhantomData<K>,
}

impl<K: Kind> Fixture<K> {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { started: Started::new(K::open(dir.path())), dir, kind: std::marker::PhantomData }
    }

    /// Closes the store and checks what it holds when it is opened again.
    fn reopened(self, check: impl FnOnce(Contents)) {
        self.started.store.close().unwrap();
        drop(self.started);
        if K::LASTS {
            check(contents(&*K::open(self.dir.path())));
        }
    }

    fn history(&self, newest: Sequence, limit: usize) -> Vec<HistoryRow> {
        self.started.store.history(newest, limit).unwrap()
    }
}

macro_rules! every_store {
    ($($claim:ident)+) => {
        mod memory {
            $(#[test] fn $claim() { super::$claim::<super::Memory>(); })+
        }
        mod sqlite {
            $(#[test] fn $claim() { super::$claim::<super::Sqlite>(); })+
        }
    };
}

every_store! {
    new_store_is_empty
    every_plan_gets_exactly_one_outcome
    all_of_a_record_is_found_again
    all_writes_of_a_plan_are_found_again
    last_of_several_writes_counts
    deleted_things_are_gone
    key_of_a_deleted_resource_is_used_again
    plans_about_one_resource_are_committed_in_order
    history_is_followed_from_the_newest
    history_tells_resources_apart
    history_shows_no_more_than_asked
    history_of_nothing_is_empty
    totals_grow_over_batches
    highest_numbers_survive_deletion
    close_writes_and_reports_what_was_submitted
    close_may_be_repeated
    odd_text_is_kept_as_it_is
}

fn new_store_is_empty<K: Kind>() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(contents(&*K::open(dir.path())), Contents::default());
}

fn every_plan_gets_exactly_one_outcome<K: Kind>() {
    const PLANS: u32 = 10_000;
    let fixture = Fixture::<K>::new();
    for first in (1..=PLANS).step_by(700) {
        let numbers = first..(first + 700).min(PLANS + 1);
        fixture.started.submit(numbers.map(|number| {
            plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
        }));
    }
    fixture.started.store.close().unwrap();
    let events = fixture.started.log.events();
    assert_eq!(events.len(), PLANS as usize);
    for number in 1..=PLANS {
        assert!(events.contains(&crate::store_support::Event::Settled(id(number.into()), Fate::Committed)));
    }
    fixture.reopened(|found| assert_eq!(found.resources.len(), PLANS as usize));
}

fn all_of_a_record_is_found_again<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let plain = record("plain", "free", None, 1);
    let mut full = record("full", "cleaning", Some("me"), 2);
    full.leaving = true;
    full.last_transition = 9;
    full.resource.last_update = WallTime::from_nanos(i64::MIN);
    full.resource.expiration = Some(WallTime::from_nanos(1_136_214_245_123_456_789));
    full.resource.user_data = user_data(&[("b", "2"), ("a", "<\u{e9}\n\"")]);
    fixture.started.commit([plan(1, [create(0, &plain)]), plan(2, [create(u32::MAX, &full)])]);
    fixture.reopened(|found| {
        assert_eq!(found.resources, [(0, plain), (u32::MAX, full)].into());
        assert_eq!(found.sequence, 9);
    });
}

fn all_writes_of_a_plan_are_found_again<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let (one, two) = (record("one", "free", None, 1), record("two", "free", None, 2));
    let (active, draining) = (lifecycle("active", false), lifecycle("draining", true));
    fixture.started.commit([plan(
        1,
        [
            create(1, &one),
            create(2, &two),
            Write::PutPlace(place(3)),
            Write::PutLifecycle(Box::new(active.clone())),
            Write::PutLifecycle(Box::new(draining.clone())),
        ],
    )]);
    fixture.reopened(|found| {
        assert_eq!(found.resources, [(1, one), (2, two)].into());
        assert_eq!(found.places, [(3, place(3))].into());
        assert_eq!(found.lifecycles, [("active".to_owned(), active), ("draining".to_owned(), draining)].into());
    });
}

fn last_of_several_writes_counts<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let first = record("r", "free", None, 1);
    let second = record("r", "busy", Some("me"), 2);
    let mut third = second.clone();
    third.sequence = 3;
    third.resource.user_data = user_data(&[("k", "v")]);
    let changed = lifecycle("t", true);
    fixture.started.commit([plan(1, [create(1, &first), Write::PutLifecycle(Box::new(lifecycle("t", false)))])]);
    fixture.started.commit([plan(2, [change(1, &second, Some(&first), 1)])]);
    fixture.started.commit([plan(3, [touch(1, &third), Write::PutLifecycle(Box::new(changed.clone()))])]);
    fixture.reopened(|found| {
        assert_eq!(found.resources, [(1, third)].into());
        assert_eq!(found.lifecycles, [("t".to_owned(), changed)].into());
    });
}

fn deleted_things_are_gone<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let (gone, kept) = (record("gone", "free", None, 1), record("kept", "free", None, 2));
    fixture.started.commit([
        plan(1, [create(1, &gone), create(2, &kept)]),
        plan(2, [Write::PutPlace(place(1))]),
        plan(3, [Write::PutPlace(place(2)), Write::PutLifecycle(Box::new(lifecycle("t", false)))]),
    ]);
    fixture.started.commit([
        plan(4, [delete(1, &gone, 3)]),
        plan(5, [Write::DeletePlace(1)]),
        plan(6, [Write::DeleteLifecycle("t".into())]),
        plan(7, [Write::DeleteLifecycle("never was".into()), Write::DeletePlace(77)]),
    ]);
    fixture.reopened(|found| {
        assert_eq!(found.resources, [(2, kept)].into());
        assert_eq!(found.places, [(2, place(2))].into());
        assert!(found.lifecycles.is_empty());
    });
}

fn key_of_a_deleted_resource_is_used_again<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let (old, new) = (record("old", "free", None, 1), record("new", "dirty", None, 3));
    fixture.started.commit([plan(1, [create(1, &old)])]);
    fixture.started.commit([plan(2, [delete(1, &old, 2)]), plan(3, [create(1, &new)])]);
    let found = fixture.history(3, 10);
    assert_eq!(found.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["new"]);
    fixture.reopened(|found| assert_eq!(found.resources, [(1, new)].into()));
}

fn plans_about_one_resource_are_committed_in_order<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let mut before = record("r", "free", None, 1);
    let mut plans = vec![plan(1, [create(1, &before)])];
    for number in 2..=100 {
        let after = record("r", &format!("s{number}"), None, number);
        plans.push(plan(number, [change(1, &after, Some(&before), number - 1)]));
        before = after;
    }
    fixture.started.commit(plans);
    let settled: Vec<_> = fixture.started.log.events();
    let expected: Vec<_> =
        (1..=100).map(|number| crate::store_support::Event::Settled(id(number), Fate::Committed)).collect();
    assert_eq!(settled, expected);
    fixture.reopened(|found| assert_eq!(found.resources, [(1, before)].into()));
}

fn history_is_followed_from_the_newest<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let free = record("r", "free", None, 1);
    let busy = record("r", "busy", Some("me"), 4);
    fixture.started.commit([plan(1, [create(1, &free)])]);
    fixture.started.commit([plan(2, [change(1, &busy, Some(&free), 1)])]);
    fixture.started.commit([plan(3, [delete(1, &busy, 7)])]);
    let standing = |state: &str, owner: Option<&str>| Some((State::from(state), owner.map(Owner::from)));
    let row = |id: i64, from, to| HistoryRow {
        id: id.cast_unsigned(),
        at: WallTime::from_nanos(id),
        name: "r".to_owned(),
        r#type: "t".to_owned(),
        from,
        to,
    };
    assert_eq!(
        fixture.history(7, 10),
        [
            row(7, standing("busy", Some("me")), None),
            row(4, standing("free", None), standing("busy", Some("me"))),
            row(1, None, standing("free", None)),
        ]
    );
}

fn history_tells_resources_apart<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let mut before = [record("even", "free", None, 1), record("odd", "free", None, 2)];
    fixture.started.commit([plan(1, [create(0, &before[0]), create(1, &before[1])])]);
    for number in 3..=20 {
        let index = usize::from(number % 2 == 0);
        let after = record(before[index].resource.name.as_str(), &format!("s{number}"), None, number);
        let key = u32::try_from(index).unwrap();
        let previous = before[index].last_transition;
        fixture.started.commit([plan(number, [change(key, &after, Some(&before[index]), previous)])]);
        before[index] = after;
    }
    for last in &before {
        let rows = fixture.history(last.last_transition, 100);
        assert_eq!(rows.len(), 10);
        assert!(rows.iter().all(|row| row.name == last.resource.name.as_str()));
        assert!(rows.is_sorted_by(|newer, older| newer.id > older.id));
    }
}

fn history_shows_no_more_than_asked<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let mut before = record("r", "free", None, 1);
    fixture.started.commit([plan(1, [create(1, &before)])]);
    for number in 2..=9 {
        let after = record("r", &format!("s{number}"), None, number);
        fixture.started.commit([plan(number, [change(1, &after, Some(&before), number - 1)])]);
        before = after;
    }
    assert_eq!(fixture.history(9, 3).iter().map(|row| row.id).collect::<Vec<_>>(), [9, 8, 7]);
    assert_eq!(fixture.history(9, 0), []);
}

fn history_of_nothing_is_empty<K: Kind>() {
    let fixture = Fixture::<K>::new();
    fixture.started.commit([plan(1, [create(1, &record("r", "free", None, 5))])]);
    assert_eq!(fixture.history(0, 10), []);
    assert_eq!(fixture.history(4, 10), []);
}

fn totals_grow_over_batches<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let mut before = record("r", "free", None, 1);
    fixture.started.commit([plan(1, [create(1, &before)])]);
    for number in 2..=11 {
        let after = record("r", if number % 2 == 0 { "busy" } else { "free" }, None, number);
        fixture.started.commit([plan(number, [change(1, &after, Some(&before), number - 1)])]);
        before = after;
    }
    fixture.started.commit([plan(12, [touch(1, &before)])]);
    fixture.reopened(|found| {
        let total = |state: &str, total| (("t".to_owned(), state.to_owned()), total);
        assert_eq!(found.totals, [total("free", 6), total("busy", 5)].into());
    });
}

fn highest_numbers_survive_deletion<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let only = record("r", "free", None, 40);
    fixture.started.commit([plan(1, [create(1, &only), Write::PutPlace(place(17)), Write::PutPlace(place(3))])]);
    fixture.started.commit([plan(2, [delete(1, &only, 41), Write::DeletePlace(17)])]);
    fixture.reopened(|found| {
        assert!(found.resources.is_empty());
        assert_eq!((found.sequence, found.place_number), (41, 17));
    });
}

fn close_writes_and_reports_what_was_submitted<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let plans = (1..=5_000_u32).map(|number| {
        plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
    });
    fixture.started.submit(plans);
    fixture.started.store.close().unwrap();
    let events = fixture.started.log.events();
    for number in 1..=5_000 {
        assert_eq!(fates(&events, id(number)), [Fate::Committed]);
    }
    fixture.reopened(|found| assert_eq!(found.resources.len(), 5_000));
}

fn close_may_be_repeated<K: Kind>() {
    let fixture = Fixture::<K>::new();
    fixture.started.store.close().unwrap();
    fixture.started.store.close().unwrap();
}

fn odd_text_is_kept_as_it_is<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let texts = ["", "'", "\"; DROP TABLE resource; --", "a\0b", "\u{1}\n\r\t", "Ünïcödé \u{1F600}", "NULL"];
    let mut expected = Contents::default();
    for (index, text) in texts.into_iter().enumerate() {
        let key = u32::try_from(index).unwrap();
        let mut odd = record(&format!("{index}{text}"), text, Some(&format!("o{text}")), u64::from(key) + 1);
        odd.resource.user_data = user_data(&[(&format!("k{text}"), &format!("v{text}"))]);
        let mut waits = place(u64::from(key) + 1);
        waits.request_id = text.to_owned();
        fixture.started.commit([plan(u64::from(key) + 1, [create(key, &odd), Write::PutPlace(waits.clone())])]);
        assert_eq!(fixture.history(u64::from(key) + 1, 1)[0].to.as_ref().unwrap().0.as_str(), text);
        expected.resources.insert(key, odd);
        expected.places.insert(waits.number, waits);
    }
    fixture.reopened(|found| {
        assert_eq!(found.resources, expected.resources);
        assert_eq!(found.places, expected.places);
    });
}
