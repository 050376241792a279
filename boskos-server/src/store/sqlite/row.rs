//! Rows, and the checksums that tell a row as written from one that was damaged.

use boskos_core::{
    Lifecycle, Resource, ResourceName, State, UserData, WallTime,
    ranch::plan::{LifecycleRecord, PlaceRecord, Record, ResourceKey, Stored, Transition},
};
use rusqlite::{CachedStatement, Row};

use super::intern::Interner;

/// Adds up the fields of a row, each told apart from the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(super) fn int(mut self, value: i64) -> Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let mut this = self.int(i64::try_from(text.len()).unwrap_or(i64::MAX));
        this.0.update(text.as_bytes());
        this
    }

    pub(super) fn optional_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.int(-1),
        }
    }

    pub(super) fn optional_int(self, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.int(1).int(value),
            None => self.int(0),
        }
    }

    pub(super) fn finish(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

/// Why a row cannot be what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("checksum mismatch")]
    Checksum,
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("a number out of range")]
    Range,
}

/// Sequences and other counters as SQLite keeps them: they never come near 2^63.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Result<u64, RowError> {
    u64::try_from(value).map_err(|_| RowError::Range)
}

fn text<'a>(row: &'a Row<'_>, index: usize) -> Result<&'a str, RowError> {
    Ok(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?)
}

fn optional_text<'a>(row: &'a Row<'_>, index: usize) -> Result<Option<&'a str>, RowError> {
    Ok(row.get_ref(index)?.as_str_or_null().map_err(rusqlite::Error::from)?)
}

// === resource ===

pub(super) const SELECT_RESOURCES: &str = "SELECT key, name, type, state, owner, last_update, expiration, user_data, \
     sequence, last_transition, leaving, checksum FROM resource";

pub(super) const PUT_RESOURCE: &str = "REPLACE INTO resource (key, name, type, state, owner, last_update, expiration, user_data, \
     sequence, last_transition, leaving, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

struct ResourceRow<'a> {
    key: i64,
    name: &'a str,
    r#type: &'a str,
    state: &'a str,
    owner: Option<&'a str>,
    last_update: i64,
    expiration: Option<i64>,
    user_data: &'a str,
    sequence: i64,
    last_transition: i64,
    leaving: i64,
}

impl ResourceRow<'_> {
    fn checksum(&self) -> i64 {
        Checksum::default()
            .int(self.key)
            .text(self.name)
            .text(self.r#type)
            .text(self.state)
            .optional_text(self.owner)
            .int(self.last_update)
            .optional_int(self.expiration)
            .text(self.user_data)
            .int(self.sequence)
            .int(self.last_transition)
            .int(self.leaving)
            .finish()
    }
}

pub(super) fn put_resource(
    statement: &mut CachedStatement<'_>,
    key: ResourceKey,
    record: &Record,
) -> rusqlite::Result<()> {
    let resource = &record.resource;
    let row = ResourceRow {
        key: key.get().into(),
        name: resource.name.as_str(),
        r#type: resource.r#type.as_str(),
        state: resource.state.as_str(),
        owner: resource.owner.as_ref().map(|owner| owner.as_str()),
        last_update: resource.last_update.as_nanos(),
        expiration: resource.expiration.map(WallTime::as_nanos),
        user_data: resource.user_data.as_json(),
        sequence: signed(record.sequence),
        last_transition: signed(record.last_transition),
        leaving: record.leaving.into(),
    };
    statement.execute((
        row.key,
        row.name,
        row.r#type,
        row.state,
        row.owner,
        row.last_update,
        row.expiration,
        row.user_data,
        row.sequence,
        row.last_transition,
        row.leaving,
        row.checksum(),
    ))?;
    Ok(())
}

