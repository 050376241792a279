//! Finds out whether a batch was written after all.

use boskos_core::ranch::plan::{Plan, Write};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::row::{Checksum, HistoryColumns, LifecycleColumns, PlaceColumns, ResourceColumns, definition};

/// What a write is about.
#[derive(PartialEq, Eq, Hash)]
enum Object<'a> {
    Resource(u32),
    Place(u64),
    Lifecycle(&'a str),
}

/// Whether the file shows `plans`, which were one transaction, as written: all of them are or none.
pub(super) fn shows(connection: &Connection, plans: &[Plan]) -> rusqlite::Result<bool> {
    // Of several writes to one object the file shows the last.
    let mut last: HashMap<Object<'_>, &Write> = HashMap::new();
    for write in plans.iter().flat_map(|plan| &plan.writes) {
        last.insert(object(write), write);
    }
    for write in last.into_values() {
        if !shows_write(connection, write)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn object(write: &Write) -> Object<'_> {
    match write {
        Write::Put(put) => Object::Resource(put.key.get()),
        Write::Delete(delete) => Object::Resource(delete.key.get()),
        Write::PutPlace(record) => Object::Place(record.number),
        Write::DeletePlace(number) => Object::Place(*number),
        Write::PutLifecycle(record) => Object::Lifecycle(record.lifecycle.r#type.as_str()),
        Write::DeleteLifecycle(r#type) => Object::Lifecycle(r#type.as_str()),
    }
}

fn shows_write(connection: &Connection, write: &Write) -> rusqlite::Result<bool> {
    const RESOURCE: &str = "SELECT checksum FROM resource WHERE key = ?";
    const HISTORY: &str = "SELECT checksum FROM history WHERE id = ?";
    const PLACE: &str = "SELECT checksum FROM place WHERE number = ?";
    const LIFECYCLE: &str = "SELECT checksum FROM lifecycle WHERE type = ?";
    let found = |sql: &str, key: &dyn ToSql| -> rusqlite::Result<Option<u32>> {
        connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
    };
    let mut sum = Checksum::default();
    // The checksum of a row stands for all of it.
    let (found, written) = match write {
        Write::Put(put) => {
            let row = (found(RESOURCE, &put.key.get())?, Some(sum.of(&ResourceColumns::of(put))));
            match put.transition.as_ref().filter(|_| put.moves_only && row.0 != row.1) {
                // The row may be one that is written later.
                Some(transition) => {
                    let noted = sum.of(&HistoryColumns::of_move(put, transition));
                    (found(HISTORY, &transition.id.cast_signed())?, Some(noted))
                }
                None => row,
            }
        }
        Write::Delete(delete) => (found(RESOURCE, &delete.key.get())?, None),
        Write::PutPlace(record) => {
            (found(PLACE, &record.number.cast_signed())?, Some(sum.of(&PlaceColumns::of(record))))
        }
        Write::DeletePlace(number) => (found(PLACE, &number.cast_signed())?, None),
        Write::PutLifecycle(record) => {
            let definition = definition(record);
            let sum = sum.of(&LifecycleColumns::of(record, &definition));
            (found(LIFECYCLE, &record.lifecycle.r#type.as_str())?, Some(sum))
        }
        Write::DeleteLifecycle(r#type) => (found(LIFECYCLE, &r#type.as_str())?, None),
    };
    Ok(found == written)
}
