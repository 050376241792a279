//! Rows of the table `resource`.

use std::{borrow::Borrow, hash::Hash};

use boskos_core::{
    Owner, Resource, ResourceType, State, UserData, WallTime,
    ranch::plan::{Put, Record, ResourceKey, Stored},
};
use hashbrown::HashSet;
use rusqlite::{Row, Statement};

use super::{Checksum, Columns, Damage, damage, flag, integer, maybe_integer, maybe_text, text};

/// One row.
#[derive(Debug)]
pub(in super::super) struct ResourceColumns<'a> {
    key: u32,
    name: &'a str,
    r#type: &'a str,
    state: &'a str,
    owner: Option<&'a str>,
    updated: i64,
    expires: Option<i64>,
    sequence: i64,
    last_transition: i64,
    leaving: bool,
    user_data: Option<&'a str>,
}

/// Words that many rows have in common, each kept once.
#[derive(Debug, Default)]
pub(in super::super) struct Words {
    types: Shared<ResourceType>,
    states: Shared<State>,
    owners: Shared<Owner>,
}

/// Words of one kind.
#[derive(Debug)]
struct Shared<T> {
    met: HashSet<T>,
    /// That of the row before, which often has the same.
    last: Option<T>,
}

impl<'a> Columns<'a> for ResourceColumns<'a> {
    const TABLE: &'static str = "resource";
    const SELECT: &'static str = "SELECT key, name, type, state, owner, updated, expires, sequence, last_transition, \
                                  leaving, user_data, checksum FROM resource";
    const COUNT: usize = 12;

    fn read(row: &'a Row<'_>) -> Result<Self, Damage> {
        Ok(Self {
            key: u32::try_from(integer::<Self>(row, 0)?).map_err(|_| damage::<Self>(row, 0))?,
            name: text::<Self>(row, 1)?,
            r#type: text::<Self>(row, 2)?,
            state: text::<Self>(row, 3)?,
            owner: maybe_text::<Self>(row, 4)?,
            updated: integer::<Self>(row, 5)?,
            expires: maybe_integer::<Self>(row, 6)?,
            sequence: integer::<Self>(row, 7)?,
            last_transition: integer::<Self>(row, 8)?,
            leaving: flag::<Self>(row, 9)?,
            user_data: maybe_text::<Self>(row, 10)?,
        })
    }

    fn feed(&self, sum: &mut Checksum) {
        sum.integer(self.key.into());
        sum.text(self.name);
        sum.text(self.r#type);
        sum.text(self.state);
        sum.maybe_text(self.owner);
        sum.integer(self.updated);
        sum.maybe_integer(self.expires);
        sum.integer(self.sequence);
        sum.integer(self.last_transition);
        sum.integer(self.leaving.into());
        sum.maybe_text(self.user_data);
    }

    fn key(&self) -> String {
        format!("{} ({:?})", self.key, self.name)
    }
}

impl<'a> ResourceColumns<'a> {
    /// Writes a row, whether or not its key is there.
    ///
    /// Writing all columns costs less than to update some: the row that was need not be read.
    pub(in super::super) const REPLACE: &'static str =
        "REPLACE INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

    /// Writes a row unless its key is there.
    pub(in super::super) const CREATE: &'static str =
        "INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";

    pub(in super::super) fn of(put: &'a Put) -> Self {
        Self::of_record(put.key.get(), &put.record)
    }

    pub(in super::super) fn of_record(key: u32, record: &'a Record) -> Self {
        let Record { resource, sequence, last_transition, leaving } = record;
        Self {
            key,
            name: resource.name.as_str(),
            r#type: resource.r#type.as_str(),
            state: resource.state.as_str(),
            owner: resource.owner.as_ref().map(Owner::as_str),
            updated: resource.last_update.as_nanos(),
            expires: resource.expiration.map(WallTime::as_nanos),
            sequence: sequence.cast_signed(),
            last_transition: last_transition.cast_signed(),
            leaving: *leaving,
            user_data: (!resource.user_data.is_empty()).then(|| resource.user_data.as_json()),
        }
    }

    /// Runs [`Self::REPLACE`] or [`Self::CREATE`].
    pub(in super::super) fn write(&self, statement: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<usize> {
        statement.execute((
            self.key,
            self.name,
            self.r#type,
            self.state,
            self.owner,
            self.updated,
            self.expires,
            self.sequence,
            self.last_transition,
            self.leaving,
            self.user_data,
            sum.of(self),
        ))
    }

    /// The highest number in the row.
    pub(in super::super) fn highest(&self) -> u64 {
        self.sequence.cast_unsigned().max(self.last_transition.cast_unsigned())
    }

    /// The resource.
    pub(in super::super) fn stored(&self, words: &mut Words) -> Result<Stored, Damage> {
        let user_data = match self.user_data {
            None => UserData::default(),
            Some(json) => UserData::from_sorted_json(json).map_err(|error| Damage {
                table: Self::TABLE,
                key: self.key(),
                what: format!("its user_data is {error}"),
            })?,
        };
        let resource = Resource {
            r#type: words.types.get(self.r#type),
            name: self.name.into(),
            state: words.states.get(self.state),
            owner: self.owner.map(|owner| words.owners.get(owner)),
            last_update: WallTime::from_nanos(self.updated),
            user_data,
            expiration: self.expires.map(WallTime::from_nanos),
        };
        let record = Record {
            resource,
            sequence: self.sequence.cast_unsigned(),
            last_transition: self.last_transition.cast_unsigned(),
            leaving: self.leaving,
        };
        Ok(Stored { key: Some(ResourceKey::new(self.key)), record, version: 0 })
    }
}

// === impl Shared ===

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { met: HashSet::new(), last: None }
    }
}

impl<T> Shared<T>
where
    T: Clone + Eq + Hash + Borrow<str> + for<'a> From<&'a str>,
{
    /// The word as it was met first.
    fn get(&mut self, word: &str) -> T {
        match &self.last {
            Some(last) if last.borrow() == word => last.clone(),
            _ => self.last.insert(self.met.get_or_insert_with(word, |word| T::from(word)).clone()).clone(),
        }
    }
}
