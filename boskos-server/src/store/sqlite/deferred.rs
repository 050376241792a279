//! Rows of resources that are written later than what is known of them.
//!
//! Most changes only move a resource from one owner and state to another, and all that is new is in their row of
//! history. So that row alone is committed with them: rows of history lie side by side, while the resources' own lie
//! all over their table, and a page for each of those would be most of what a commit writes. The resources' rows are
//! entered now and then, each once however often its resource moved. What is not entered is read from the end of
//! history, where every such row says what else its resource's own row needs.

use std::{collections::BTreeMap, sync::Arc};

use boskos_core::ranch::plan::{Put, Record, Sequence, Transition};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension as _, Statement};

use super::{
    load::{Marks, RowError, each},
    row::{Checksum, Columns as _, HistoryColumns, LateForm, ResourceColumns, Words, verified},
};

/// History shorter than this is trimmed too soon for anything to be left to it.
const LEAST_HISTORY: u64 = 1_000;

/// Entering begins when history has grown by this fraction of what is kept, at most by [`MOST_ROWS`].
const FRACTION: u64 = 16;
const MOST_ROWS: u64 = 16_384;

/// Rows entered with one batch at least, if there are any; more when it has more plans.
const BITE: usize = 256;

/// What moved since resources' rows were written, by key.
pub(super) type LateForms = HashMap<u32, LateForm>;

/// Resources whose rows are not up to date, as the writer knows them.
#[derive(Debug)]
pub(super) struct Deferred {
    /// By how much history grows before rows are entered; `None`: nothing is left to it.
    most: Option<u64>,
    /// Newest forms, by key.
    waiting: BTreeMap<u32, Arc<Record>>,
    /// Those among them that are being entered.
    entering: BTreeMap<u32, Arc<Record>>,
    /// Rows of history since entering last began.
    rows: u64,
    /// The newest that a resource needs.
    newest: Sequence,
    /// What will have been entered when nothing is left of `entering`.
    until: Sequence,
}

/// Reads what moved since resources' rows were written.
pub(super) fn late_forms(connection: &Connection, marks: &Marks) -> Result<LateForms, RowError> {
    let mut forms = LateForms::new();
    let clause = format!("WHERE id > {} AND key IS NOT NULL ORDER BY id", marks.entered);
    each::<HistoryColumns<'static>, _>(connection, &clause, |row| {
        forms.extend(row.late_form());
        Ok(())
    })?;
    Ok(forms)
}

impl Deferred {
    /// Takes up what the last writer of a file with `limit` rows of history left.
    pub(super) fn read(connection: &Connection, marks: &Marks, limit: u64) -> Result<Self, RowError> {
        let mut deferred = Self {
            most: (limit >= LEAST_HISTORY).then(|| (limit / FRACTION).min(MOST_ROWS)),
            waiting: BTreeMap::new(),
            entering: BTreeMap::new(),
            rows: 0,
            newest: marks.entered,
            until: marks.entered,
        };
        let mut words = Words::default();
        let mut sum = Checksum::default();
        let mut row = connection.prepare(&format!("{} WHERE key = ?", ResourceColumns::SELECT))?;
        for (key, form) in late_forms(connection, marks)? {
            deferred.newest = deferred.newest.max(form.id);
            let found = row.query_row([key], |row| {
                Ok(verified::<ResourceColumns<'_>>(row, &mut sum).and_then(|row| row.stored(&mut words)))
            });
            // One that is not there was deleted since.
            if let Some(stored) = found.optional()? {
                let mut record = stored?.record;
                form.apply(&mut record);
                deferred.waiting.insert(key, Arc::new(record));
            }
        }
        deferred.rows = deferred.waiting.len() as u64;
        Ok(deferred)
    }

    /// Whether a resource's own row may wait, its row of history being written. It may not where that row is older than
    /// what is said to be entered, or will be: nobody would look for it there.
    pub(super) fn takes<'p>(&self, put: &'p Put) -> Option<&'p Transition> {
        let transition = put.transition.as_ref().filter(|_| self.most.is_some() && put.moves_only);
        transition.filter(|transition| transition.id > self.until)
    }

    /// A resource moved.
    pub(super) fn add(&mut self, put: &Put, transition: &Transition) {
        let key = put.key.get();
        self.entering.remove(&key);
        self.waiting.insert(key, put.record.clone());
        self.newest = transition.id;
    }

    /// A row of history is written.
    pub(super) fn noted(&mut self) {
        self.rows += 1;
    }

    /// A resource's own row is written, or deleted.
    pub(super) fn forget(&mut self, key: u32) {
        self.entering.remove(&key);
        self.waiting.remove(&key);
    }

    /// Writes a bounded part of the rows if it is time to, at least as many as there are `plans`.
    pub(super) fn enter(
        &mut self,
        plans: usize,
        put: &mut Statement<'_>,
        sum: &mut Checksum,
        marks: &mut Marks,
    ) -> rusqlite::Result<()> {
        if self.entering.is_empty() {
            if self.rows <= self.most.unwrap_or(0) {
                return Ok(());
            }
            self.begin();
        }
        for _ in 0..plans.max(BITE) {
            let Some((key, record)) = self.entering.pop_first() else { break };
            ResourceColumns::of_record(key, &record).write(put, sum)?;
        }
        if self.entering.is_empty() {
            marks.entered = self.until;
        }
        Ok(())
    }

    /// Whether rows are left to be written.
    pub(super) fn is_open(&self) -> bool {
        !self.entering.is_empty() || !self.waiting.is_empty()
    }

    /// Writes a bounded part of the rows, be it time to or not.
    pub(super) fn enter_some(
        &mut self,
        put: &mut Statement<'_>,
        sum: &mut Checksum,
        marks: &mut Marks,
    ) -> rusqlite::Result<()> {
        if self.entering.is_empty() {
            self.begin();
        }
        self.enter(0, put, sum, marks)
    }

    /// Writes all of the rows.
    pub(super) fn enter_all(
        &mut self,
        put: &mut Statement<'_>,
        sum: &mut Checksum,
        marks: &mut Marks,
    ) -> rusqlite::Result<()> {
        while self.is_open() {
            if self.entering.is_empty() {
                self.begin();
            }
            self.enter(usize::MAX, put, sum, marks)?;
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.entering = std::mem::take(&mut self.waiting);
        self.until = self.newest;
        self.rows = 0;
    }

    /// The newest row of history that is not needed for a resource.
    pub(super) fn spares(&self, marks: &Marks) -> Sequence {
        if self.is_open() { marks.entered } else { Sequence::MAX >> 1 }
    }
}