pub(super) fn read_resource(row: &Row<'_>, interner: &mut Interner) -> Result<Stored, RowError> {
    let fields = ResourceRow {
        key: row.get(0)?,
        name: text(row, 1)?,
        r#type: text(row, 2)?,
        state: text(row, 3)?,
        owner: optional_text(row, 4)?,
        last_update: row.get(5)?,
        expiration: row.get(6)?,
        user_data: text(row, 7)?,
        sequence: row.get(8)?,
        last_transition: row.get(9)?,
        leaving: row.get(10)?,
    };
    if fields.checksum() != row.get::<_, i64>(11)? {
        return Err(RowError::Checksum);
    }
    let key = u32::try_from(fields.key).map_err(|_| RowError::Range)?;
    let resource = Resource {
        r#type: interner.r#type(fields.r#type),
        name: ResourceName::from(fields.name),
        state: interner.state(fields.state),
        owner: fields.owner.map(|owner| interner.owner(owner)),
        last_update: WallTime::from_nanos(fields.last_update),
        user_data: UserData::from_own_json(fields.user_data),
        expiration: fields.expiration.map(WallTime::from_nanos),
    };
    let record = Record {
        resource,
        sequence: unsigned(fields.sequence)?,
        last_transition: unsigned(fields.last_transition)?,
        leaving: fields.leaving != 0,
    };
    Ok(Stored { key: Some(ResourceKey::new(key)), record, version: 0 })
}

// === place ===

pub(super) const SELECT_PLACES: &str = "SELECT number, type, state, request_id, joined, checksum FROM place";

pub(super) const PUT_PLACE: &str =
    "REPLACE INTO place (number, type, state, request_id, joined, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

