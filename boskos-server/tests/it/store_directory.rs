//! Where the embedded store lives, who may read it, and who else may have it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use boskos_server::store::{
    SqliteStore, Store as _,
    sqlite::{SqliteError, SqliteOptions},
};

use crate::store_support::{Contents, as_after_crash, contents_in, create, open, options, plan, record, sqlite};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn directory_and_files_are_private_while_the_store_is_open() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("a/b");
    let started = sqlite(&dir);
    started.commit([plan(1, [create(1, &record("r", "free", None, 1))])]);
    started.store.history(1, 1).unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&outer.path().join("a")), 0o700);
    for name in ["boskos.db", "boskos.db-wal", "boskos.db-shm", "boskos.lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn empty_directory_of_anyones_becomes_private() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert!(open(dir.path()).created);
    assert_eq!(mode(dir.path()), 0o700);
}

#[test]
fn new_store_says_so_and_an_old_one_does_not() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("data");
    let opened = open(&dir);
    assert!(opened.created);
    assert_eq!(opened.dir, dir);
    drop(opened);
    assert!(!open(&dir).created);
}

#[test]
fn directory_is_named_by_its_absolute_path() {
    let dir = tempfile::Builder::new().prefix("store-").tempdir_in(".").unwrap();
    let relative = Path::new(dir.path().file_name().unwrap());
    let opened = open(relative);
    assert_eq!(opened.dir, std::env::current_dir().unwrap().join(relative));
}

#[test]
fn store_that_must_exist_is_not_created() {
    let outer = tempfile::tempdir().unwrap();
    let missing = outer.path().join("missing");
    let empty = outer.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for dir in [&missing, &empty] {
        let error = SqliteStore::open(SqliteOptions { must_exist: true, ..options(dir) }).unwrap_err();
        assert!(matches!(&error, SqliteError::Missing { dir: named } if named == dir), "{error}");
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    drop(open(&empty));
    assert!(!SqliteStore::open(SqliteOptions { must_exist: true, ..options(&empty) }).unwrap().created);
}

#[test]
fn directory_with_other_files_and_no_store_is_refused() {
    for name in ["notes.txt", "boskos.db-wal", "boskos.db.format-1"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "x").unwrap();
        let error = SqliteStore::open(options(dir.path())).unwrap_err();
        assert!(matches!(&error, SqliteError::Strange { found, .. } if found == name), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn creation_that_was_cut_short_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("boskos.db.new"), "half a store").unwrap();
    fs::write(dir.path().join("boskos.lock"), "").unwrap();
    assert!(open(dir.path()).created);
    assert_eq!(contents_in(dir.path()), Contents::default());
    assert!(!dir.path().join("boskos.db.new").exists());
}

#[test]
fn second_server_is_refused_and_told_which_process_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    let own = std::process::id();
    assert!(matches!(error, SqliteError::InUse { pid: Some(pid), .. } if pid == own), "{error}");
    assert!(error.to_string().contains(&format!("process {own}")), "{error}");
    first.store.close().unwrap();
    drop(open(dir.path()));
}

#[test]
fn operators_tools_read_and_write_beside_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let mut kept = record("r", "busy", Some("me"), 1);
    kept.resource.expiration = Some(boskos_core::WallTime::from_nanos(1_136_214_245_123_000_000));
    started.commit([plan(1, [create(1, &kept)])]);
    let tool = rusqlite::Connection::open(dir.path().join("boskos.db")).unwrap();
    let shown: (String, String, String) = tool
        .query_row("SELECT name, owner, expires FROM resources", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(shown, ("r".into(), "me".into(), "2006-01-02T15:04:05.123Z".into()));
    tool.execute_batch("CREATE TABLE notes (text); BEGIN; INSERT INTO notes VALUES ('x')").unwrap();
    drop(tool);
    started.commit([plan(2, [create(2, &record("s", "free", None, 2))])]);
}

#[test]
fn order_close_leaves_one_file_and_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    started.commit([plan(1, [create(1, &record("r", "free", None, 1))])]);
    started.store.history(1, 1).unwrap();
    started.store.close().unwrap();
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["boskos.db", "boskos.lock"]);
}

#[test]
fn what_was_reported_is_in_the_files_at_that_moment() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    for number in 1..=20_u32 {
        let new = record(&format!("r{number}"), "free", None, number.into());
        started.commit([plan(number.into(), [create(number, &new)])]);
        let crashed = as_after_crash(dir.path());
        assert_eq!(contents_in(crashed.path()).resources.get(&number), Some(&new));
    }
}
