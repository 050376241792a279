//! Holds what the clients say against what the server's history says, when all is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use boskos_client::{Client, Error, Filter, HistoryRow};
use boskos_core::{WallTime, state::FREE};

use crate::{
    event::{Event, Grant},
    fleet::OWNER,
    judge::{self, Ending, told},
};

/// Rows asked for at a time: many more than a resource gets between two looks.
const ROWS: usize = 1_000;

/// The history of resources, gathered while it grows: of a deleted resource the server shows none.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    /// By name, then by row.
    rows: BTreeMap<String, BTreeMap<u64, HistoryRow>>,
    /// Whose rows may lack the last ones.
    gone: BTreeSet<String>,
}

/// What the clients said, by grant.
#[derive(Debug, Default)]
pub(crate) struct Testimony {
    by_grant: BTreeMap<Grant, Account>,
    /// The longest that a client waited for a grant.
    pub(crate) worst_wait: Duration,
    /// Files that were a former holder's.
    pub(crate) taken_over: u64,
    /// Clients that ended without giving back, on purpose.
    pub(crate) died: u64,
    /// Leases that holders found lost.
    pub(crate) lost: u64,
}

/// What was said of one grant.
#[derive(Clone, Debug, Default)]
struct Account {
    /// The note that was there, if the client came to hold the resource.
    seen: Option<Option<String>>,
    /// Notes in the order of their writing, and whether the server acknowledged each.
    notes: Vec<(String, bool)>,
    alive: Option<WallTime>,
    /// The state of the release.
    releasing: Option<String>,
    released: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What must not be.
    pub(crate) violations: Vec<String>,
    /// Grants that a client read.
    pub(crate) read: u64,
    /// Grants that no client came to use and that went back as if they had never been.
    pub(crate) undone: u64,
    /// Grants to clients that a reset ended.
    pub(crate) resets: u64,
    /// Grants that a release ended.
    pub(crate) releases: u64,
    /// Transitions that were looked at.
    pub(crate) rows: usize,
    /// Grants of resources that were deleted before their history was seen.
    pub(crate) unseen: u64,
}

// === impl Chronicle ===

impl Chronicle {
    /// Reads the history of all there is, and of `names`.
    ///
    /// # Errors
    ///
    /// If the server cannot be asked.
    pub(crate) async fn gather(&mut self, client: &Client, names: BTreeSet<String>) -> Result<(), Error> {
        let listed = client.list(&Filter::default()).await?;
        let mut all: BTreeSet<String> = listed.iter().map(|resource| resource.name.as_str().to_owned()).collect();
        all.extend(names);
        // A name that was there the last time may have its last rows by now.
        all.extend(self.rows.keys().filter(|name| !self.gone.contains(*name)).cloned());
        for name in all {
            match client.history(&name, ROWS).await {
                Ok(rows) => self.add(&name, rows),
                Err(Error::NotFound { .. }) => {
                    self.gone.insert(name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, rows: Vec<HistoryRow>) {
        self.rows.entry(name.to_owned()).or_default().extend(rows.into_iter().map(|row| (row.id, row)));
    }
}

// === impl Testimony ===

impl Testimony {
    /// Takes an event down; a violation is the caller's.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Granted { grant, waited_ms, note, took_over } => {
                self.by_grant.entry(grant.clone()).or_default().seen = Some(note.clone());
                self.worst_wait = self.worst_wait.max(Duration::from_millis(*waited_ms));
                self.taken_over += u64::from(*took_over);
            }
            Event::Noting { grant, note } => self.account(grant).notes.push((note.clone(), false)),
            Event::Noted { grant, note, sent_at } => {
                let account = self.account(grant);
                account.alive = Some(*sent_at);
                account.notes.iter_mut().filter(|(other, _)| other == note).for_each(|(_, is_acked)| *is_acked = true);
            }
            Event::Releasing { grant, dest } => self.account(grant).releasing = Some(dest.clone()),
            Event::Released { grant } => self.account(grant).released = true,
            Event::Lost { .. } => self.lost += 1,
            Event::Dying { .. } => self.died += 1,
            Event::Violation { .. } => {}
        }
    }

    fn account(&mut self, grant: &Grant) -> &mut Account {
        self.by_grant.entry(grant.clone()).or_default()
    }

    /// The resources that clients were granted.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.by_grant.keys().map(|grant| grant.name.clone()).collect()
    }
}

