//! Moves whose resources' own rows are written later.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use boskos_core::{
    State, WallTime,
    ranch::plan::{Plan, Record, Write},
};
use boskos_server::store::{
    SqliteStore, Store as _, StoreError,
    sqlite::{Disturbance, Moment, SqliteOptions, check_store},
};
use rusqlite::{Connection, ffi};

use crate::harness::{PATIENCE, eventually};
use crate::store_support::{
    Contents, Event, Started, as_after_crash, change, contents, contents_in, create, delete, open, options, plan,
    record, sqlite, touch, user_data,
};

const RESOURCES: u32 = 40;

/// Seeded numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What the store should hold, and what comes next.
struct Play {
    dice: Dice,
    sequence: u64,
    resources: BTreeMap<u32, Record>,
}

impl Play {
    fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), sequence: 0, resources: BTreeMap::new() }
    }

    /// One change of one resource: mostly a move.
    fn step(&mut self) -> Plan {
        self.sequence += 1;
        let sequence = self.sequence;
        let key = u32::try_from(self.dice.below(RESOURCES.into())).unwrap();
        let name = format!("resource-{key}");
        let Some(before) = self.resources.get(&key).cloned() else {
            let new = record(&name, "free", None, sequence);
            self.resources.insert(key, new.clone());
            return plan(sequence, [create(key, &new)]);
        };
        let mut after = before.clone();
        let write = match self.dice.below(20) {
            0 => {
                self.resources.remove(&key);
                return plan(sequence, [delete(key, &before, sequence)]);
            }
            1 | 2 => {
                after.sequence = sequence;
                after.resource.last_update = WallTime::from_nanos(sequence.cast_signed());
                after.resource.user_data = user_data(&[("beat", &sequence.to_string())]);
                touch(key, &after)
            }
            3 => {
                // An undo: as old as it was before.
                after.last_transition = sequence;
                after.resource.state = State::from("free");
                after.resource.owner = None;
                change(key, &after, Some(&before), before.last_transition)
            }
            other => {
                (after.sequence, after.last_transition) = (sequence, sequence);
                after.resource.last_update = WallTime::from_nanos(sequence.cast_signed());
                after.resource.state =
                    State::from(["free", "busy", "dirty", "made up"][usize::try_from(other).unwrap() % 4]);
                after.resource.owner = (other % 3 > 0).then(|| format!("owner-{other}").as_str().into());
                after.resource.expiration =
                    (other % 5 == 0).then(|| WallTime::from_nanos(1_000 + sequence.cast_signed()));
                after.leaving = other % 7 == 0;
                change(key, &after, Some(&before), before.last_transition)
            }
        };
        self.resources.insert(key, after);
        plan(sequence, [write])
    }
}

/// Rows of history that a resource's own row lacks.
fn pending(connection: &Connection) -> u32 {
    let sql = "SELECT count(*) FROM history JOIN resource USING (key) WHERE history.id > last_transition";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn whatever_moved_is_found_again_after_a_crash() {
    let mut were_pending = 0;
    for seed in 0..4 {
        let mut play = Play::new(seed);
        let mut dir = tempfile::tempdir().unwrap();
        let mut started = sqlite(dir.path());
        for round in 0..60 {
            let steps = 1 + play.dice.below(30);
            started.commit((0..steps).map(|_| play.step()).collect::<Vec<_>>());
            assert_eq!(contents(&*started.store).resources, play.resources, "seed {seed}, round {round}");
            if round % 5 == 0 {
                // What is on the disk at this moment goes on as a store of its own.
                let crashed = as_after_crash(dir.path());
                let file = crashed.path().join("boskos.db");
                were_pending += pending(&Connection::open(&file).unwrap());
                assert_eq!(contents_in(crashed.path()).resources, play.resources, "seed {seed}, round {round}");
                drop(started);
                dir = crashed;
                started = sqlite(dir.path());
            }
        }
        started.store.close().unwrap();
        let file = Connection::open(dir.path().join("boskos.db")).unwrap();
        assert_eq!(pending(&file), 0, "an orderly stop leaves nothing to do");
        assert_eq!(contents_in(dir.path()).resources, play.resources);
        assert!(check_store(dir.path()).unwrap().is_sound());
    }
    assert!(were_pending > 100, "{were_pending}");
}

/// A store that takes any pause for rest, and tells of each time that rows are entered, which it may fail to be.
struct Restless {
    entered: Sender<()>,
    fails: bool,
}

impl Disturbance for Restless {
    fn at(&self, moment: Moment, _connection: &Connection) -> rusqlite::Result<()> {
        if moment != Moment::Enter {
            return Ok(());
        }
        // Who looks may have seen enough.
        self.entered.send(()).ok();
        if self.fails { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)) } else { Ok(()) }
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(1)
    }
}

