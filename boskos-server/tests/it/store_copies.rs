//! Backups, and stores made of them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use boskos_server::store::sqlite::{SqliteError, backup, check_store, restore};

use crate::{
    mount::Mount,
    store_support::{Started, as_after_crash, change, contents_in, create, plan, record, sqlite},
};

fn filled(dir: &std::path::Path) -> Started {
    let started = sqlite(dir);
    started.commit((1..=500_u32).map(|number| {
        plan(number.into(), [create(number, &record(&format!("r{number}"), "free", None, number.into()))])
    }));
    started
}

#[test]
fn backup_of_a_running_server_becomes_the_same_store() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to, restored) = (outer.path().join("data"), outer.path().join("b ?#%41.db"), outer.path().join("new/er"));
    let started = filled(&dir);
    let report = backup(&dir, &to).unwrap();
    assert_eq!((report.resources, report.history), (500, 500));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o600);
    let expected = contents_in(as_after_crash(&dir).path());

    // What comes after the backup is not in it.
    started.commit([plan(1_000, [create(1_000, &record("late", "free", None, 1_000))])]);
    assert_eq!(restore(&to, &restored).unwrap(), report);
    assert_eq!(mode(&restored), 0o700);
    assert_eq!(mode(&restored.join("boskos.db")), 0o600);
    assert_eq!(contents_in(&restored), expected);
    let files: Vec<_> = fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
}

#[test]
fn backups_while_the_server_writes_are_each_of_one_moment() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("data");
    let started = filled(&dir);
    let mut before = [record("r1", "free", None, 1), record("r2", "free", None, 2)];
    for round in 0..20_u64 {
        // Both get the same state in one plan.
        let state = format!("s{round}");
        let after =
            [0, 1].map(|i| record(before[i].resource.name.as_str(), &state, None, 1_000 + 2 * round + i as u64));
        let write = |key: u32, i: usize| change(key, &after[i], Some(&before[i]), before[i].last_transition);
        started.submit([plan(1_000 + round, [write(1, 0), write(2, 1)])]);
        let to = outer.path().join(format!("backup-{round}"));
        backup(&dir, &to).unwrap();
        let restored = outer.path().join(format!("restored-{round}"));
        restore(&to, &restored).unwrap();
        let found = contents_in(&restored).resources;
        assert_eq!(found[&1].resource.state, found[&2].resource.state);
        before = after;
    }
}

#[test]
fn store_without_a_server_is_backed_up_and_checked() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("data");
    let started = filled(&dir);
    let crashed = as_after_crash(&dir);
    assert_eq!(backup(crashed.path(), &outer.path().join("crashed")).unwrap().resources, 500);
    started.store.close().unwrap();
    assert!(check_store(&dir).unwrap().is_sound());
    assert_eq!(backup(&dir, &outer.path().join("closed")).unwrap().resources, 500);
    assert_eq!(contents_in(&dir).resources.len(), 500);
}

#[test]
fn backup_overwrites_nothing() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to) = (outer.path().join("data"), outer.path().join("backup"));
    drop(filled(&dir));
    fs::write(&to, "precious").unwrap();
    assert!(matches!(backup(&dir, &to), Err(SqliteError::TargetExists { path }) if path == to));
    assert_eq!(fs::read(&to).unwrap(), b"precious");
}

#[test]
fn backup_and_check_of_nothing_say_so() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("missing");
    assert!(matches!(backup(&dir, &outer.path().join("to")), Err(SqliteError::NoStore { .. })));
    assert!(matches!(check_store(&dir), Err(SqliteError::NoStore { .. })));
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
}

#[test]
fn damaged_store_is_not_backed_up() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to) = (outer.path().join("data"), outer.path().join("backup"));
    drop(filled(&dir));
    let tool = rusqlite::Connection::open(dir.join("boskos.db")).unwrap();
    tool.execute("UPDATE resource SET name = 'x' WHERE key = 3", []).unwrap();
    drop(tool);
    let error = backup(&dir, &to).unwrap_err();
    assert!(matches!(&error, SqliteError::Damaged { what, .. } if what.contains("row 3")), "{error}");
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
}

#[test]
fn damaged_backup_is_not_restored() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to, target) = (outer.path().join("data"), outer.path().join("backup"), outer.path().join("target"));
    drop(filled(&dir));
    backup(&dir, &to).unwrap();
    let whole = fs::read(&to).unwrap();
    let mut flipped = whole.clone();
    // All of them: some lie where rows were once and are no longer.
    let found: Vec<_> = (0..flipped.len() - 4).filter(|at| &flipped[*at..at + 4] == b"r123").collect();
    found.into_iter().for_each(|at| flipped[at] ^= 1);
    for damaged in [&[][..], &whole[..whole.len() / 2], &flipped[..], &b"text"[..]] {
        fs::write(&to, damaged).unwrap();
        restore(&to, &target).unwrap_err();
        assert!(!target.exists());
    }
    fs::write(&to, whole).unwrap();
    restore(&to, &target).unwrap();
}

#[test]
fn file_of_a_running_server_is_no_backup() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("data");
    let started = filled(&dir);
    let error = restore(&dir.join("boskos.db"), &outer.path().join("target")).unwrap_err();
    assert!(matches!(error, SqliteError::NotABackup { .. }), "{error}");
    drop(started);
}

#[test]
fn restore_refuses_a_directory_that_is_not_empty() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to) = (outer.path().join("data"), outer.path().join("backup"));
    drop(filled(&dir));
    backup(&dir, &to).unwrap();
    let before = contents_in(&dir);
    assert!(matches!(restore(&to, &dir), Err(SqliteError::NotEmpty { found, .. }) if found == "boskos.db"));
    assert_eq!(contents_in(&dir), before);
    let other = outer.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes"), "x").unwrap();
    assert!(matches!(restore(&to, &other), Err(SqliteError::NotEmpty { found, .. }) if found == "notes"));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn store_where_nothing_can_be_written_is_checked_and_backed_up() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to) = (outer.path().join("data"), outer.path().join("backup.db"));
    let mount = Mount::new(&dir, "16m");
    filled(&dir).store.close().unwrap();
    mount.make_read_only();
    let report = check_store(&dir).unwrap();
    assert!(report.is_sound() && report.resources == 500, "{report}");
    assert_eq!(backup(&dir, &to).unwrap(), report);
}

#[test]
fn store_with_a_log_where_nothing_can_be_written_is_to_be_copied() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, to) = (outer.path().join("data"), outer.path().join("backup.db"));
    let mount = Mount::new(&dir, "16m");
    let running = outer.path().join("running");
    let _started = filled(&running);
    let crashed = as_after_crash(&running);
    for file in fs::read_dir(crashed.path()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), dir.join(file.file_name())).unwrap();
    }
    mount.make_read_only();
    for refused in [check_store(&dir), backup(&dir, &to)] {
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("copy the folder") && why.contains("data"), "{why}");
    }
    assert!(!to.exists());
    assert_eq!(check_store(crashed.path()).unwrap().resources, 500, "where it can be copied to");
}
