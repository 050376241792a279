//! The embedded store when it cannot write: who is told what, and how it finds its way back.

use std::{collections::VecDeque, path::Path, sync::Arc};

use boskos_server::store::{
    SqliteStore,
    sqlite::{Disturbance, Moment, SqliteOptions},
};
use parking_lot::Mutex;
use rusqlite::{Connection, ffi};

use crate::store_support::{
    Event, Fate, Started, as_after_crash, contents_in, create, fates, id, options, plan, record,
};

type Act = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// Does what it was told at each moment that was named, once each, in that order.
#[derive(Default)]
struct Script(Mutex<VecDeque<(Moment, Act)>>);

impl Script {
    fn then(&self, moment: Moment, act: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static) -> &Self {
        self.0.lock().push_back((moment, Box::new(act)));
        self
    }

    fn fail(&self, moment: Moment, code: i32) -> &Self {
        self.then(moment, move |_| Err(failure(code)))
    }
}

impl Disturbance for Script {
    fn at(&self, moment: Moment, connection: &Connection) -> rusqlite::Result<()> {
        let mut script = self.0.lock();
        match script.front() {
            Some((next, _)) if *next == moment => {}
            Some(_) | None => return Ok(()),
        }
        let (_, mut act) = script.pop_front().unwrap();
        drop(script);
        act(connection)
    }
}

fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

fn disturbed(dir: &Path) -> (Started, Arc<Script>) {
    let script = Arc::new(Script::default());
    let opened = SqliteStore::open_disturbed(options(dir), script.clone()).unwrap();
    (Started::new(Arc::new(opened.store)), script)
}

fn add(number: u32) -> boskos_core::ranch::plan::Plan {
    plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
}

fn resumed(events: &[Event]) -> bool {
    events.contains(&Event::Resumed)
}

fn position(events: &[Event], wanted: impl Fn(&Event) -> bool) -> usize {
    events.iter().position(wanted).unwrap_or_else(|| panic!("not in {events:?}"))
}

fn keys(dir: &Path) -> Vec<u32> {
    contents_in(dir).resources.into_keys().collect()
}

#[test]
fn full_disk_halts_before_the_failed_plans_are_reported_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    started.commit([add(1)]);
    // SQLite itself finds no room for one more page, and again at the first try after that.
    script
        .then(Moment::Begin, |connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        })
        .fail(Moment::Reopen, ffi::SQLITE_FULL);
    let many = (100..2_000_u32).map(|number| create(number, &record(&format!("r{number}"), "free", None, 2)));
    started.submit([plan(2, many.take(500).enumerate().map(|(index, write)| renumbered(write, index)))]);
    assert_eq!(started.log.fates(id(2), 1), [Fate::NotWritten]);
    let events = started.log.wait(resumed);
    let halted = position(&events, |event| matches!(event, Event::Halted(why) if why.contains("full")));
    let told = position(&events, |event| *event == Event::Settled(id(2), Fate::NotWritten));
    assert!(halted < told && told < position(&events, |event| *event == Event::Resumed), "{events:?}");
    assert_eq!(keys(as_after_crash(dir.path()).path()), [1]);
    started.commit([add(3)]);
    started.store.close().unwrap();
    assert_eq!(keys(dir.path()), [1, 3]);
    assert_eq!(contents_in(dir.path()).totals.values().sum::<u64>(), 2);
}

/// Gives each transition of a large plan a number of its own.
fn renumbered(mut write: boskos_core::ranch::plan::Write, index: usize) -> boskos_core::ranch::plan::Write {
    if let boskos_core::ranch::plan::Write::Put(put) = &mut write {
        put.transition.as_mut().unwrap().id = 1_000 + index as u64;
    }
    write
}

