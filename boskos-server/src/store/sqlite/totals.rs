//! How often resources came to a state, as far as the writer needs to know.

use boskos_core::{ResourceType, State};
use hashbrown::HashMap;
use rusqlite::{Connection, Statement};

use super::{
    load::{RowError, each},
    row::{Checksum, TotalColumns},
};

/// The rows of `total`, so that a batch writes each that it changes once.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By id.
    totals: Vec<Total>,
    ids: HashMap<ResourceType, HashMap<State, usize>>,
    /// Ids of those that the batch changes.
    changed: Vec<usize>,
}

#[derive(Debug)]
struct Total {
    r#type: ResourceType,
    state: State,
    /// As committed.
    count: i64,
    /// What the batch adds.
    growth: i64,
}

impl Totals {
    /// Reads the table.
    pub(super) fn read(connection: &Connection) -> Result<Self, RowError> {
        let mut rows = Vec::new();
        each::<TotalColumns<'static>, _>(connection, "", |row| {
            rows.push((row.id, ResourceType::from(row.r#type), State::from(row.state), row.count));
            Ok(())
        })?;
        let mut totals = Self::default();
        rows.sort_unstable_by_key(|(id, ..)| *id);
        for (_, r#type, state, count) in rows {
            let id = totals.id(&r#type, &state);
            totals.totals[id].count = count;
        }
        Ok(totals)
    }

    /// One more came to `state`.
    pub(super) fn count(&mut self, r#type: &ResourceType, state: &State) {
        let id = self.id(r#type, state);
        let total = &mut self.totals[id];
        if total.growth == 0 {
            self.changed.push(id);
        }
        total.growth += 1;
    }

    /// Writes what the batch changes.
    pub(super) fn write(&self, replace: &mut Statement<'_>, sum: &mut Checksum) -> rusqlite::Result<()> {
        for id in &self.changed {
            let Total { r#type, state, count, growth } = &self.totals[*id];
            let id = i64::try_from(*id).expect("an index in memory");
            let row = TotalColumns { id, r#type: r#type.as_str(), state: state.as_str(), count: count + growth };
            row.write(replace, sum)?;
        }
        Ok(())
    }

    /// The batch is committed.
    pub(super) fn keep(&mut self) {
        for id in self.changed.drain(..) {
            let total = &mut self.totals[id];
            total.count += std::mem::take(&mut total.growth);
        }
    }

    fn id(&mut self, r#type: &ResourceType, state: &State) -> usize {
        if let Some(id) = self.ids.get(r#type).and_then(|ids| ids.get(state)) {
            return *id;
        }
        let id = self.totals.len();
        self.totals.push(Total { r#type: r#type.clone(), state: state.clone(), count: 0, growth: 0 });
        self.ids.entry(r#type.clone()).or_default().insert(state.clone(), id);
        id
    }
}
