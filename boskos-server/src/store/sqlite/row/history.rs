//! Rows of the table `history`.

use boskos_core::{Owner, State, WallTime, ranch::plan::Transition};
use rusqlite::{Row, Statement};

use super::{Checksum, Columns, Damage, integer, maybe_text, text};
use crate::store::HistoryRow;

/// One row.
#[derive(Debug)]
pub(in super::super) struct HistoryColumns<'a> {
    pub(in super::super) id: i64,
    pub(in super::super) previous: i64,
    at: i64,
    name: &'a str,
    r#type: &'a str,
    from_state: Option<&'a str>,
    from_owner: Option<&'a str>,
    to_state: Option<&'a str>,
    to_owner: Option<&'a str>,
}

impl<'a> Columns<'a> for HistoryColumns<'a> {
    const TABLE: &'static str = "history";
    const SELECT: &'static str = "SELECT id, previous, at, name, type, from_state, from_owner, to_state, to_owner, \
                                  checksum FROM history";
    const COUNT: usize = 10;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self {
            id: integer::<Self>(row, 0)?,
            previous: integer::<Self>(row, 1)?,
            at: integer::<Self>(row, 2)?,
            name: text::<Self>(row, 3)?,
            r#type: text::<Self>(row, 4)?,
            from_state: maybe_text::<Self>(row, 5)?,
            from_owner: maybe_text::<Self>(row, 6)?,
            to_state: maybe_text::<Self>(row, 7)?,
            to_owner: maybe_text::<Self>(row, 8)?,
        })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.integer(self.id);
        sum.integer(self.previous);
        sum.integer(self.at);
        sum.text(self.name);
        sum.text(self.r#type);
        sum.maybe_text(self.from_state);
        sum.maybe_text(self.from_owner);
        sum.maybe_text(self.to_state);
        sum.maybe_text(self.to_owner);
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl<'a> HistoryColumns<'a> {
    /// Writes a new row.
    pub(in super::super) const INSERT: &'static str = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

    pub(in super::super) fn of(transition: &'a Transition) -> Self {
        let (from_state, from_owner) = parts(transition.from.as_ref());
        let (to_state, to_owner) = parts(transition.to.as_ref());
        Self {
            id: transition.id.cast_signed(),
            previous: transition.previous.cast_signed(),
            at: transition.at.as_nanos(),
            name: transition.name.as_str(),
            r#type: transition.r#type.as_str(),
            from_state,
            from_owner,
            to_state,
            to_owner,
        }
    }

    /// Runs [`Self::INSERT`].
    pub(in super::super) fn write(&self, insert: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        insert.execute((
            self.id,
            self.previous,
            self.at,
            self.name,
            self.r#type,
            self.from_state,
            self.from_owner,
            self.to_state,
            self.to_owner,
            sum.of(self),
        ))
    }

    /// The row as it is shown.
    pub(in super::super) fn shown(&self) -> HistoryRow {
        let standing = |state: Option<&str>, owner: Option<&str>| Some((State::from(state?), owner.map(Owner::from)));
        HistoryRow {
            id: self.id.cast_unsigned(),
            at: WallTime::from_nanos(self.at),
            name: self.name.to_owned(),
            r#type: self.r#type.to_owned(),
            from: standing(self.from_state, self.from_owner),
            to: standing(self.to_state, self.to_owner),
        }
    }
}

fn parts(standing: Option<&(State, Option<Owner>)>) -> (Option<&str>, Option<&str>) {
    standing.map_or((None, None), |(state, owner)| (Some(state.as_str()), owner.as_ref().map(Owner::as_str)))
}
