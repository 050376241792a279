//! What every store guarantees, whatever kind it is of.

use std::{path::Path, sync::Arc};

use boskos_core::{
    Owner, State, WallTime,
    ranch::plan::{PlaceNumber, PlaceRecord, Record, Sequence, Write},
};
use boskos_server::store::{HistoryRow, Store};

use crate::store_support::{
    Contents, Event, Fate, Started, change, contents, create, delete, fates, id, lifecycle, place, plan, record, touch,
    user_data,
};

/// Makes stores of one kind.
pub(crate) trait Kind {
    /// Whether what was written is found when the store is opened again.
    const LASTS: bool = true;

    /// How many resources are many.
    const MANY: u32 = 10_000;

    fn open(dir: &Path) -> Arc<dyn Store>;

    /// What is found again of what was written.
    fn kept(_contents: &mut Contents) {}

    /// A resource's name that holds `text`, as far as names may.
    fn name(index: usize, text: &str) -> String {
        format!("{index}{text}")
    }
}

fn kept<K: Kind>(mut contents: Contents) -> Contents {
    K::kept(&mut contents);
    contents
}

fn kept_resources<K: Kind>(
    resources: impl IntoIterator<Item = (u32, Record)>,
) -> std::collections::BTreeMap<u32, Record> {
    kept::<K>(Contents { resources: resources.into_iter().collect(), ..Contents::default() }).resources
}

fn kept_places<K: Kind>(
    places: impl IntoIterator<Item = (PlaceNumber, PlaceRecord)>,
) -> std::collections::BTreeMap<PlaceNumber, PlaceRecord> {
    kept::<K>(Contents { places: places.into_iter().collect(), ..Contents::default() }).places
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
            check(kept::<K>(contents(&*K::open(self.dir.path()))));
        }
    }

    /// Closes the store and opens it again, if it lasts.
    fn restarted(self) -> Self {
        if !K::LASTS {
            return self;
        }
        let Self { started, dir, kind } = self;
        started.store.close().unwrap();
        drop(started);
        let store = K::open(dir.path());
        contents(&*store);
        Self { started: Started::new(store), dir, kind }
    }

    fn history(&self, newest: Sequence, limit: usize) -> Vec<HistoryRow> {
        self.started.store.history(newest, limit).unwrap()
    }
}

/// Every claim, on each of these kinds.
macro_rules! claims_hold_on {
    ($($module:ident: $kind:ty),+ $(,)?) => {
        $(mod $module {
            #[allow(unused_imports, reason = "kinds may be named with their paths")]
            use super::*;
            crate::store_claims::claim_each!($kind);
        })+
    };
}

macro_rules! claim_each {
    ($kind:ty) => {
        #[test]
        fn new_store_is_empty() {
            crate::store_claims::new_store_is_empty::<$kind>();
        }
        #[test]
        fn every_plan_gets_exactly_one_outcome() {
            crate::store_claims::every_plan_gets_exactly_one_outcome::<$kind>();
        }
        #[test]
        fn all_of_a_record_is_found_again() {
            crate::store_claims::all_of_a_record_is_found_again::<$kind>();
        }
        #[test]
        fn all_writes_of_a_plan_are_found_again() {
            crate::store_claims::all_writes_of_a_plan_are_found_again::<$kind>();
        }
        #[test]
        fn last_of_several_writes_counts() {
            crate::store_claims::last_of_several_writes_counts::<$kind>();
        }
        #[test]
        fn deleted_things_are_gone() {
            crate::store_claims::deleted_things_are_gone::<$kind>();
        }
        #[test]
        fn key_of_a_deleted_resource_is_used_again() {
            crate::store_claims::key_of_a_deleted_resource_is_used_again::<$kind>();
        }
        #[test]
        fn plans_about_one_resource_are_committed_in_order() {
            crate::store_claims::plans_about_one_resource_are_committed_in_order::<$kind>();
        }
        #[test]
        fn history_is_followed_from_the_newest() {
            crate::store_claims::history_is_followed_from_the_newest::<$kind>();
        }
        #[test]
        fn history_tells_resources_apart() {
            crate::store_claims::history_tells_resources_apart::<$kind>();
        }
        #[test]
        fn history_shows_no_more_than_asked() {
            crate::store_claims::history_shows_no_more_than_asked::<$kind>();
        }
        #[test]
        fn history_of_nothing_is_empty() {
            crate::store_claims::history_of_nothing_is_empty::<$kind>();
        }
        #[test]
        fn totals_grow_over_batches() {
            crate::store_claims::totals_grow_over_batches::<$kind>();
        }
        #[test]
        fn highest_numbers_survive_deletion() {
            crate::store_claims::highest_numbers_survive_deletion::<$kind>();
        }
        #[test]
        fn close_writes_and_reports_what_was_submitted() {
            crate::store_claims::close_writes_and_reports_what_was_submitted::<$kind>();
        }
        #[test]
        fn close_may_be_repeated() {
            crate::store_claims::close_may_be_repeated::<$kind>();
        }
        #[test]
        fn odd_text_is_kept_as_it_is() {
            crate::store_claims::odd_text_is_kept_as_it_is::<$kind>();
        }
    };
}

