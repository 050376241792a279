//! Damaged stores are refused with what is wrong and the way out, and left as they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use boskos_core::ranch::plan::Write;
use boskos_server::store::{
    SqliteStore, Store as _, StoreError,
    sqlite::{Problem, SqliteError, check_store},
};

use crate::store_support::{
    Contents, as_after_crash, contents_in, create, lifecycle, options, place, plan, record, sqlite, user_data,
};

/// Enough for several pages in each large table.
const RESOURCES: u32 = 300;

/// A closed store with something in every table; its file.
fn store() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    started.commit((1..=RESOURCES).map(|number| {
        let mut new = record(&format!("resource-{number}"), "free", None, number.into());
        new.resource.user_data = user_data(&[("key", &format!("secret-{number}"))]);
        plan(number.into(), [create(number, &new)])
    }));
    started
        .commit([plan(1_000, [Write::PutPlace(place(5)), Write::PutLifecycle(Box::new(lifecycle("dynamic", false)))])]);
    started.commit([plan(1_001, [Write::PutPlace(place(9)), Write::DeletePlace(9)])]);
    started.store.close().unwrap();
    let file = dir.path().join("boskos.db");
    (dir, file)
}

/// What the server says to the store in `dir`, which must stay as it is.
fn refusal(dir: &Path) -> SqliteError {
    let file = dir.join("boskos.db");
    let before = fs::read(&file).unwrap();
    let refused = SqliteStore::open(options(dir)).map_err(StoreError::from).and_then(|opened| {
        opened.store.load(&mut Contents::default())?;
        Ok(opened)
    });
    let StoreError::Sqlite(error) = refused.map(drop).expect_err("the store is damaged") else { unreachable!() };
    assert_eq!(fs::read(&file).unwrap(), before, "the file was changed");
    let text = error.to_string();
    assert!(text.contains(file.to_str().unwrap()) && !text.contains('\n'), "{text}");
    assert!(!text.contains("secret"), "{text}");
    error
}

fn assert_names_the_way_out(error: &SqliteError) {
    let text = error.to_string();
    assert!(text.contains("boskos-server restore") && text.contains("left as it is"), "{text}");
}

/// Overwrites the only place where `old` is found.
fn overwrite(file: &Path, old: &[u8], new: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let found: Vec<_> = bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).collect();
    let [(at, _)] = found[..] else { panic!("found {} times", found.len()) };
    bytes[at..at + new.len()].copy_from_slice(new);
    fs::write(file, bytes).unwrap();
}

#[test]
fn sound_store_is_found_sound() {
    let (dir, _) = store();
    let report = check_store(dir.path()).unwrap();
    assert!(report.is_sound(), "{report}");
    let counts = (report.format, report.resources, report.lifecycles, report.places, report.history, report.totals);
    assert_eq!(counts, (2, u64::from(RESOURCES), 1, 1, u64::from(RESOURCES), 1));
    assert!(report.to_string().starts_with("sound: format 2, 300 resources"), "{report}");
    assert_eq!(contents_in(dir.path()).resources.len(), RESOURCES as usize);
}

#[test]
fn file_of_0_bytes_is_refused() {
    let (dir, file) = store();
    fs::write(&file, "").unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, SqliteError::Empty { .. }), "{error}");
    assert_names_the_way_out(&error);
    assert!(matches!(check_store(dir.path()), Err(SqliteError::Empty { .. })));
}

#[test]
fn file_cut_in_half_is_refused() {
    let (dir, file) = store();
    let mut bytes = fs::read(&file).unwrap();
    let whole = bytes.len() as u64;
    bytes.truncate(bytes.len() / 2);
    fs::write(&file, &bytes).unwrap();
    let error = refusal(dir.path());
    let has_half = matches!(error, SqliteError::Cut { has, needs, .. } if needs == whole && has == whole / 2);
    assert!(has_half, "{error}");
    assert_names_the_way_out(&error);
    assert!(matches!(check_store(dir.path()), Err(SqliteError::Cut { .. })));
}

#[test]
fn file_cut_within_its_header_is_refused() {
    let (dir, file) = store();
    fs::write(&file, &fs::read(&file).unwrap()[..50]).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, SqliteError::NotSqlite { .. }), "{error}");
    assert_names_the_way_out(&error);
}

#[test]
fn file_that_is_not_sqlite_is_refused() {
    let (dir, file) = store();
    fs::write(&file, "all my resources\n".repeat(1_000)).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, SqliteError::NotSqlite { .. }), "{error}");
    assert!(matches!(check_store(dir.path()), Err(SqliteError::NotSqlite { .. })));
}

