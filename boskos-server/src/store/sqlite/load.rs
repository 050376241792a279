//! Reads a store at the start of a server.

use std::{path::Path, sync::mpsc, thread};

use boskos_core::{
    ResourceType, State,
    ranch::plan::{Sequence, Stored},
};
use rusqlite::Connection;

use super::{
    deferred::{self, LateForms},
    error::SqliteError,
    format::{self, Access},
    row::{
        Checksum, Columns, Damage, HistoryColumns, LifecycleColumns, MarkColumns, PlaceColumns, ResourceColumns,
        TotalColumns, Words, verified,
    },
};
use crate::store::LoadSink;

/// Resources that are handed from the reading thread to the other at a time.
const CHUNK: usize = 1_024;

/// Chunks that lie between the two at most.
const CHUNKS: usize = 8;

/// The newest history rows that are verified at every start; the others are when they are shown.
const HISTORY_ROWS: u32 = 100_000;

/// Why rows could not be read.
#[derive(Debug)]
pub(super) enum RowError {
    Sqlite(rusqlite::Error),
    Damage(Damage),
}

/// The reading thread's end. Chunks come back when they are empty: new ones would be as many bytes of fresh memory as
/// all resources together.
struct Chunks {
    chunks: mpsc::SyncSender<Vec<Stored>>,
    empties: mpsc::Receiver<Vec<Stored>>,
}

/// What is known after all resources were read.
struct Tally {
    resources: u64,
    highest: Sequence,
}

/// Hands everything to `sink`.
///
/// # Errors
///
/// If the file cannot be read or a row is not what was written.
pub(super) fn load(path: &Path, sink: &mut dyn LoadSink) -> Result<(), SqliteError> {
    let connection = format::connect(path, Access::Read)?;
    let named = |error: RowError| error.in_file(path);
    // All as of one moment: what a row lacks is in history, or the other way round.
    connection.execute_batch("BEGIN").map_err(|error| named(error.into()))?;
    each::<LifecycleColumns<'static>, _>(&connection, "", |row| {
        sink.lifecycle(row.record()?);
        Ok(())
    })
    .map_err(named)?;
    let mut place = 0;
    each::<PlaceColumns<'static>, _>(&connection, "", |row| {
        let record = row.record();
        place = record.number.max(place);
        sink.place(record);
        Ok(())
    })
    .map_err(named)?;
    each::<TotalColumns<'static>, _>(&connection, "", |row| {
        sink.total(ResourceType::from(row.r#type), State::from(row.state), row.count.cast_unsigned());
        Ok(())
    })
    .map_err(named)?;
    let marks = Marks::read(&connection).map_err(named)?;

    let late = deferred::late_forms(&connection, &marks).map_err(named)?;
    let tally = load_resources(connection, path, sink, marks.resources, late)?;
    if tally.resources < marks.resources {
        return Err(SqliteError::RowsMissing { path: path.into(), has: tally.resources, needs: marks.resources });
    }
    sink.sequence(tally.highest.max(marks.sequence));
    sink.place_number(place.max(marks.place));
    Ok(())
}

/// Reads and verifies on one thread what `sink` takes in on this one.
fn load_resources(
    connection: Connection,
    path: &Path,
    sink: &mut dyn LoadSink,
    expected: u64,
    late: LateForms,
) -> Result<Tally, SqliteError> {
    sink.expect_resources(usize::try_from(expected).unwrap_or(0));
    let (chunks, received) = mpsc::sync_channel(CHUNKS);
    let (emptied, empties) = mpsc::channel();
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("store-reader".to_owned())
            .spawn_scoped(scope, move || {
                let mut tally = read_resources(&connection, &late, &Chunks { chunks, empties })?;
                tally.highest = tally.highest.max(verify_history(&connection)?);
                Ok(tally)
            })
            .map_err(SqliteError::Thread)?;
        for mut chunk in received {
            chunk.drain(..).for_each(|stored| sink.resource(stored));
            // Not wanted any more once all is read.
            let _ = emptied.send(chunk);
        }
        let tally = reading.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        tally.map_err(|error: RowError| error.in_file(path))
    })
}