pub(crate) use {claim_each, claims_hold_on};

pub(crate) fn new_store_is_empty<K: Kind>() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(contents(&*K::open(dir.path())), Contents::default());
}

pub(crate) fn every_plan_gets_exactly_one_outcome<K: Kind>() {
    let plans = K::MANY;
    let fixture = Fixture::<K>::new();
    for first in (1..=plans).step_by(700) {
        let numbers = first..(first + 700).min(plans + 1);
        fixture.started.submit(numbers.map(|number| {
            plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
        }));
    }
    fixture.started.store.close().unwrap();
    let events = fixture.started.log.events();
    assert_eq!(events.len(), plans as usize);
    for number in 1..=plans {
        assert!(events.contains(&Event::Settled(id(number.into()), Fate::Committed)));
    }
    fixture.reopened(|found| assert_eq!(found.resources.len(), plans as usize));
}

pub(crate) fn all_of_a_record_is_found_again<K: Kind>() {
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
        assert_eq!(found.resources, kept_resources::<K>([(0, plain), (u32::MAX, full)]));
        assert_eq!(found.sequence, kept::<K>(Contents { sequence: 9, ..Contents::default() }).sequence);
    });
}

pub(crate) fn all_writes_of_a_plan_are_found_again<K: Kind>() {
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
        assert_eq!(found.resources, kept_resources::<K>([(1, one), (2, two)]));
        assert_eq!(found.places, kept_places::<K>([(3, place(3))]));
        assert_eq!(found.lifecycles, [("active".to_owned(), active), ("draining".to_owned(), draining)].into());
    });
}

pub(crate) fn last_of_several_writes_counts<K: Kind>() {
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
        assert_eq!(found.resources, kept_resources::<K>([(1, third)]));
        assert_eq!(found.lifecycles, [("t".to_owned(), changed)].into());
    });
}

pub(crate) fn deleted_things_are_gone<K: Kind>() {
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
        assert_eq!(found.resources, kept_resources::<K>([(2, kept)]));
        assert_eq!(found.places, kept_places::<K>([(2, place(2))]));
        assert!(found.lifecycles.is_empty());
    });
}

pub(crate) fn key_of_a_deleted_resource_is_used_again<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let (old, new) = (record("old", "free", None, 1), record("new", "dirty", None, 3));
    fixture.started.commit([plan(1, [create(1, &old)])]);
    fixture.started.commit([plan(2, [delete(1, &old, 2)]), plan(3, [create(1, &new)])]);
    let found = fixture.history(3, 10);
    assert_eq!(found.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["new"]);
    fixture.reopened(|found| assert_eq!(found.resources, kept_resources::<K>([(1, new)])));
}

pub(crate) fn plans_about_one_resource_are_committed_in_order<K: Kind>() {
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
    let expected: Vec<_> = (1..=100).map(|number| Event::Settled(id(number), Fate::Committed)).collect();
    assert_eq!(settled, expected);
    fixture.reopened(|found| assert_eq!(found.resources, kept_resources::<K>([(1, before)])));
}

