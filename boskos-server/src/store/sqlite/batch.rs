//! Many plans in one transaction.

use boskos_core::{
    ResourceType, State,
    ranch::plan::{Plan, Put, Transition, Write},
};
use hashbrown::HashMap;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::row::{self, signed};

/// Rows trimmed from history in one batch at most, so that none takes long.
const TRIM_ROWS: u64 = 1_000;

/// What has been written over the life of the store, as far as batches need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The number of the newest batch: tells whether a batch of unknown outcome was written.
    pub(super) batch: i64,
    pub(super) sequence: u64,
    pub(super) place: u64,
}

/// The writes of one batch, statement by statement.
struct Batch<'c> {
    put_resource: CachedStatement<'c>,
    delete_resource: CachedStatement<'c>,
    put_transition: CachedStatement<'c>,
    put_place: CachedStatement<'c>,
    delete_place: CachedStatement<'c>,
    totals: HashMap<(ResourceType, State), u64>,
    progress: Progress,
    history_added: u64,
    keeps_history: bool,
}

/// Writes `plans` within the transaction that is open, and trims history to `history_rows`. The
/// progress and the rows of history after it.
pub(super) fn write(
    connection: &Connection,
    plans: &[Plan],
    progress: Progress,
    history_count: u64,
    history_rows: u64,
) -> rusqlite::Result<(Progress, u64)> {
    let mut batch = Batch {
        put_resource: connection.prepare_cached(row::PUT_RESOURCE)?,
        delete_resource: connection.prepare_cached("DELETE FROM resource WHERE key = ?1")?,
        put_transition: connection.prepare_cached(row::PUT_TRANSITION)?,
        put_place: connection.prepare_cached(row::PUT_PLACE)?,
        delete_place: connection.prepare_cached("DELETE FROM place WHERE number = ?1")?,
        totals: HashMap::new(),
        progress: Progress { batch: progress.batch + 1, ..progress },
        history_added: 0,
        keeps_history: history_rows > 0,
    };
    for write in plans.iter().flat_map(|plan| &plan.writes) {
        batch.write(connection, write)?;
    }
    let Batch { totals, progress, history_added, .. } = batch;
    add_totals(connection, totals)?;
    write_progress(connection, progress)?;
    let count = trim(connection, history_count + history_added, history_rows)?;
    Ok((progress, count))
}

impl Batch<'_> {
    fn write(&mut self, connection: &Connection, write: &Write) -> rusqlite::Result<()> {
        match write {
            Write::Put(put) => self.put(put),
            Write::Delete(delete) => {
                self.delete_resource.execute([delete.key.get()])?;
                self.transition(&delete.transition)
            }
            Write::PutPlace(place) => {
                self.progress.place = self.progress.place.max(place.number);
                row::put_place(&mut self.put_place, place)
            }
            Write::DeletePlace(number) => self.delete_place.execute([signed(*number)]).map(drop),
            Write::PutLifecycle(record) => {
                row::put_lifecycle(&mut connection.prepare_cached(row::PUT_LIFECYCLE)?, record)
            }
            Write::DeleteLifecycle(r#type) => {
                connection.prepare_cached("DELETE FROM lifecycle WHERE type = ?1")?.execute([r#type.as_str()]).map(drop)
            }
        }
    }

    fn put(&mut self, put: &Put) -> rusqlite::Result<()> {
        self.progress.sequence = self.progress.sequence.max(put.record.sequence);
        row::put_resource(&mut self.put_resource, put.key, &put.record)?;
        put.transition.as_ref().map_or(Ok(()), |transition| self.transition(transition))
    }

    fn transition(&mut self, transition: &Transition) -> rusqlite::Result<()> {
        self.progress.sequence = self.progress.sequence.max(transition.id);
        if let Some(state) = &transition.counted {
            *self.totals.entry((transition.r#type.clone(), state.clone())).or_insert(0) += 1;
        }
        if self.keeps_history {
            self.history_added += 1;
            row::put_transition(&mut self.put_transition, transition)?;
        }
        Ok(())
    }
}

fn add_totals(connection: &Connection, totals: HashMap<(ResourceType, State), u64>) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached("SELECT count FROM total WHERE type = ?1 AND state = ?2")?;
    let mut put = connection.prepare_cached(row::PUT_TOTAL)?;
    for ((r#type, state), added) in totals {
        let (r#type, state) = (r#type.as_str(), state.as_str());
        let before: Option<i64> = select.query_row([r#type, state], |row| row.get(0)).optional()?;
        let count = before.unwrap_or(0).saturating_add(signed(added));
        put.execute((r#type, state, count, row::total_checksum(r#type, state, count)))?;
    }
    Ok(())
}

/// Deletes the oldest rows of history beyond `rows`, a bounded number of them.
fn trim(connection: &Connection, count: u64, rows: u64) -> rusqlite::Result<u64> {
    let surplus = count.saturating_sub(rows);
    // In bites: a little over is worth less than a deletion with every batch.
    if surplus < TRIM_ROWS && rows > TRIM_ROWS || surplus == 0 {
        return Ok(count);
    }
    let sql = "DELETE FROM history WHERE id IN (SELECT id FROM history ORDER BY id LIMIT ?1)";
    let deleted = connection.prepare_cached(sql)?.execute([signed(surplus.min(2 * TRIM_ROWS))])?;
    Ok(count.saturating_sub(u64::try_from(deleted).unwrap_or(0)))
}

pub(super) fn read_progress(connection: &Connection) -> rusqlite::Result<Progress> {
    connection.query_row("SELECT batch, sequence, place FROM progress WHERE id = 1", [], |row| {
        Ok(Progress {
            batch: row.get(0)?,
            sequence: row.get::<_, i64>(1)?.unsigned_abs(),
            place: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })
}

fn write_progress(connection: &Connection, progress: Progress) -> rusqlite::Result<()> {
    let sql = "UPDATE progress SET batch = ?1, sequence = ?2, place = ?3 WHERE id = 1";
    let values = (progress.batch, signed(progress.sequence), signed(progress.place));
    connection.prepare_cached(sql)?.execute(values).map(drop)
}
