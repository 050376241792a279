//! Stores of every format that was ever written can be opened.

use std::{fs, path::Path};

use boskos_core::ranch::plan::Write;
use boskos_server::store::{Store as _, sqlite::check_store};

use crate::store_support::{
    Started, as_after_crash, change, contents, create, delete, lifecycle, open, place, plan, record, sqlite, touch,
    user_data,
};

const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-v1/boskos.db");
const V2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-v2/boskos.db");

/// Writes what `tests/data/store-v1` and the later ones hold. They were made with this and must never be made anew:
/// they stand for the files out there. A later format gets a directory of its own, made by
/// `STORE_FIXTURE=DIR cargo test -p boskos-server --test server_it store_format`.
fn fill(started: &Started) {
    let free = record("static-1", "free", None, 1);
    let mut busy = record("static-1", "busy", Some("job 17"), 4);
    let gone = record("gone", "tombstone", None, 2);
    let mut dynamic = record("dynamic-1", "cleaning", Some("cleaner"), 3);
    dynamic.leaving = true;
    dynamic.resource.expiration = Some(boskos_core::WallTime::from_nanos(1_700_000_000_000_000_000));
    started.commit([plan(1, [create(0, &free), create(1, &gone), create(2, &dynamic)])]);
    started.commit([plan(2, [change(0, &busy, Some(&free), 1)])]);
    busy.sequence = 5;
    busy.resource.user_data = user_data(&[("a", "1"), ("b", "<\u{e9}>")]);
    started.commit([plan(3, [touch(0, &busy)])]);
    started.commit([plan(4, [delete(1, &gone, 6), Write::PutPlace(place(8)), Write::PutPlace(place(9))])]);
    started.commit([plan(5, [Write::DeletePlace(9), Write::PutLifecycle(Box::new(lifecycle("t", true)))])]);
}

/// [`fill`], and a move that its resource's own row does not tell yet.
fn fill_and_move(started: &Started) {
    fill(started);
    let before = contents(&*started.store).resources.remove(&2).unwrap();
    let mut tombstone = before.clone();
    (tombstone.sequence, tombstone.last_transition) = (7, 7);
    tombstone.resource.state = "tombstone".into();
    tombstone.resource.owner = None;
    tombstone.resource.last_update = boskos_core::WallTime::from_nanos(7);
    tombstone.leaving = false;
    started.commit([plan(6, [change(2, &tombstone, Some(&before), 3)])]);
}

/// The same store as a crash leaves it, with everything in its one file.
fn left_by_a_crash(dir: &Path) {
    let running = tempfile::tempdir().unwrap();
    let started = sqlite(running.path());
    fill_and_move(&started);
    let crashed = as_after_crash(running.path());
    let file = crashed.path().join("boskos.db");
    let tool = rusqlite::Connection::open(&file).unwrap();
    tool.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(tool);
    fs::create_dir_all(dir).unwrap();
    fs::copy(file, dir.join("boskos.db")).unwrap();
}

fn copied(fixture: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture, dir.path().join("boskos.db")).unwrap();
    dir
}

#[test]
fn format_1_is_read_and_written_on() {
    is_read_and_written_on(V1, 1, fill, 6);
}

#[test]
fn format_2_is_read_and_written_on() {
    let moved = "SELECT count(*) FROM history JOIN resource USING (key) WHERE history.id > last_transition";
    let file = copied(V2);
    let file = rusqlite::Connection::open(file.path().join("boskos.db")).unwrap();
    let moved: u32 = file.query_row(moved, [], |row| row.get(0)).unwrap();
    assert!(moved > 0, "the fixture was left by a crash");
    is_read_and_written_on(V2, 2, fill_and_move, 7);
}

fn is_read_and_written_on(fixture: &str, format: u32, fill: fn(&Started), last: u64) {
    let dir = copied(fixture);
    let report = check_store(dir.path()).unwrap();
    assert!(report.is_sound() && report.format == format, "{report}");
    let opened = open(dir.path());
    assert!(!opened.created);
    let found = contents(&opened.store);

    let fresh = tempfile::tempdir().unwrap();
    let started = sqlite(fresh.path());
    fill(&started);
    assert_eq!(found, contents(&*started.store));
    assert_eq!((found.resources.len(), found.sequence, found.place_number), (2, last, 9));
    for newest in [4, 6, 3, last] {
        let rows = opened.store.history(newest, 10).unwrap();
        assert!(!rows.is_empty());
        assert_eq!(rows, started.store.history(newest, 10).unwrap());
    }

    let started = Started::new(std::sync::Arc::new(opened.store));
    started.commit([plan(1, [create(1, &record("new", "free", None, 8))])]);
    started.store.close().unwrap();
    assert_eq!(crate::store_support::contents_in(dir.path()).resources.len(), 3);
}

#[test]
fn fixture_is_made_on_request() {
    // Without a request it is made all the same, so that making it stays possible.
    let scratch = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("STORE_FIXTURE").map_or_else(|| scratch.path().join("fixture"), Into::into);
    left_by_a_crash(&dir);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, [Path::new("boskos.db")]);
}