fn place_checksum(number: i64, r#type: &str, state: &str, request_id: &str, joined: i64) -> i64 {
    Checksum::default().int(number).text(r#type).text(state).text(request_id).int(joined).finish()
}

pub(super) fn put_place(statement: &mut CachedStatement<'_>, place: &PlaceRecord) -> rusqlite::Result<()> {
    let (number, r#type, state) = (signed(place.number), place.r#type.as_str(), place.state.as_str());
    let (id, joined) = (place.request_id.as_str(), place.joined.as_nanos());
    statement.execute((number, r#type, state, id, joined, place_checksum(number, r#type, state, id, joined)))?;
    Ok(())
}

pub(super) fn read_place(row: &Row<'_>, interner: &mut Interner) -> Result<PlaceRecord, RowError> {
    let (number, joined) = (row.get(0)?, row.get(4)?);
    let (r#type, state, id) = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
    if place_checksum(number, r#type, state, id, joined) != row.get::<_, i64>(5)? {
        return Err(RowError::Checksum);
    }
    Ok(PlaceRecord {
        number: unsigned(number)?,
        r#type: interner.r#type(r#type),
        state: interner.state(state),
        request_id: id.to_owned(),
        joined: WallTime::from_nanos(joined),
    })
}

// === lifecycle ===

pub(super) const SELECT_LIFECYCLES: &str = "SELECT type, lifecycle, draining, checksum FROM lifecycle";

pub(super) const PUT_LIFECYCLE: &str =
    "REPLACE INTO lifecycle (type, lifecycle, draining, checksum) VALUES (?1, ?2, ?3, ?4)";

fn lifecycle_checksum(r#type: &str, json: &str, draining: i64) -> i64 {
    Checksum::default().text(r#type).text(json).int(draining).finish()
}

pub(super) fn put_lifecycle(statement: &mut CachedStatement<'_>, record: &LifecycleRecord) -> rusqlite::Result<()> {
    let json = serde_json::to_string(&record.lifecycle).expect("a lifecycle is plain data with text keys");
    let (r#type, draining) = (record.lifecycle.r#type.as_str(), i64::from(record.draining));
    statement.execute((r#type, &json, draining, lifecycle_checksum(r#type, &json, draining)))?;
    Ok(())
}

pub(super) fn read_lifecycle(row: &Row<'_>) -> Result<LifecycleRecord, RowError> {
    let (r#type, json, draining) = (text(row, 0)?, text(row, 1)?, row.get(2)?);
    if lifecycle_checksum(r#type, json, draining) != row.get::<_, i64>(3)? {
        return Err(RowError::Checksum);
    }
    Ok(LifecycleRecord { lifecycle: serde_json::from_str::<Lifecycle>(json)?, draining: draining != 0 })
}

// === total ===

pub(super) const SELECT_TOTALS: &str = "SELECT type, state, count, checksum FROM total";

pub(super) const PUT_TOTAL: &str = "REPLACE INTO total (type, state, count, checksum) VALUES (?1, ?2, ?3, ?4)";

pub(super) fn total_checksum(r#type: &str, state: &str, count: i64) -> i64 {
    Checksum::default().text(r#type).text(state).int(count).finish()
}

pub(super) fn read_total(row: &Row<'_>) -> Result<(String, State, u64), RowError> {
    let (r#type, state, count) = (text(row, 0)?, text(row, 1)?, row.get(2)?);
    if total_checksum(r#type, state, count) != row.get::<_, i64>(3)? {
        return Err(RowError::Checksum);
    }
    Ok((r#type.to_owned(), State::from(state), unsigned(count)?))
}

// === history ===

pub(super) const SELECT_TRANSITION: &str = "SELECT id, previous, at, name, type, from_state, from_owner, to_state, \
     to_owner, checksum FROM history WHERE id = ?1";

pub(super) const SELECT_HISTORY: &str = "SELECT id, previous, at, name, type, from_state, from_owner, to_state, \
     to_owner, checksum FROM history";

pub(super) const PUT_TRANSITION: &str = "INSERT INTO history (id, previous, at, name, type, from_state, from_owner, \
     to_state, to_owner, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// A transition without its text: what checksum and statement share.
struct TransitionRow<'a> {
    id: i64,
    previous: i64,
    at: i64,
    name: &'a str,
    r#type: &'a str,
    from_state: Option<&'a str>,
    from_owner: Option<&'a str>,
    to_state: Option<&'a str>,
    to_owner: Option<&'a str>,
}

impl TransitionRow<'_> {
    fn checksum(&self) -> i64 {
        Checksum::default()
            .int(self.id)
            .int(self.previous)
            .int(self.at)
            .text(self.name)
            .text(self.r#type)
            .optional_text(self.from_state)
            .optional_text(self.from_owner)
            .optional_text(self.to_state)
            .optional_text(self.to_owner)
            .finish()
    }
}

pub(super) fn put_transition(statement: &mut CachedStatement<'_>, transition: &Transition) -> rusqlite::Result<()> {
    let (from, to) = (transition.from.as_ref(), transition.to.as_ref());
    let row = TransitionRow {
        id: signed(transition.id),
        previous: signed(transition.previous),
        at: transition.at.as_nanos(),
        name: transition.name.as_str(),
        r#type: transition.r#type.as_str(),
        from_state: from.map(|(state, _)| state.as_str()),
        from_owner: from.and_then(|(_, owner)| owner.as_ref().map(|owner| owner.as_str())),
        to_state: to.map(|(state, _)| state.as_str()),
        to_owner: to.and_then(|(_, owner)| owner.as_ref().map(|owner| owner.as_str())),
    };
    statement.execute((
        row.id,
        row.previous,
        row.at,
        row.name,
        row.r#type,
        row.from_state,
        row.from_owner,
        row.to_state,
        row.to_owner,
        row.checksum(),
    ))?;
    Ok(())
}

pub(super) fn read_transition(row: &Row<'_>, interner: &mut Interner) -> Result<Transition, RowError> {
    let fields = TransitionRow {
        id: row.get(0)?,
        previous: row.get(1)?,
        at: row.get(2)?,
        name: text(row, 3)?,
        r#type: text(row, 4)?,
        from_state: optional_text(row, 5)?,
        from_owner: optional_text(row, 6)?,
        to_state: optional_text(row, 7)?,
        to_owner: optional_text(row, 8)?,
    };
    if fields.checksum() != row.get::<_, i64>(9)? {
        return Err(RowError::Checksum);
    }
    let mut standing = |state: Option<&str>, owner: Option<&str>| {
        state.map(|state| (interner.state(state), owner.map(|owner| interner.owner(owner))))
    };
    Ok(Transition {
        from: standing(fields.from_state, fields.from_owner),
        to: standing(fields.to_state, fields.to_owner),
        id: unsigned(fields.id)?,
        previous: unsigned(fields.previous)?,
        at: WallTime::from_nanos(fields.at),
        name: ResourceName::from(fields.name),
        r#type: interner.r#type(fields.r#type),
        counted: None,
    })
}