fn restless(dir: &Path, restless: Restless) -> Started {
    let options = SqliteOptions { history_rows: 100_000, ..options(dir) };
    Started::new(Arc::new(SqliteStore::open_disturbed(options, Arc::new(restless)).unwrap().store))
}

#[test]
fn rows_that_cannot_be_entered_cost_nobody_a_write_and_are_tried_once_after_each_that_succeeds() {
    const ROUNDS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    let (sender, entered) = channel();
    let started = restless(dir.path(), Restless { entered: sender, fails: true });
    let mut form = record("r", "free", None, 1);
    started.commit([plan(1, [create(1, &form)])]);
    let count = |event: &Event| started.log.events().iter().filter(|seen| *seen == event).count();
    for round in 1..=ROUNDS {
        let number = 1 + round as u64;
        let owner = format!("owner-{round}");
        let moved = record("r", "busy", Some(&owner), number);
        started.commit([plan(number, [change(1, &moved, Some(&form), number - 1)])]);
        form = moved;
        started.log.wait(|events| events.iter().filter(|event| **event == Event::Resumed).count() == round);
    }
    assert_eq!(count(&Event::Resumed), ROUNDS);
    let halts = started.log.events().into_iter().filter(|event| matches!(event, Event::Halted(_))).collect::<Vec<_>>();
    assert!(
        halts.len() == ROUNDS && halts.iter().all(|halt| matches!(halt, Event::Halted(why) if why.contains("full")))
    );
    assert_eq!(entered.try_iter().count(), ROUNDS, "never again before another write has succeeded");
    assert_eq!(contents_in(as_after_crash(dir.path()).path()).resources.get(&1), Some(&form));
}

#[test]
fn rows_that_were_left_for_later_are_entered_when_no_more_plans_come() {
    const COUNT: u32 = 600;
    let dir = tempfile::tempdir().unwrap();
    let (sender, entered) = channel();
    let started = restless(dir.path(), Restless { entered: sender, fails: false });
    let name = |key: u32| format!("r{key}");
    let create = |key: u32| create(key, &record(&name(key), "free", None, key.into()));
    started.commit([plan(1, (1..=COUNT).map(create))]);
    let moved = (1..=COUNT).map(|key| {
        let (before, after) = (u64::from(key), u64::from(COUNT + key));
        change(
            key,
            &record(&name(key), "busy", Some("me"), after),
            Some(&record(&name(key), "free", None, before)),
            before,
        )
    });
    started.commit([plan(2, moved)]);
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    eventually("nothing is pending", || (pending(&tool) == 0).then_some(()));
    assert_eq!(entered.try_iter().count(), 3, "in bites");
    assert_eq!(contents_in(as_after_crash(dir.path()).path()).resources.len(), 600);
}

