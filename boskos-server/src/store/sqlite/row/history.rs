//! Rows of the table `history`.

use boskos_core::{
    Owner, State, WallTime,
    ranch::plan::{Put, Record, Sequence, Transition},
};
use rusqlite::{Row, Statement};

use super::{Checksum, Columns, Damage, damage, flag, integer, maybe_integer, maybe_text, text};
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
    pub(in super::super) moved: Option<Moved>,
}

/// What else makes of a resource's row as it was the one after a transition, where that row is written later.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Moved {
    /// The resource's key.
    pub(in super::super) key: u32,
    expires: Option<i64>,
    leaving: bool,
}

/// What a transition made of a resource.
#[derive(Clone, Debug)]
pub(in super::super) struct LateForm {
    pub(in super::super) id: Sequence,
    at: WallTime,
    state: State,
    owner: Option<Owner>,
    expires: Option<WallTime>,
    leaving: bool,
}

impl LateForm {
    /// Brings a resource up to date, unless its row was written since.
    pub(in super::super) fn apply(&self, record: &mut Record) {
        if self.id <= record.last_transition {
            return;
        }
        let resource = &mut record.resource;
        resource.state = self.state.clone();
        resource.owner.clone_from(&self.owner);
        resource.last_update = self.at;
        resource.expiration = self.expires;
        record.sequence = self.id;
        record.last_transition = self.id;
        record.leaving = self.leaving;
    }
}

impl<'a> Columns<'a> for HistoryColumns<'a> {
    const TABLE: &'static str = "history";
    const SELECT: &'static str = "SELECT id, previous, at, name, type, from_state, from_owner, to_state, to_owner, \
                                  key, expires, leaving, checksum FROM history";
    const COUNT: usize = 13;

    fn select(format: u32) -> &'static str {
        match format {
            1 => {
                "SELECT id, previous, at, name, type, from_state, from_owner, to_state, to_owner, \
                 NULL, NULL, NULL, checksum FROM history"
            }
            _ => Self::SELECT,
        }
    }

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
            moved: match maybe_integer::<Self>(row, 9)? {
                None => None,
                Some(key) => Some(Moved {
                    key: u32::try_from(key).map_err(|_| damage::<Self>(row, 9))?,
                    expires: maybe_integer::<Self>(row, 10)?,
                    leaving: flag::<Self>(row, 11)?,
                }),
            },
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
        // Rows without have the checksum that they had before there was such a thing.
        if let Some(Moved { key, expires, leaving }) = self.moved {
            sum.integer(key.into());
            sum.maybe_integer(expires);
            sum.integer(leaving.into());
        }
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl<'a> HistoryColumns<'a> {
    /// Writes a new row.
    pub(in super::super) const INSERT: &'static str =
        "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

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
            moved: None,
        }
    }

    /// The row of a transition from which the resource's own row can be made.
    pub(in super::super) fn of_move(put: &'a Put, transition: &'a Transition) -> Self {
        let Record { resource, leaving, .. } = &*put.record;
        let expires = resource.expiration.map(WallTime::as_nanos);
        Self { moved: Some(Moved { key: put.key.get(), expires, leaving: *leaving }), ..Self::of(transition) }
    }

    /// The key of a resource whose own row may be as it was before, and what the transition made of it.
    pub(in super::super) fn late_form(&self) -> Option<(u32, LateForm)> {
        let Moved { key, expires, leaving } = self.moved?;
        let form = LateForm {
            id: self.id.cast_unsigned(),
            at: WallTime::from_nanos(self.at),
            state: State::from(self.to_state?),
            owner: self.to_owner.map(Owner::from),
            expires: expires.map(WallTime::from_nanos),
            leaving,
        };
        Some((key, form))
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
            self.moved.map(|moved| moved.key),
            self.moved.and_then(|moved| moved.expires),
            self.moved.map(|moved| moved.leaving),
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