/// Compares the two.
pub(crate) fn audit(chronicle: &Chronicle, testimony: &Testimony, expire: Duration) -> Findings {
    let mut findings = Findings::default();
    let mut matched = BTreeSet::new();
    for (name, rows) in &chronicle.rows {
        let rows: Vec<HistoryRow> = rows.values().cloned().collect();
        findings.rows += rows.len();
        findings.chain(name, &rows);
        // Unknown before the first row that was seen.
        let mut notes = BTreeSet::from([None]);
        for place in 0..rows.len() {
            let Some(grant) = granted_at(name, &rows[place]) else { continue };
            let account = testimony.by_grant.get(&grant).cloned().unwrap_or_default();
            let ending = judge::ending(&rows, place, account.alive.unwrap_or(grant.at), expire);
            if ending != Ending::Open || !chronicle.gone.contains(name) {
                findings.end(&grant, &account, ending);
            }
            findings.read += u64::from(account.seen.is_some());
            findings.notes(&grant, &account, &mut notes);
            matched.insert(grant);
        }
    }
    for (grant, account) in testimony.by_grant.iter().filter(|(grant, _)| !matched.contains(*grant)) {
        if chronicle.gone.contains(&grant.name) {
            findings.unseen += 1;
            findings.read += u64::from(account.seen.is_some());
        } else {
            findings
                .violations
                .push(format!("{} was granted to {grant}, and the history has no such thing", grant.name));
        }
    }
    findings
}

/// The grant to a client that a row is.
fn granted_at(name: &str, row: &HistoryRow) -> Option<Grant> {
    let to = row.to.as_ref().filter(|to| to.owner.starts_with(OWNER))?;
    Some(Grant { name: name.to_owned(), owner: to.owner.clone(), at: row.time })
}

// === impl Findings ===

impl Findings {
    /// Each transition begins where the one before it ended, and what is granted is nobody's.
    fn chain(&mut self, name: &str, rows: &[HistoryRow]) {
        for pair in rows.windows(2) {
            if pair[0].to != pair[1].from {
                self.violations.push(format!(
                    "the history of {name} has a gap: {}, then {}",
                    told(&pair[0]),
                    told(&pair[1])
                ));
            }
        }
        for row in rows {
            let owner = |standing: &Option<boskos_core::shown::ShownStanding>| {
                standing.as_ref().map_or_else(String::new, |standing| standing.owner.clone())
            };
            let (from, to) = (owner(&row.from), owner(&row.to));
            if !from.is_empty() && !to.is_empty() {
                self.violations.push(format!("{name} went from {from} to {to} without being let go: {}", told(row)));
            }
        }
    }

    /// How a grant ended is how it may end.
    fn end(&mut self, grant: &Grant, account: &Account, ending: Ending) {
        match ending {
            Ending::Left(state) if account.releasing.as_ref() == Some(&state) => self.releases += 1,
            Ending::Reset => self.resets += 1,
            Ending::Left(state) if account.seen.is_none() && state == FREE => self.undone += 1,
            Ending::Left(state) => self.violations.push(format!(
                "{} was taken from {grant} and became {state}, without a release or a reset",
                grant.name
            )),
            Ending::Open if account.released => self.violations.push(format!(
                "{} was released by {grant}, which the server said it was, and the history has no such thing",
                grant.name
            )),
            Ending::Open => {}
        }
    }