#[test]
fn other_programs_file_is_refused() {
    for application in [0, 0x0f05_5112] {
        let (dir, file) = store();
        fs::remove_file(&file).unwrap();
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("CREATE TABLE resource (key INTEGER PRIMARY KEY, name TEXT)").unwrap();
        other.pragma_update(None, "application_id", application).unwrap();
        other.pragma_update(None, "user_version", 1).unwrap();
        drop(other);
        let error = refusal(dir.path());
        assert!(matches!(error, SqliteError::OtherProgram { found, .. } if found == application), "{error}");
        assert!(error.to_string().contains("move it away"), "{error}");
    }
}

#[test]
fn each_zeroed_page_is_refused() {
    let (dir, file) = store();
    let whole = fs::read(&file).unwrap();
    let pages = whole.len() / 4_096;
    assert!(pages > 10, "{pages}");
    for page in 0..pages {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0);
        fs::write(&file, bytes).unwrap();
        let error = refusal(dir.path());
        assert_names_the_way_out(&error);
        match check_store(dir.path()) {
            Ok(report) => assert!(!report.is_sound(), "page {page}"),
            Err(SqliteError::NotSqlite { .. } | SqliteError::Damaged { .. }) => {}
            Err(other) => panic!("page {page}: {other}"),
        }
    }
}

#[test]
fn flipped_byte_in_a_row_is_refused_by_table_and_key() {
    // Texts that occur in one row only, and where.
    for (old, new, table, key) in [
        (&b"secret-123"[..], &b"sesret-123"[..], "resource", "123"),
        (b"request 5", b"request 6", "place", "5"),
        (b"\"min-count\":1", b"\"min-count\":2", "lifecycle", "dynamic"),
    ] {
        let (dir, file) = store();
        overwrite(&file, old, new);
        let error = refusal(dir.path());
        let SqliteError::DamagedRow { table: in_table, key: in_row, .. } = &error else { panic!("{error}") };
        assert_eq!(*in_table, table);
        assert!(in_row.contains(key), "{error}");
        assert_names_the_way_out(&error);
        let report = check_store(dir.path()).unwrap();
        assert!(
            matches!(&report.problems[..], [Problem::Row { table: found, key: row, .. }] if *found == table && row.contains(key)),
            "{report}"
        );
    }
}

#[test]
fn changed_column_of_any_kind_in_any_table_is_refused() {
    for (change, table) in [
        ("UPDATE resource SET updated = updated + 1 WHERE key = 7", "resource"),
        ("UPDATE resource SET owner = '' WHERE key = 7", "resource"),
        ("UPDATE resource SET expires = 0 WHERE key = 7", "resource"),
        ("UPDATE resource SET key = 100000 WHERE key = 7", "resource"),
        ("UPDATE resource SET key = -1 WHERE key = 7", "resource"),
        ("UPDATE resource SET leaving = 1 WHERE key = 7", "resource"),
        ("UPDATE resource SET name = type, type = name WHERE key = 7", "resource"),
        ("UPDATE lifecycle SET draining = 1", "lifecycle"),
        ("UPDATE place SET joined = 0", "place"),
        ("UPDATE total SET count = count + 1", "total"),
        ("UPDATE history SET previous = 1 WHERE id = 7", "history"),
        ("UPDATE history SET to_owner = 'x' WHERE id = 7", "history"),
        ("UPDATE mark SET value = value + 1", "mark"),
    ] {
        let (dir, file) = store();
        rusqlite::Connection::open(&file).unwrap().execute(change, []).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, SqliteError::DamagedRow { table: found, .. } if found == table), "{change}: {error}");
        assert!(!check_store(dir.path()).unwrap().is_sound(), "{change}");
    }
}

#[test]
fn missing_rows_are_noticed() {
    let (dir, file) = store();
    rusqlite::Connection::open(&file).unwrap().execute("DELETE FROM resource WHERE key = 7", []).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, SqliteError::RowsMissing { has: 299, needs: 300, .. }), "{error}");
    let report = check_store(dir.path()).unwrap();
    assert_eq!(report.problems, [Problem::Missing { has: 299, needs: 300 }]);
}

#[test]
fn missing_table_is_refused() {
    for table in ["resource", "lifecycle", "place", "total", "history", "mark"] {
        let (dir, file) = store();
        let tool = rusqlite::Connection::open(&file).unwrap();
        tool.execute_batch(&format!("DROP VIEW resources; DROP VIEW transitions; DROP TABLE {table}")).unwrap();
        drop(tool);
        let error = refusal(dir.path());
        assert!(matches!(&error, SqliteError::Damaged { what, .. } if what.contains(table)), "{error}");
    }
}

