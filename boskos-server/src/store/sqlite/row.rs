//! Rows as they lie in the tables, each with a checksum over all its columns.

mod history;
mod resource;
mod small;

pub(super) use self::{
    history::{HistoryColumns, LateForm},
    resource::{ResourceColumns, Words},
    small::{LifecycleColumns, MarkColumns, PlaceColumns, TotalColumns, definition},
};

use rusqlite::{Row, types::ValueRef};

/// What a row of one table consists of, borrowed from wherever it is.
pub(super) trait Columns<'a>: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Reads all columns, the checksum last.
    const SELECT: &'static str;
    /// How many columns there are, the checksum included.
    const COUNT: usize;

    /// [`Self::SELECT`] for a file of an older format.
    fn select(_format: u32) -> &'static str {
        Self::SELECT
    }

    /// Takes the columns from a row of [`Self::SELECT`].
    fn read(row: &'a Row<'_>) -> Result<Self, Damage>;

    /// Feeds every column but the checksum to `sum`, in the table's order.
    fn feed(&self, sum: &mut Checksum);

    /// The row's key, for messages.
    fn key(&self) -> String;
}

/// How a row is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) table: &'static str,
    pub(super) key: String,
    pub(super) what: String,
}

/// Sums up rows. The bytes do not depend on how SQLite lays them out.
#[derive(Debug, Default)]
pub(super) struct Checksum(Vec<u8>);

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;

// === impl Checksum ===

impl Checksum {
    pub(super) fn integer(&mut self, value: i64) {
        self.0.push(INTEGER);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.push(TEXT);
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn maybe_integer(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.integer(value),
            None => self.0.push(NULL),
        }
    }

    pub(super) fn maybe_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.0.push(NULL),
        }
    }

    /// The sum of one row.
    pub(super) fn of<'a, C: Columns<'a>>(&mut self, columns: &C) -> u32 {
        self.0.clear();
        columns.feed(self);
        crc32fast::hash(&self.0)
    }
}

/// Takes a row's columns if they are what was written.
pub(super) fn verified<'a, C: Columns<'a>>(row: &'a Row<'_>, sum: &mut Checksum) -> Result<C, Damage> {
    let columns = C::read(row)?;
    let written = integer::<C>(row, C::COUNT - 1)?;
    if written == i64::from(sum.of(&columns)) {
        Ok(columns)
    } else {
        Err(Damage { table: C::TABLE, key: columns.key(), what: "its checksum does not match".to_owned() })
    }
}

/// A column that cannot be taken. The first column is the key in every table.
fn damage<'a, C: Columns<'a>>(row: &Row<'_>, index: usize) -> Damage {
    let column = row.as_ref().column_name(index).unwrap_or("?").to_owned();
    let key = match row.get_ref(0) {
        Ok(ValueRef::Integer(key)) => key.to_string(),
        Ok(ValueRef::Text(key)) => String::from_utf8_lossy(key).escape_debug().to_string(),
        Ok(ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_)) | Err(_) => "?".to_owned(),
    };
    Damage { table: C::TABLE, key, what: format!("its {column} is not what it can be") }
}

fn integer<'a, C: Columns<'a>>(row: &Row<'_>, index: usize) -> Result<i64, Damage> {
    maybe_integer::<C>(row, index)?.ok_or_else(|| damage::<C>(row, index))
}

fn maybe_integer<'a, C: Columns<'a>>(row: &Row<'_>, index: usize) -> Result<Option<i64>, Damage> {
    match row.get_ref(index) {
        Ok(ValueRef::Integer(value)) => Ok(Some(value)),
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_)) | Err(_) => Err(damage::<C>(row, index)),
    }
}

fn text<'a, C: Columns<'a>>(row: &'a Row<'_>, index: usize) -> Result<&'a str, Damage> {
    maybe_text::<C>(row, index)?.ok_or_else(|| damage::<C>(row, index))
}

fn maybe_text<'a, C: Columns<'a>>(row: &'a Row<'_>, index: usize) -> Result<Option<&'a str>, Damage> {
    match row.get_ref(index) {
        Ok(ValueRef::Text(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(damage::<C>(row, index)),
        },
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_)) | Err(_) => Err(damage::<C>(row, index)),
    }
}

fn flag<'a, C: Columns<'a>>(row: &Row<'_>, index: usize) -> Result<bool, Damage> {
    match integer::<C>(row, index)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(damage::<C>(row, index)),
    }
}