fn read_resources(connection: &Connection, late: &LateForms, chunks: &Chunks) -> Result<Tally, RowError> {
    let mut tally = Tally { resources: 0, highest: 0 };
    let mut words = Words::default();
    let mut chunk = chunks.empty();
    each::<ResourceColumns<'static>, _>(connection, "", |row| {
        tally.resources += 1;
        tally.highest = tally.highest.max(row.highest());
        let mut stored = row.stored(&mut words)?;
        if let Some(form) = stored.key.and_then(|key| late.get(&key.get())) {
            form.apply(&mut stored.record);
        }
        chunk.push(stored);
        if chunk.len() == CHUNK {
            chunks.send(std::mem::replace(&mut chunk, chunks.empty()));
        }
        Ok(())
    })?;
    chunks.send(chunk);
    Ok(tally)
}

/// Verifies the newest rows of history, and that the others are where they should be; the
/// highest number.
fn verify_history(connection: &Connection) -> Result<Sequence, RowError> {
    let mut highest = 0;
    let newest = format!("ORDER BY id DESC LIMIT {HISTORY_ROWS}");
    each::<HistoryColumns<'static>, _>(connection, &newest, |row| {
        highest = highest.max(row.id.cast_unsigned());
        Ok(())
    })?;
    count_history(connection)?;
    Ok(highest)
}

/// How many rows history has. Visits every page of it.
pub(super) fn count_history(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0).map(i64::cast_unsigned))
}

/// Hands every verified row of a table to `take`. `clause` follows the SELECT.
pub(super) fn each<C, F>(connection: &Connection, clause: &str, mut take: F) -> Result<(), RowError>
where
    C: Family,
    F: FnMut(C::Of<'_>) -> Result<(), Damage>,
{
    let mut sum = Checksum::default();
    let mut statement = connection.prepare(&format!("{} {clause}", <C::Of<'static> as Columns<'static>>::SELECT))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(verified::<C::Of<'_>>(row, &mut sum)?)?;
    }
    Ok(())
}

/// Columns of one table, borrowed for any time.
pub(super) trait Family {
    type Of<'a>: Columns<'a>;
}

macro_rules! family {
    ($($columns:ident)+) => {
        $(impl Family for $columns<'static> {
            type Of<'a> = $columns<'a>;
        })+
    };
}

family!(ResourceColumns LifecycleColumns PlaceColumns TotalColumns HistoryColumns MarkColumns);

/// Numbers that the other tables do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) sequence: u64,
    pub(super) place: u64,
    pub(super) resources: u64,
    pub(super) entered: u64,
}

impl Marks {
    /// Reads the table.
    pub(super) fn read(connection: &Connection) -> Result<Self, RowError> {
        let mut marks = Self::default();
        each::<MarkColumns<'static>, _>(connection, "", |row| {
            let value = row.value.cast_unsigned();
            match row.name {
                MarkColumns::SEQUENCE => marks.sequence = value,
                MarkColumns::PLACE => marks.place = value,
                MarkColumns::RESOURCES => marks.resources = value,
                MarkColumns::ENTERED => marks.entered = value,
                _ => {}
            }
            Ok(())
        })?;
        Ok(marks)
    }
}

// === impl Chunks ===

impl Chunks {
    fn empty(&self) -> Vec<Stored> {
        self.empties.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK))
    }

    fn send(&self, chunk: Vec<Stored>) {
        // The other side takes everything until this one hangs up.
        let _ = self.chunks.send(chunk);
    }
}

// === impl RowError ===

impl RowError {
    pub(super) fn in_file(self, path: &Path) -> SqliteError {
        match self {
            Self::Sqlite(error) => SqliteError::sqlite("read", path)(error),
            Self::Damage(Damage { table, key, what }) => {
                SqliteError::DamagedRow { path: path.into(), table, key, what }
            }
        }
    }
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Damage> for RowError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}
