//! Brings files that older versions wrote up to date.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{
    backup,
    error::SqliteError,
    format,
    row::{Checksum, MarkColumns},
    writer,
};

/// Makes of one format the next.
struct Step {
    from: u32,
    apply: fn(&Connection) -> rusqlite::Result<()>,
}

/// How each format became the next. Format 1 is the first.
const STEPS: [Step; 1] = [Step { from: 1, apply: defer }];

/// Format 2: history may be ahead of resources' rows.
fn defer(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "ALTER TABLE history ADD key INTEGER; ALTER TABLE history ADD expires INTEGER; \
         ALTER TABLE history ADD leaving INTEGER; DROP VIEW resources;",
    )?;
    connection.execute_batch(format::DEFERRAL)?;
    let newest = connection.query_row("SELECT coalesce(max(id), 0) FROM history", [], |row| row.get(0))?;
    let row = MarkColumns { name: MarkColumns::ENTERED, value: newest };
    row.write(&mut connection.prepare(MarkColumns::REPLACE)?, &mut Checksum::default())?;
    Ok(())
}

/// Brings a file of format `found` up to date, after a copy of it was put aside.
///
/// # Errors
///
/// If that fails; the file is then as it was.
pub(super) fn upgrade(connection: &Connection, path: &Path, found: u32) -> Result<(), SqliteError> {
    upgrade_to(connection, path, found, format::FORMAT, &STEPS)
}

fn upgrade_to(
    connection: &Connection,
    path: &Path,
    found: u32,
    target: u32,
    steps: &[Step],
) -> Result<(), SqliteError> {
    if found == target {
        return Ok(());
    }
    let copy = free_name(path, found);
    backup::copy(connection, path, &copy)?;
    tracing::warn!(from = found, to = target, copy = %copy.display(), "the store is upgraded; a copy of the old one is put aside");
    let upgraded = (|| {
        let transaction = connection.unchecked_transaction()?;
        for step in steps.iter().filter(|step| step.from >= found) {
            (step.apply)(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", target)?;
        transaction.commit()?;
        writer::empty_log(connection)
    })();
    upgraded.map_err(SqliteError::sqlite("upgrade", path))
}

/// A name for a copy of a file of format `found` that nothing has yet.
fn free_name(path: &Path, found: u32) -> PathBuf {
    let first = format::beside(path, &format!(".format-{found}"));
    let others = (2_u32..).map(|count| format::beside(&first, &format!(".{count}")));
    std::iter::once(first.clone())
        .chain(others)
        .find(|name| name.symlink_metadata().is_err())
        .expect("2^32 copies of one file are never made")
}

/// The copy that a version which knows formats up to `known` can go back to: the newest of the
/// newest such format.
pub(super) fn copy_for(path: &Path, known: u32) -> Option<PathBuf> {
    let prefix = format!("{}.format-", path.file_name()?.to_str()?);
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let copies = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let mut numbers = name.to_str()?.strip_prefix(&prefix)?.split('.').map(str::parse);
        let format: u32 = numbers.next()?.ok()?;
        let count: u32 = numbers.next().unwrap_or(Ok(1)).ok()?;
        (format <= known && numbers.next().is_none()).then(|| (format, count, path.with_file_name(&name)))
    });
    copies.max().map(|(_, _, path)| path)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Step, copy_for, upgrade_to};
    use crate::store::sqlite::{
        SqliteError, SqliteOptions, SqliteStore,
        format::{self, Access},
    };

    const NOW: u32 = format::FORMAT;
    const NEXT: u32 = NOW + 1;
    const LATER: u32 = NOW + 2;

    const TO_NEXT: Step =
        Step { from: NOW, apply: |connection| connection.execute_batch("ALTER TABLE place ADD note TEXT") };
    const TO_LATER: Step =
        Step { from: NEXT, apply: |connection| connection.execute_batch("CREATE TABLE more (id INTEGER)") };
    const BROKEN: Step = Step { from: NEXT, apply: |connection| connection.execute_batch("CREATE TABLE place (id)") };

    fn options(dir: &tempfile::TempDir) -> SqliteOptions {
        SqliteOptions { dir: dir.path().into(), must_exist: false, history_rows: 10 }
    }

    fn store_of_today(dir: &tempfile::TempDir) -> PathBuf {
        drop(SqliteStore::open(options(dir)).unwrap());
        dir.path().join(format::FILE)
    }

    fn format_of(path: &std::path::Path) -> u32 {
        format::format_of(&format::connect(path, Access::Read).unwrap(), path).unwrap()
    }

    #[test]
    fn upgrade_goes_step_by_step_and_puts_the_old_file_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_of_today(&dir);
        let connection = format::connect(&path, Access::Write).unwrap();
        upgrade_to(&connection, &path, NOW, LATER, &[TO_NEXT, TO_LATER]).unwrap();
        connection.execute_batch("SELECT note FROM place; SELECT id FROM more").unwrap();
        assert_eq!(format_of(&path), LATER);
        let copy = dir.path().join(format!("boskos.db.format-{NOW}"));
        assert_eq!(format_of(&copy), NOW);
    }

    #[test]
    fn upgrade_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_of_today(&dir);
        let connection = format::connect(&path, Access::Write).unwrap();
        assert!(upgrade_to(&connection, &path, NOW, LATER, &[TO_NEXT, BROKEN]).is_err());
        drop(connection);
        assert_eq!(format_of(&path), NOW);
        drop(SqliteStore::open(options(&dir)).unwrap());
    }

    #[test]
    fn older_version_refuses_and_names_both_formats_and_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_of_today(&dir);
        let connection = format::connect(&path, Access::Write).unwrap();
        upgrade_to(&connection, &path, NOW, LATER, &[TO_NEXT, TO_LATER]).unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let error = SqliteStore::open(options(&dir)).unwrap_err();
        let copy = dir.path().join(format!("boskos.db.format-{NOW}"));
        assert!(
            matches!(&error, SqliteError::Newer { found: LATER, known: NOW, copy: Some(found), .. } if *found == copy),
            "{error}"
        );
        let text = error.to_string();
        for part in [&format!("format {LATER}"), &format!("up to {NOW}"), copy.to_str().unwrap()] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn second_copy_of_one_format_gets_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_of_today(&dir);
        for suffix in ["", ".2"] {
            let connection = format::connect(&path, Access::Write).unwrap();
            connection.pragma_update(None, "user_version", NOW).unwrap();
            upgrade_to(&connection, &path, NOW, NEXT, &[]).unwrap();
            assert_eq!(copy_for(&path, NOW), Some(dir.path().join(format!("boskos.db.format-{NOW}{suffix}"))));
        }
        assert_eq!(copy_for(&path, 0), None);
    }
}
