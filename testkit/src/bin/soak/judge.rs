//! Whether a holder had lost a resource before another was granted it.

use std::time::Duration;

use boskos_client::HistoryRow;
use boskos_core::{WallTime, state::DIRTY};

use crate::event::Grant;

/// How a grant ended, by the server's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has not.
    Open,
    /// A reset took it: unowned and dirty, not sooner than the expiry after the holder was last heard of.
    Reset,
    /// The owner, or somebody in its name, gave it back in this state. Also a reset that came too soon.
    Left(String),
}

/// What is to be said of two who hold a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// The one who was there had lost it.
    Succeeded,
    /// The one who came has lost it meanwhile: the other was granted it later.
    Late,
    /// Both hold it, or one of them was never granted it.
    Double(String),
}

/// The place of `grant` among `rows`, which are the oldest first.
pub(crate) fn place(rows: &[HistoryRow], grant: &Grant) -> Option<usize> {
    rows.iter()
        .position(|row| row.time == grant.at && row.to.as_ref().is_some_and(|standing| standing.owner == grant.owner))
}

/// How the grant at `place` of `rows` ended, whose holder was last heard of at `alive`.
pub(crate) fn ending(rows: &[HistoryRow], place: usize, alive: WallTime, expire: Duration) -> Ending {
    // Heartbeats are no transitions, and a holder's state is never changed by itself: the next one is the end.
    let Some(row) = rows.get(place + 1) else { return Ending::Open };
    let silent = row.time.nanos_since(alive);
    let is_due = u128::try_from(silent).is_ok_and(|silent| silent >= expire.as_nanos());
    match &row.to {
        Some(to) if to.owner.is_empty() && to.state.as_str() == DIRTY && is_due => Ending::Reset,
        Some(to) => Ending::Left(to.state.as_str().to_owned()),
        None => Ending::Left("nothing".to_owned()),
    }
}

/// Rules on `newcomer`, who was granted what `holder`, last heard of at `alive`, has the file of. `rows` are the oldest
/// first.
pub(crate) fn rule(rows: &[HistoryRow], holder: &Grant, alive: WallTime, newcomer: &Grant, expire: Duration) -> Ruling {
    let double = |why: &str| {
        let from = rows.len().saturating_sub(6);
        let told: Vec<_> = rows[from..].iter().map(told).collect();
        Ruling::Double(format!(
            "double grant of {}: {holder} holds it, last heard of {alive}, and {newcomer} was granted it, {why}; \
             its history ends {}",
            newcomer.name,
            told.join(", ")
        ))
    };
    let (Some(held_at), Some(granted_at)) = (place(rows, holder), place(rows, newcomer)) else {
        return double("of which one is not in the history");
    };
    let (earlier, alive, ruling) = match held_at < granted_at {
        true => (held_at, alive, Ruling::Succeeded),
        false => (granted_at, newcomer.at, Ruling::Late),
    };
    match ending(rows, earlier, alive, expire) {
        Ending::Reset => ruling,
        Ending::Open | Ending::Left(_) => double("without a reset between"),
    }
}

/// A row in few words.
pub(crate) fn told(row: &HistoryRow) -> String {
    let standing = row.to.as_ref().map(|to| match to.owner.is_empty() {
        true => to.state.as_str().to_owned(),
        false => format!("{} of {}", to.state, to.owner),
    });
    format!("{} {}", row.time, standing.unwrap_or_else(|| "gone".to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use boskos_core::shown::ShownStanding;

    use super::*;

    pub(crate) const EXPIRE: Duration = Duration::from_secs(5);

    pub(crate) fn at(seconds: i64) -> WallTime {
        WallTime::from_nanos(seconds * 1_000_000_000)
    }

    pub(crate) fn grant(owner: &str, seconds: i64) -> Grant {
        Grant { name: "r".to_owned(), owner: owner.to_owned(), at: at(seconds) }
    }

    /// Rows from `(second, state, owner)`, after one that was free.
    pub(crate) fn rows(steps: &[(i64, &str, &str)]) -> Vec<HistoryRow> {
        let mut from = ShownStanding { state: "free".into(), owner: String::new() };
        let mut row = |(id, (seconds, state, owner)): (u64, &(i64, &str, &str))| {
            let to = ShownStanding { state: (*state).into(), owner: (*owner).to_owned() };
            let from = Some(std::mem::replace(&mut from, to.clone()));
            HistoryRow { id, time: at(*seconds), r#type: "t".to_owned(), from, to: Some(to) }
        };
        (1..).zip(steps).map(&mut row).collect()
    }

    fn ruled(steps: &[(i64, &str, &str)], alive: i64) -> Ruling {
        rule(&rows(steps), &grant("a", 1), at(alive), &grant("b", 20), EXPIRE)
    }

    #[test]
    fn reset_between_makes_a_successor() {
        let steps = [(1, "busy", "a"), (8, "dirty", ""), (9, "cleaning", "j"), (10, "free", ""), (20, "busy", "b")];
        assert_eq!(ruled(&steps, 3), Ruling::Succeeded);
    }

    #[test]
    fn reset_that_was_not_due_is_none() {
        let steps = [(1, "busy", "a"), (8, "dirty", ""), (20, "busy", "b")];
        let Ruling::Double(text) = ruled(&steps, 4) else { panic!() };
        assert!(["double grant of r", "a (granted", "b (granted"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn release_in_the_holders_name_an_undo_and_a_plain_second_grant_are_found() {
        for steps in [
            &[(1, "busy", "a"), (8, "free", ""), (20, "busy", "b")][..],
            &[(1, "busy", "a"), (20, "busy", "b")],
            &[(1, "busy", "a")],
            &[(20, "busy", "b")],
        ] {
            assert!(matches!(ruled(steps, 1), Ruling::Double(_)), "{steps:?}");
        }
    }

    #[test]
    fn newcomer_that_was_reset_before_it_looked_is_late() {
        let rows = rows(&[(1, "busy", "b"), (7, "dirty", ""), (8, "busy", "a")]);
        assert_eq!(rule(&rows, &grant("a", 8), at(8), &grant("b", 1), EXPIRE), Ruling::Late);
        assert!(matches!(rule(&rows, &grant("a", 8), at(8), &grant("b", 1), EXPIRE * 2), Ruling::Double(_)));
    }
}