#[test]
fn plans_that_come_while_nothing_can_be_written_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    script.fail(Moment::Begin, ffi::SQLITE_IOERR_WRITE).then(Moment::Reopen, move |_| {
        wait.recv().unwrap();
        Ok(())
    });
    started.submit([add(1)]);
    assert_eq!(started.log.fates(id(1), 1), [Fate::NotWritten]);
    started.submit([add(2), add(3)]);
    let events = started.log.events();
    assert_eq!((fates(&events, id(2)), fates(&events, id(3))), (vec![Fate::NotWritten], vec![Fate::NotWritten]));
    assert!(!resumed(&events));
    go.send(()).unwrap();
    started.log.wait(resumed);
    started.commit([add(4)]);
    started.store.close().unwrap();
    assert_eq!(keys(dir.path()), [4]);
}

#[test]
fn plans_that_are_queued_when_writing_fails_are_refused_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    let (entered, at) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    script.then(Moment::Commit, move |_| {
        entered.send(()).unwrap();
        wait.recv().unwrap();
        Err(failure(ffi::SQLITE_FULL))
    });
    started.submit([add(1)]);
    at.recv().unwrap();
    started.submit([add(2)]);
    go.send(()).unwrap();
    let events = started.log.wait(resumed);
    assert_eq!((fates(&events, id(1)), fates(&events, id(2))), (vec![Fate::NotWritten], vec![Fate::NotWritten]));
    started.store.close().unwrap();
    assert!(keys(dir.path()).is_empty());
}

#[test]
fn failed_sync_of_what_was_written_ends_in_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    started.commit([add(1)]);
    script.fail(Moment::Committed, ffi::SQLITE_IOERR_FSYNC);
    started.submit([add(2)]);
    assert_eq!(started.log.fates(id(2), 2), [Fate::Unknown, Fate::Committed]);
    let events = started.log.wait(resumed);
    let halted = position(&events, |event| matches!(event, Event::Halted(_)));
    let unknown = position(&events, |event| *event == Event::Settled(id(2), Fate::Unknown));
    let known = position(&events, |event| *event == Event::Settled(id(2), Fate::Committed));
    let resumed = position(&events, |event| *event == Event::Resumed);
    assert!(halted < unknown && unknown < known && known < resumed, "{events:?}");
    assert_eq!(keys(as_after_crash(dir.path()).path()), [1, 2]);
    started.commit([add(3)]);
    started.store.close().unwrap();
    assert_eq!(keys(dir.path()), [1, 2, 3]);
    assert_eq!(contents_in(dir.path()).totals.values().sum::<u64>(), 3);
}

#[test]
fn failed_sync_of_what_was_not_written_ends_in_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    started.commit([add(1)]);
    script.fail(Moment::Commit, ffi::SQLITE_IOERR_FSYNC);
    started.submit([add(2)]);
    assert_eq!(started.log.fates(id(2), 2), [Fate::Unknown, Fate::NotWritten]);
    started.log.wait(resumed);
    assert_eq!(keys(as_after_crash(dir.path()).path()), [1]);
    started.store.close().unwrap();
    assert_eq!(keys(dir.path()), [1]);
}

#[test]
fn truth_is_sought_until_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    script
        .fail(Moment::Committed, ffi::SQLITE_IOERR_FSYNC)
        .fail(Moment::Reopen, ffi::SQLITE_IOERR_READ)
        .fail(Moment::Reopen, ffi::SQLITE_CANTOPEN);
    started.submit([add(1)]);
    assert_eq!(started.log.fates(id(1), 2), [Fate::Unknown, Fate::Committed]);
    started.log.wait(resumed);
    assert!(script.0.lock().is_empty());
}