#[test]
fn move_of_an_earlier_number_than_what_is_entered_is_found_again_too() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, entered) = channel();
    let started = restless(dir.path(), Restless { entered: sender, fails: false });
    let free = [record("r1", "free", None, 1), record("r2", "free", None, 2)];
    let busy = |name: &str, number: u64| record(name, "busy", Some("me"), number);
    started.commit([plan(1, [create(1, &free[0])]), plan(2, [create(2, &free[1])])]);
    // Numbered in one order and sent off in the other.
    started.commit([plan(3, [change(2, &busy("r2", 4), Some(&free[1]), 2)])]);
    entered.recv_timeout(PATIENCE).unwrap();
    started.commit([plan(4, [change(1, &busy("r1", 3), Some(&free[0]), 1)])]);
    let found = contents_in(as_after_crash(dir.path()).path()).resources;
    assert_eq!(found, BTreeMap::from([(1, busy("r1", 3)), (2, busy("r2", 4))]));
}

/// Free resources, and the same busy, each under a number of its own.
fn moves(count: u32) -> (Vec<Record>, Vec<Record>) {
    let name = |key: u32| format!("r{key}");
    let free = (1..=count).map(|key| record(&name(key), "free", None, key.into())).collect();
    let busy = (1..=count).map(|key| record(&name(key), "busy", Some("me"), (count + key).into())).collect();
    (free, busy)
}

fn moved(key: u32, free: &[Record], busy: &[Record]) -> Write {
    let index = key as usize - 1;
    change(key, &busy[index], Some(&free[index]), free[index].last_transition)
}

#[test]
fn move_of_an_earlier_number_than_what_is_being_entered_is_found_again_too() {
    const COUNT: u32 = 600;
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let (free, busy) = moves(COUNT);
    started.commit([plan(1, (1..=COUNT).map(|key| create(key, &free[key as usize - 1])))]);
    // All but the first; some of them are entered with this commit, the others with those that follow.
    started.commit([plan(2, (2..=COUNT).map(|key| moved(key, &free, &busy)))]);
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    assert!((1..COUNT).contains(&pending(&tool)), "{}", pending(&tool));
    started.commit([plan(3, [moved(1, &free, &busy)])]);
    for number in 4..10_u32 {
        let other = record(&format!("o{number}"), "free", None, u64::from(2 * COUNT + number));
        started.commit([plan(number.into(), [create(COUNT + number, &other)])]);
    }
    assert_eq!(pending(&tool), 0);
    assert_eq!(contents_in(as_after_crash(dir.path()).path()).resources.get(&1), Some(&busy[0]));
}

#[test]
fn rows_of_history_that_very_many_moves_need_outlast_a_trim() {
    const COUNT: u32 = 1_500;
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let (free, busy) = moves(COUNT);
    started.commit([plan(1, (1..=COUNT).map(|key| create(key, &free[key as usize - 1])))]);
    started.commit([plan(2, (1..=COUNT).map(|key| moved(key, &free, &busy)))]);
    let found = contents_in(as_after_crash(dir.path()).path()).resources;
    assert!(found.values().eq(&busy), "{} resources", found.len());
}

#[test]
fn operators_see_resources_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let free = record("r", "free", None, 1);
    let mut busy = record("r", "busy", Some("me"), 3);
    busy.resource.expiration = Some(WallTime::from_nanos(1_136_214_245_123_000_000));
    started.commit([plan(1, [create(1, &free), create(2, &record("s", "free", None, 2))])]);
    started.commit([plan(2, [change(1, &busy, Some(&free), 1)])]);
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    let look = || -> Vec<(String, String, String, Option<String>)> {
        let mut rows = tool.prepare("SELECT name, state, owner, expires FROM resources").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let expected = [
        ("r".into(), "busy".into(), "me".into(), Some("2006-01-02T15:04:05.123Z".into())),
        ("s".into(), "free".into(), String::new(), None),
    ];
    assert_eq!(pending(&tool), 1);
    assert_eq!(look(), expected);
    started.store.close().unwrap();
    assert_eq!(pending(&tool), 0);
    assert_eq!(look(), expected);
}