    /// What a client wrote and the server acknowledged is what the next one reads.
    fn notes(&mut self, grant: &Grant, account: &Account, notes: &mut BTreeSet<Option<String>>) {
        if let Some(seen) = &account.seen {
            if !notes.contains(seen) {
                self.violations.push(format!(
                    "{} has the note {seen:?} as it is granted to {grant}, and should have {notes:?}",
                    grant.name
                ));
            }
            *notes = BTreeSet::from([seen.clone()]);
        }
        for (note, is_acked) in &account.notes {
            if *is_acked {
                notes.clear();
            }
            notes.insert(Some(note.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::{EXPIRE, at, rows};

    fn grant(client: u32, seconds: i64) -> Grant {
        Grant { name: "r".to_owned(), owner: format!("{OWNER}{client}"), at: at(seconds) }
    }

    fn granted(client: u32, seconds: i64, note: Option<&str>) -> Event {
        let note = note.map(str::to_owned);
        Event::Granted { grant: grant(client, seconds), waited_ms: 1, note, took_over: false }
    }

    fn releasing(client: u32, seconds: i64, dest: &str) -> Event {
        Event::Releasing { grant: grant(client, seconds), dest: dest.to_owned() }
    }

    fn released(client: u32, seconds: i64) -> Event {
        Event::Released { grant: grant(client, seconds) }
    }

    fn audited(steps: &[(i64, &str, &str)], events: &[Event]) -> Findings {
        let mut chronicle = Chronicle::default();
        chronicle.add("r", rows(steps));
        let mut testimony = Testimony::default();
        events.iter().for_each(|event| testimony.take(event));
        audit(&chronicle, &testimony, EXPIRE)
    }

    #[test]
    fn releases_resets_and_undone_grants_are_told_apart() {
        let findings = audited(
            &[
                (1, "busy", "soak-client-1"),
                (2, "dirty", ""),
                (3, "cleaning", "Janitor"),
                (4, "free", ""),
                (5, "busy", "soak-client-2"),
                (10, "dirty", ""),
                (11, "free", ""),
                (12, "busy", "soak-client-3"),
                (13, "free", ""),
            ],
            &[granted(1, 1, None), releasing(1, 1, "dirty"), released(1, 1), granted(2, 5, None)],
        );
        assert_eq!(findings.violations, Vec::<String>::new());
        assert_eq!((findings.read, findings.releases, findings.resets, findings.undone), (2, 1, 1, 1));
    }

    #[test]
    fn acknowledged_grant_and_release_that_are_missing_are_found() {
        let findings = audited(&[(1, "busy", "soak-client-1")], &[granted(2, 2, None)]);
        assert!(findings.violations[0].contains("no such thing"), "{findings:?}");
        let all = [granted(1, 1, None), releasing(1, 1, "free"), released(1, 1)];
        assert!(audited(&[(1, "busy", "soak-client-1")], &all).violations[0].contains("was released"));
    }

    #[test]
    fn what_is_taken_from_a_holder_is_found() {
        for end in [(3, "free", ""), (3, "dirty", ""), (3, "busy", "soak-client-2")] {
            let findings = audited(&[(1, "busy", "soak-client-1"), end], &[granted(1, 1, None)]);
            assert!(findings.violations.iter().any(|text| text.contains("soak-client-1")), "{end:?}: {findings:?}");
        }
    }

    #[test]
    fn lost_note_is_found_and_one_without_an_answer_may_be_there_or_not() {
        let note = |text: &str| Event::Noting { grant: grant(1, 1), note: text.to_owned() };
        let steps = [(1, "busy", "soak-client-1"), (2, "free", ""), (3, "busy", "soak-client-2"), (4, "free", "")];
        let all = |seen| {
            let noted = Event::Noted { grant: grant(1, 1), note: "a".to_owned(), sent_at: at(1) };
            let ends = [releasing(1, 1, "free"), granted(2, 3, seen), releasing(2, 3, "free")];
            [granted(1, 1, None), note("a"), noted, note("b")].into_iter().chain(ends).collect::<Vec<_>>()
        };
        assert!(audited(&steps, &all(Some("a"))).violations.is_empty());
        assert!(audited(&steps, &all(Some("b"))).violations.is_empty());
        assert_eq!(audited(&steps, &all(None)).violations.len(), 1);
    }

    #[test]
    fn gap_in_a_history_is_found() {
        let mut broken = rows(&[(1, "busy", "soak-client-1"), (2, "free", ""), (3, "dirty", "")]);
        broken.remove(1);
        let mut chronicle = Chronicle::default();
        chronicle.add("r", broken);
        let findings = audit(&chronicle, &Testimony::default(), EXPIRE);
        assert!(findings.violations[0].contains("gap"), "{findings:?}");
    }
}