#[test]
fn two_resources_of_one_name_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let twin = |sequence| record("twin", "free", None, sequence);
    started.commit([plan(1, [create(1, &twin(1)), create(2, &twin(2))])]);
    started.store.close().unwrap();
    let report = check_store(dir.path()).unwrap();
    assert_eq!(report.problems, [Problem::Twice { name: "twin".to_owned() }]);
}

#[test]
fn all_damaged_rows_are_listed_up_to_a_limit() {
    let (dir, file) = store();
    rusqlite::Connection::open(&file).unwrap().execute("UPDATE resource SET sequence = 0", []).unwrap();
    let report = check_store(dir.path()).unwrap();
    assert_eq!((report.problems.len(), report.more), (100, 200));
    assert!(report.to_string().contains("and 200 more"), "{report}");
}

#[test]
fn damaged_history_row_is_not_shown() {
    let (dir, file) = store();
    let opened = SqliteStore::open(options(dir.path())).unwrap();
    let tool = rusqlite::Connection::open(&file).unwrap();
    tool.execute("UPDATE history SET name = 'other' WHERE id = 7", []).unwrap();
    let StoreError::Sqlite(error) = opened.store.history(7, 10).unwrap_err() else { unreachable!() };
    assert!(matches!(&error, SqliteError::DamagedRow { table: "history", key, .. } if key == "7"), "{error}");
    assert_eq!(opened.store.history(8, 10).unwrap().len(), 1);
}

#[test]
fn torn_end_of_the_log_is_what_a_crash_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    started.commit([plan(1, [create(1, &record("kept", "free", None, 1))])]);
    let synced = fs::metadata(dir.path().join("boskos.db-wal")).unwrap().len();
    started.commit([plan(2, [create(2, &record("torn", "free", None, 2))])]);
    let whole = fs::read(dir.path().join("boskos.db-wal")).unwrap();
    for end in [synced + 1, synced + 2_000, whole.len() as u64 - 1] {
        let crashed = as_after_crash(dir.path());
        let log = crashed.path().join("boskos.db-wal");
        fs::write(&log, &whole[..usize::try_from(end).unwrap()]).unwrap();
        let found = contents_in(crashed.path());
        assert_eq!(found.resources.keys().copied().collect::<Vec<_>>(), [1], "cut at {end}");
    }
    let crashed = as_after_crash(dir.path());
    let mut garbled = whole.clone();
    garbled.extend_from_slice(&[0xa5; 5_000]);
    fs::write(crashed.path().join("boskos.db-wal"), garbled).unwrap();
    assert_eq!(contents_in(crashed.path()).resources.len(), 2);
}

#[test]
fn damage_in_the_midst_of_the_log_is_not_taken_for_its_end() {
    const FRAME: usize = 24 + 4_096;
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let mut ends = Vec::new();
    for number in 1..=4_u32 {
        started.commit([plan(
            number.into(),
            [create(number, &record(&format!("r{number}"), "free", None, number.into()))],
        )]);
        ends.push(usize::try_from(fs::metadata(dir.path().join("boskos.db-wal")).unwrap().len()).unwrap());
    }
    let whole = fs::read(dir.path().join("boskos.db-wal")).unwrap();
    assert_eq!((whole.len() - 32) % FRAME, 0);
    for at in (25..whole.len()).step_by(501) {
        let crashed = as_after_crash(dir.path());
        let log = crashed.path().join("boskos.db-wal");
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&log, &flipped).unwrap();
        let opened = SqliteStore::open(options(crashed.path()));
        if at < ends[2] {
            // At least one later commit has synced what is damaged.
            let error = opened.unwrap_err();
            let frame = if at < 32 { 0 } else { (at - 32) / FRAME + 1 };
            assert!(
                matches!(&error, SqliteError::DamagedLog { frame: found, .. } if *found == frame as u64),
                "{at}: {error}"
            );
            assert_eq!(fs::read(&log).unwrap(), flipped);
        } else {
            // As if the last commit had not been finished.
            drop(opened.unwrap());
            assert_eq!(contents_in(crashed.path()).resources.len(), 3, "{at}");
        }
    }
}

#[test]
fn leftovers_of_an_older_log_are_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    started.commit((1..=200).map(|number| {
        plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
    }));
    // From here on the log is written from its beginning again.
    let tool = rusqlite::Connection::open(dir.path().join("boskos.db")).unwrap();
    let moved: (i64, i64) =
        tool.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| Ok((row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(moved.0, moved.1);
    started.commit([plan(300, [create(300, &record("late", "free", None, 300))])]);
    let crashed = as_after_crash(dir.path());
    assert_eq!(contents_in(crashed.path()).resources.len(), 201);
}