#[test]
fn every_kind_of_write_is_recognized_when_the_truth_is_sought() {
    use boskos_core::ranch::plan::Write;

    use crate::store_support::{change, delete, lifecycle, place, touch};
    let (free, busy) = (record("r1", "free", None, 1), record("r1", "busy", Some("me"), 7));
    let mut beat = busy.clone();
    beat.sequence = 8;
    let two = record("r2", "free", None, 2);
    let batches: [Vec<Write>; 5] = [
        vec![change(1, &busy, Some(&free), 1)],
        vec![touch(1, &beat)],
        vec![delete(2, &two, 9)],
        vec![Write::PutPlace(place(2)), Write::DeletePlace(1), Write::PutPlace(place(3)), Write::DeletePlace(3)],
        vec![Write::PutLifecycle(Box::new(lifecycle("a", true))), Write::DeleteLifecycle("b".into())],
    ];
    for (moment, fate) in [(Moment::Commit, Fate::NotWritten), (Moment::Committed, Fate::Committed)] {
        let dir = tempfile::tempdir().unwrap();
        let (started, script) = disturbed(dir.path());
        let start = [
            create(1, &free),
            create(2, &two),
            Write::PutPlace(place(1)),
            Write::PutLifecycle(Box::new(lifecycle("a", false))),
            Write::PutLifecycle(Box::new(lifecycle("b", false))),
        ];
        started.commit([plan(1, start)]);
        for (number, writes) in (2..).zip(batches.clone()) {
            script.fail(moment, ffi::SQLITE_IOERR_FSYNC);
            started.submit([plan(number, writes)]);
            assert_eq!(started.log.fates(id(number), 2), [Fate::Unknown, fate], "plan {number}");
            started
                .log
                .wait(|events| events.iter().filter(|event| **event == Event::Resumed).count() as u64 == number - 1);
        }
    }
}

#[test]
fn close_while_nothing_can_be_written_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (started, script) = disturbed(dir.path());
    script.fail(Moment::Committed, ffi::SQLITE_IOERR_FSYNC);
    for _ in 0..100 {
        script.fail(Moment::Reopen, ffi::SQLITE_CANTOPEN);
    }
    started.submit([add(1)]);
    started.log.fates(id(1), 1);
    started.store.close().unwrap_err();
    assert_eq!(fates(&started.log.events(), id(1)), [Fate::Unknown]);
    assert_eq!(keys(dir.path()), [1]);
}

#[test]
fn close_takes_no_more_plans() {
    let dir = tempfile::tempdir().unwrap();
    let (started, _) = disturbed(dir.path());
    started.store.close().unwrap();
    started.submit([add(1)]);
    assert_eq!(fates(&started.log.events(), id(1)), [Fate::NotWritten]);
    assert!(keys(dir.path()).is_empty());
}

#[test]
fn write_lock_of_an_operators_tool_halts_until_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (started, _) = disturbed(dir.path());
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    tool.execute_batch("BEGIN IMMEDIATE").unwrap();
    started.submit([add(1)]);
    assert_eq!(started.log.fates(id(1), 1), [Fate::NotWritten]);
    tool.execute_batch("ROLLBACK").unwrap();
    started.log.wait(resumed);
    started.commit([add(2)]);
}

#[test]
fn history_is_trimmed_oldest_first() {
    for (rows, kept) in [(0, 0..0), (10, 91..101), (1_000, 1..101)] {
        let dir = tempfile::tempdir().unwrap();
        let opened = SqliteStore::open(SqliteOptions { history_rows: rows, ..options(dir.path()) }).unwrap();
        let started = Started::new(Arc::new(opened.store));
        for number in 1..=100 {
            started.commit([add(number)]);
        }
        for number in 1..=100_u64 {
            let found = started.store.history(number, 10).unwrap();
            assert_eq!(found.len(), usize::from(kept.contains(&number)), "row {number} of {rows}");
        }
    }
}

#[test]
fn shorter_history_is_cut_back_bite_by_bite() {
    let dir = tempfile::tempdir().unwrap();
    let longer = SqliteStore::open(SqliteOptions { history_rows: 10_000, ..options(dir.path()) }).unwrap();
    let started = Started::new(Arc::new(longer.store));
    started.commit((1..=3_500).map(add));
    drop(started);
    let shorter = SqliteStore::open(SqliteOptions { history_rows: 5, ..options(dir.path()) }).unwrap();
    let started = Started::new(Arc::new(shorter.store));
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    let mut counts = Vec::new();
    for number in 3_501..=3_505 {
        started.commit([add(number)]);
        counts.push(tool.query_row("SELECT count(*) FROM history", [], |row| row.get::<_, i64>(0)).unwrap());
    }
    assert_eq!(counts, [2_501, 1_502, 503, 5, 5]);
    assert_eq!(started.store.history(3_505, 1).unwrap().len(), 1);
}
