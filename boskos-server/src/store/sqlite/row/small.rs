//! Rows of the tables with few rows.

use boskos_core::{
    WallTime,
    ranch::plan::{LifecycleRecord, PlaceRecord},
};
use rusqlite::{Row, Statement};

use super::{Checksum, Columns, Damage, flag, integer, text};

/// A row of `lifecycle`.
#[derive(Debug)]
pub(in super::super) struct LifecycleColumns<'a> {
    r#type: &'a str,
    definition: &'a str,
    draining: bool,
}

/// A row of `place`.
#[derive(Debug)]
pub(in super::super) struct PlaceColumns<'a> {
    number: i64,
    r#type: &'a str,
    state: &'a str,
    request_id: &'a str,
    joined: i64,
}

/// A row of `total`.
#[derive(Debug)]
pub(in super::super) struct TotalColumns<'a> {
    pub(in super::super) id: i64,
    pub(in super::super) r#type: &'a str,
    pub(in super::super) state: &'a str,
    pub(in super::super) count: i64,
}

/// A row of `mark`: a number that the other tables do not tell.
#[derive(Debug)]
pub(in super::super) struct MarkColumns<'a> {
    pub(in super::super) name: &'a str,
    pub(in super::super) value: i64,
}

impl<'a> Columns<'a> for LifecycleColumns<'a> {
    const TABLE: &'static str = "lifecycle";
    const SELECT: &'static str = "SELECT type, definition, draining, checksum FROM lifecycle";
    const COUNT: usize = 4;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self { r#type: text::<Self>(row, 0)?, definition: text::<Self>(row, 1)?, draining: flag::<Self>(row, 2)? })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.text(self.r#type);
        sum.text(self.definition);
        sum.integer(self.draining.into());
    }

    fn key(&self) -> String {
        format!("{:?}", self.r#type)
    }
}

impl<'a> LifecycleColumns<'a> {
    /// Writes a row, whether or not the type is there.
    pub(in super::super) const REPLACE: &'static str = "REPLACE INTO lifecycle VALUES (?, ?, ?, ?)";

    /// `definition` is what [`definition`] made of it.
    pub(in super::super) fn of(record: &'a LifecycleRecord, definition: &'a str) -> Self {
        Self { r#type: record.lifecycle.r#type.as_str(), definition, draining: record.draining }
    }

    /// Runs [`Self::REPLACE`].
    pub(in super::super) fn write(&self, replace: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        replace.execute((self.r#type, self.definition, self.draining, sum.of(self)))
    }

    /// The lifecycle.
    pub(in super::super) fn record(&self) -> Result<LifecycleRecord, Damage> {
        let lifecycle = serde_json::from_str(self.definition).map_err(|error| Damage {
            table: Self::TABLE,
            key: self.key(),
            what: format!("its definition is no lifecycle: {error}"),
        })?;
        Ok(LifecycleRecord { lifecycle, draining: self.draining })
    }
}

/// A lifecycle as text.
pub(in super::super) fn definition(record: &LifecycleRecord) -> String {
    serde_json::to_string(&record.lifecycle).expect("its maps have text as keys and it has no other way to fail")
}

impl<'a> Columns<'a> for PlaceColumns<'a> {
    const TABLE: &'static str = "place";
    const SELECT: &'static str = "SELECT number, type, state, request_id, joined, checksum FROM place";
    const COUNT: usize = 6;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self {
            number: integer::<Self>(row, 0)?,
            r#type: text::<Self>(row, 1)?,
            state: text::<Self>(row, 2)?,
            request_id: text::<Self>(row, 3)?,
            joined: integer::<Self>(row, 4)?,
        })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.integer(self.number);
        sum.text(self.r#type);
        sum.text(self.state);
        sum.text(self.request_id);
        sum.integer(self.joined);
    }

    fn key(&self) -> String {
        self.number.to_string()
    }
}

impl<'a> PlaceColumns<'a> {
    /// Writes a row, whether or not the number is there.
    pub(in super::super) const REPLACE: &'static str = "REPLACE INTO place VALUES (?, ?, ?, ?, ?, ?)";

    pub(in super::super) fn of(record: &'a PlaceRecord) -> Self {
        Self {
            number: record.number.cast_signed(),
            r#type: record.r#type.as_str(),
            state: record.state.as_str(),
            request_id: &record.request_id,
            joined: record.joined.as_nanos(),
        }
    }

    /// Runs [`Self::REPLACE`].
    pub(in super::super) fn write(&self, replace: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        replace.execute((self.number, self.r#type, self.state, self.request_id, self.joined, sum.of(self)))
    }

    /// The place.
    pub(in super::super) fn record(&self) -> PlaceRecord {
        PlaceRecord {
            number: self.number.cast_unsigned(),
            r#type: self.r#type.into(),
            state: self.state.into(),
            request_id: self.request_id.to_owned(),
            joined: WallTime::from_nanos(self.joined),
        }
    }
}

impl<'a> Columns<'a> for TotalColumns<'a> {
    const TABLE: &'static str = "total";
    const SELECT: &'static str = "SELECT id, type, state, count, checksum FROM total";
    const COUNT: usize = 5;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self {
            id: integer::<Self>(row, 0)?,
            r#type: text::<Self>(row, 1)?,
            state: text::<Self>(row, 2)?,
            count: integer::<Self>(row, 3)?,
        })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.integer(self.id);
        sum.text(self.r#type);
        sum.text(self.state);
        sum.integer(self.count);
    }

    fn key(&self) -> String {
        format!("{} ({:?}, {:?})", self.id, self.r#type, self.state)
    }
}

impl TotalColumns<'_> {
    /// Writes a row, whether or not the id is there.
    pub(in super::super) const REPLACE: &'static str = "REPLACE INTO total VALUES (?, ?, ?, ?, ?)";

    /// Runs [`Self::REPLACE`].
    pub(in super::super) fn write(&self, replace: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        replace.execute((self.id, self.r#type, self.state, self.count, sum.of(self)))
    }
}

impl MarkColumns<'_> {
    /// The highest sequence that was ever written, as far as rows that are gone had it.
    pub(in super::super) const SEQUENCE: &'static str = "sequence";
    /// The highest number of a queue place that is gone.
    pub(in super::super) const PLACE: &'static str = "place";
    /// The newest row of history up to which every resource's own row is written.
    pub(in super::super) const ENTERED: &'static str = "entered";
    /// How many resources there are.
    pub(in super::super) const RESOURCES: &'static str = "resources";
    /// Writes a row, whether or not the name is there.
    pub(in super::super) const REPLACE: &'static str = "REPLACE INTO mark VALUES (?, ?, ?)";

    /// Runs [`Self::REPLACE`].
    pub(in super::super) fn write(&self, replace: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        replace.execute((self.name, self.value, sum.of(self)))
    }
}

impl<'a> Columns<'a> for MarkColumns<'a> {
    const TABLE: &'static str = "mark";
    const SELECT: &'static str = "SELECT name, value, checksum FROM mark";
    const COUNT: usize = 3;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self { name: text::<Self>(row, 0)?, value: integer::<Self>(row, 1)? })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.text(self.name);
        sum.integer(self.value);
    }

    fn key(&self) -> String {
        self.name.to_owned()
    }
}