#[test]
fn history_that_a_resource_needs_is_not_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let (free, busy) = (record("r", "free", None, 1), record("r", "busy", Some("me"), 2));
    started.commit([plan(1, [create(1, &free)]), plan(2, [change(1, &busy, Some(&free), 1)])]);
    let rows = || -> i64 {
        let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
        tool.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap()
    };
    for number in 3..3_000_u32 {
        started.commit([plan(
            number.into(),
            [create(number, &record(&format!("n{number}"), "free", None, number.into()))],
        )]);
        if number % 500 == 0 {
            assert_eq!(contents_in(as_after_crash(dir.path()).path()).resources.get(&1), Some(&busy));
        }
    }
    assert!((1_000..1_100).contains(&rows()), "{}", rows());
}

#[test]
fn damaged_row_that_a_resource_needs_is_refused() {
    for change_of_row in ["expires = 5", "key = 2", "leaving = 1", "to_owner = 'x'", "key = NULL"] {
        let dir = tempfile::tempdir().unwrap();
        let started = sqlite(dir.path());
        let (free, busy) = (record("r", "free", None, 1), record("r", "busy", Some("me"), 3));
        started.commit([plan(1, [create(1, &free), create(2, &record("s", "free", None, 2))])]);
        started.commit([plan(2, [change(1, &busy, Some(&free), 1)])]);
        let crashed = as_after_crash(dir.path());
        let tool = Connection::open(crashed.path().join("boskos.db")).unwrap();
        let changed = tool.execute(&format!("UPDATE history SET {change_of_row} WHERE key = 1"), []).unwrap();
        assert_eq!(changed, 1);
        drop(tool);
        let refused = SqliteStore::open(options(crashed.path()))
            .map_err(StoreError::from)
            .and_then(|opened| opened.store.load(&mut Contents::default()));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("history"), "{change_of_row}: {error}");
        assert!(!check_store(crashed.path()).unwrap().is_sound(), "{change_of_row}");
    }
}

#[test]
fn shorter_history_still_finds_what_moved() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let (free, busy) = (record("r", "free", None, 1), record("r", "busy", Some("me"), 2));
    started.commit([plan(1, [create(1, &free)]), plan(2, [change(1, &busy, Some(&free), 1)])]);
    let crashed = as_after_crash(dir.path());
    let short = SqliteOptions { history_rows: 0, ..options(crashed.path()) };
    let reopened = Started::new(std::sync::Arc::new(SqliteStore::open(short).unwrap().store));
    assert_eq!(contents(&*reopened.store).resources.get(&1), Some(&busy));
    let again = record("r", "free", None, 3);
    reopened.commit([plan(3, [change(1, &again, Some(&busy), 2)])]);
    drop(reopened);
    let tool = Connection::open(crashed.path().join("boskos.db")).unwrap();
    assert_eq!(pending(&tool), 0);
    assert_eq!(contents(&open(crashed.path()).store).resources.get(&1), Some(&again));
}

#[test]
fn history_that_a_resource_needs_cannot_be_pruned_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let started = sqlite(dir.path());
    let (free, busy) = (record("r", "free", None, 1), record("r", "busy", Some("me"), 2));
    started.commit([plan(1, [create(1, &free)]), plan(2, [change(1, &busy, Some(&free), 1)])]);
    let tool = Connection::open(dir.path().join("boskos.db")).unwrap();
    let refused = tool.execute("DELETE FROM history", []).unwrap_err().to_string();
    assert!(refused.contains("still needs"), "{refused}");
    assert_eq!(tool.execute("DELETE FROM history WHERE id < 2", []).unwrap(), 1);
    started.store.close().unwrap();
    assert_eq!(tool.execute("DELETE FROM history", []).unwrap(), 1);
    assert_eq!(contents_in(dir.path()).resources.get(&1), Some(&busy));
}