pub(crate) fn history_is_followed_from_the_newest<K: Kind>() {
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

pub(crate) fn history_tells_resources_apart<K: Kind>() {
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

pub(crate) fn history_shows_no_more_than_asked<K: Kind>() {
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

pub(crate) fn history_of_nothing_is_empty<K: Kind>() {
    let fixture = Fixture::<K>::new();
    fixture.started.commit([plan(1, [create(1, &record("r", "free", None, 5))])]);
    assert_eq!(fixture.history(0, 10), []);
    assert_eq!(fixture.history(4, 10), []);
}

pub(crate) fn totals_grow_over_batches<K: Kind>() {
    let mut fixture = Fixture::<K>::new();
    let mut before = record("r", "free", None, 1);
    fixture.started.commit([plan(1, [create(1, &before)])]);
    for number in 2..=11 {
        let after = record("r", if number % 2 == 0 { "busy" } else { "free" }, None, number);
        fixture.started.commit([plan(number, [change(1, &after, Some(&before), number - 1)])]);
        before = after;
        if number == 10 {
            fixture = fixture.restarted();
        }
    }
    fixture.started.commit([plan(12, [touch(1, &before)])]);
    fixture.reopened(|found| {
        let total = |state: &str, total| (("t".to_owned(), state.to_owned()), total);
        let totals = [total("free", 6), total("busy", 5)].into();
        assert_eq!(found.totals, kept::<K>(Contents { totals, ..Contents::default() }).totals);
    });
}

pub(crate) fn highest_numbers_survive_deletion<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let only = record("r", "free", None, 40);
    fixture.started.commit([plan(1, [create(1, &only), Write::PutPlace(place(17)), Write::PutPlace(place(3))])]);
    fixture.started.commit([plan(2, [delete(1, &only, 41), Write::DeletePlace(17)])]);
    fixture.reopened(|found| {
        assert!(found.resources.is_empty());
        let highest = kept::<K>(Contents { sequence: 41, place_number: 17, ..Contents::default() });
        assert_eq!((found.sequence, found.place_number), (highest.sequence, highest.place_number));
    });
}

pub(crate) fn close_writes_and_reports_what_was_submitted<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let count = K::MANY / 2;
    let plans = (1..=count).map(|number| {
        plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
    });
    fixture.started.submit(plans);
    fixture.started.store.close().unwrap();
    let events = fixture.started.log.events();
    for number in 1..=count {
        assert_eq!(fates(&events, id(number.into())), [Fate::Committed]);
    }
    fixture.reopened(|found| assert_eq!(found.resources.len(), count as usize));
}

pub(crate) fn close_may_be_repeated<K: Kind>() {
    let fixture = Fixture::<K>::new();
    fixture.started.store.close().unwrap();
    fixture.started.store.close().unwrap();
}

pub(crate) fn odd_text_is_kept_as_it_is<K: Kind>() {
    let fixture = Fixture::<K>::new();
    let texts = ["", "'", "\"; DROP TABLE resource; --", "a\0b", "\u{1}\n\r\t", "Ünïcödé \u{1F600}", "NULL"];
    let mut expected = Contents::default();
    for (index, text) in texts.into_iter().enumerate() {
        let key = u32::try_from(index).unwrap();
        let mut odd = record(&K::name(index, text), text, Some(&format!("o{text}")), u64::from(key) + 1);
        odd.resource.user_data = user_data(&[(&format!("k{text}"), &format!("v{text}"))]);
        let mut waits = place(u64::from(key) + 1);
        waits.request_id = text.to_owned();
        fixture.started.commit([plan(u64::from(key) + 1, [create(key, &odd), Write::PutPlace(waits.clone())])]);
        assert_eq!(fixture.history(u64::from(key) + 1, 1)[0].to.as_ref().unwrap().0.as_str(), text);
        expected.resources.insert(key, odd);
        expected.places.insert(waits.number, waits);
    }
    fixture.reopened(|found| {
        let expected = kept::<K>(expected);
        assert_eq!(found.resources, expected.resources);
        assert_eq!(found.places, expected.places);
    });
}
