//! Stores of every format that was ever written can be opened.

use std::{fs, path::Path};

use boskos_core::ranch::plan::Write;
use boskos_server::store::{Store as _, sqlite::check_store};

use crate::store_support::{
    Started, change, contents, create, delete, lifecycle, open, place, plan, record, sqlite, touch, user_data,
};

const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-v1/boskos.db");

/// Writes what `tests/data/store-v1` holds. That was made with this and must never be made anew:
/// it stands for the files out there. A later format gets a directory of its own, made by
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

fn copied(fixture: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture, dir.path().join("boskos.db")).unwrap();
    dir
}

#[test]
fn format_1_is_read_and_written_on() {
    let dir = copied(V1);
    let report = check_store(dir.path()).unwrap();
    assert!(report.is_sound() && report.format == 1, "{report}");
    let opened = open(dir.path());
    assert!(!opened.created);
    let found = contents(&opened.store);

    let fresh = tempfile::tempdir().unwrap();
    let started = sqlite(fresh.path());
    fill(&started);
    assert_eq!(found, contents(&*started.store));
    assert_eq!((found.resources.len(), found.sequence, found.place_number), (2, 6, 9));
    for newest in [4, 6, 3] {
        let rows = opened.store.history(newest, 10).unwrap();
        assert!(!rows.is_empty());
        assert_eq!(rows, started.store.history(newest, 10).unwrap());
    }

    let started = Started::new(std::sync::Arc::new(opened.store));
    started.commit([plan(1, [create(1, &record("new", "free", None, 7))])]);
    started.store.close().unwrap();
    assert_eq!(crate::store_support::contents_in(dir.path()).resources.len(), 3);
}

#[test]
fn fixture_is_made_on_request() {
    // Without a request it is made all the same, so that making it stays possible.
    let scratch = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("STORE_FIXTURE").map_or_else(|| scratch.path().join("fixture"), Into::into);
    let started = sqlite(&dir);
    fill(&started);
    started.store.close().unwrap();
    fs::remove_file(dir.join("boskos.lock")).unwrap();
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, [Path::new("boskos.db")]);
}
