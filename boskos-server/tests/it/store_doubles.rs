//! The doubles do what they are told.

use std::sync::Arc;

use boskos_core::ranch::plan::Foreign;
use boskos_server::store::{MemoryStore, SqliteStore, Store};

use crate::{
    doubles::{Act, Double, Script},
    store_support::{Event, Fate, Started, contents_in, create, fates, id, options, plan, record},
};

fn doubled(store: impl Store) -> (Started, Arc<Script>) {
    let (double, script) = Double::new(store);
    (Started::new(Arc::new(double)), script)
}

fn add(number: u32) -> boskos_core::ranch::plan::Plan {
    plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
}

fn over_every_store(check: impl Fn(Started, Arc<Script>) -> Vec<u32>) {
    let (started, script) = doubled(MemoryStore::default());
    check(started, script);
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = doubled(SqliteStore::open(options(dir.path())).unwrap().store);
    let written = check(started, script);
    assert_eq!(contents_in(dir.path()).resources.into_keys().collect::<Vec<_>>(), written);
}

#[test]
fn failing_store_writes_nothing_of_what_it_fails() {
    over_every_store(|started, script| {
        script.next(Act::Write);
        script.next(Act::Fail);
        started.submit([add(1), add(2), add(3)]);
        let told = [1, 2, 3].map(|number| started.log.fates(id(number), 1));
        assert_eq!(told, [[Fate::Committed], [Fate::NotWritten], [Fate::Committed]]);
        script.always(Act::Fail);
        started.submit([add(4)]);
        assert_eq!(started.log.fates(id(4), 1), [Fate::NotWritten]);
        vec![1, 3]
    });
}

#[test]
fn hanging_store_tells_when_it_is_released() {
    over_every_store(|started, script| {
        script.next(Act::Hold);
        started.submit([add(1)]);
        started.commit([add(2)]);
        // The first was written before the second.
        assert_eq!((fates(&started.log.events(), id(1)), script.held()), (vec![], 1));
        assert_eq!((script.release(), script.release()), (1, 0));
        assert_eq!(started.log.fates(id(1), 1), [Fate::Committed]);
        vec![1, 2]
    });
}

#[test]
fn forgetful_store_tells_the_truth_later() {
    over_every_store(|started, script| {
        script.next(Act::ForgetWritten);
        script.next(Act::ForgetLost);
        started.submit([add(1), add(2)]);
        assert_eq!(
            (started.log.fates(id(1), 1), started.log.fates(id(2), 1)),
            (vec![Fate::Unknown], vec![Fate::Unknown])
        );
        assert_eq!(script.remember(), 2);
        assert_eq!(started.log.fates(id(1), 2), [Fate::Unknown, Fate::Committed]);
        assert_eq!(started.log.fates(id(2), 2), [Fate::Unknown, Fate::NotWritten]);
        vec![1]
    });
}

#[test]
fn conflicting_store_writes_nothing() {
    over_every_store(|started, script| {
        script.next(Act::Conflict(vec![Foreign { name: "r1".into(), now: None, version: 7 }]));
        started.submit([add(1)]);
        assert_eq!(started.log.fates(id(1), 1), [Fate::Conflict]);
        vec![]
    });
}

#[test]
fn halted_double_fails_until_it_resumes() {
    over_every_store(|started, script| {
        let nowhere = std::path::Path::new("/nowhere/at/all");
        let why = boskos_server::store::sqlite::check_store(nowhere).unwrap_err().into();
        script.halt(&why);
        started.submit([add(1)]);
        script.resume();
        started.commit([add(2)]);
        let events = started.log.events();
        assert!(matches!(&events[..3], [Event::Halted(_), Event::Settled(_, Fate::NotWritten), Event::Resumed]));
        vec![2]
    });
}
