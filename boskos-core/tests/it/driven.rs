//! What whoever drives a ranch goes by: its effects, whether more is due at once, and whether all is written.

use std::time::Duration;

use boskos_core::{
    Lifecycle, MonoTime, Now, Resource, WallTime,
    ranch::{
        Limits, Loader, Ranch,
        command::{Acquire, CallId, Command, Effects, Receipt, Reply},
        plan::{LifecycleRecord, Outcome, Record, Stored},
    },
};
use smallvec::SmallVec;

const SECOND: i64 = 1_000_000_000;

fn at(seconds: u32) -> Now {
    Now {
        wall: WallTime::from_nanos(i64::from(seconds) * SECOND),
        mono: MonoTime::new(Duration::from_secs(seconds.into())),
    }
}

/// A loader that makes up no names.
fn loader(limits: Limits) -> Loader {
    Loader::new(limits, Box::new(|| unreachable!("nothing is to be created")), at(0))
}

fn store(loader: &mut Loader, resource: Resource, number: u32, listed: bool) {
    let sequence = u64::from(number);
    let record = Record { resource, sequence, last_transition: 0, leaving: false };
    loader.resource(Stored { key: None, record, version: 0 }, listed);
}

/// One free resource `r` of type `t`.
fn one(limits: Limits) -> Ranch {
    let mut loader = loader(limits);
    store(&mut loader, Resource::new("r".into(), "t".into(), "free".into(), at(0).wall), 1, true);
    loader.finish()
}

/// `count` resources of a dynamic type that expire after a second.
fn expiring(limits: Limits, count: u32) -> Ranch {
    let mut loader = loader(limits);
    let lifecycle = Lifecycle { max_count: count, ..Lifecycle::new("d".into()) };
    loader.lifecycle(LifecycleRecord { lifecycle, draining: false });
    for number in 1..=count {
        let mut resource = Resource::new(format!("d{number}").into(), "d".into(), "free".into(), at(0).wall);
        resource.expiration = Some(at(1).wall);
        store(&mut loader, resource, number, false);
    }
    loader.finish()
}

fn acquire(state: &str, id: Option<&str>) -> Command {
    Command::Acquire(Acquire {
        r#type: "t".into(),
        state: state.into(),
        dest: "busy".into(),
        owner: "alice".into(),
        request_id: id.map(str::to_owned),
        wait: Duration::ZERO,
    })
}

/// Answers all that is to be written; how many plans that were, and the replies.
fn settle_all(ranch: &mut Ranch, outcome: &Outcome, now: Now) -> (usize, Vec<(CallId, Reply)>) {
    let Effects { plans, mut replies } = ranch.take_effects();
    let count = plans.len();
    ranch.settle(plans.into_iter().map(|plan| (plan.id, outcome.clone())), now);
    if ranch.has_effects() {
        replies.append(&mut ranch.take_effects().replies);
    }
    (count, replies)
}

fn committed() -> Outcome {
    Outcome::Committed(SmallVec::new())
}

fn state_of_r(ranch: &Ranch) -> &str {
    ranch.resource("r").expect("it stays").0.state.as_str()
}

#[test]
fn effects_are_there_until_they_are_taken() {
    let mut ranch = one(Limits::default());
    assert!(!ranch.has_effects());
    for (state, plans, replies) in [("free", 1, 0), ("dirty", 0, 1)] {
        ranch.decide(CallId(1), acquire(state, None), at(0));
        assert!(ranch.has_effects(), "{state}");
        let mut room = Effects::default();
        ranch.swap_effects(&mut room);
        assert_eq!((room.plans.len(), room.replies.len(), ranch.has_effects()), (plans, replies, false), "{state}");
    }
}

#[test]
fn more_is_due_after_a_step_that_was_used_up_by_places() {
    for (halted, chores) in [(false, 128), (false, 0), (true, 128)] {
        let mut ranch = one(Limits { step: 2, chores, request_ttl: Duration::from_secs(1), ..Limits::default() });
        for id in ["a", "b", "c"] {
            ranch.decide(CallId(1), acquire("dirty", Some(id)), at(0));
        }
        settle_all(&mut ranch, &committed(), at(0));
        if halted {
            ranch.halt();
        }
        assert!(!ranch.work(at(0)), "nothing is due yet");
        assert!(ranch.work(at(2)), "one place is left: halted {halted}, {chores} chores");
        assert_eq!(ranch.places(), 1);
        assert!(!ranch.work(at(2)), "none is left: halted {halted}, {chores} chores");
        assert_eq!(ranch.places(), 0);
    }
}

#[test]
fn more_is_due_after_a_step_that_was_used_up_by_chores_that_may_follow() {
    let mut ranch = expiring(Limits { step: 2, ..Limits::default() }, 3);
    assert!(!ranch.work(at(0)));
    assert!(ranch.work(at(1)));
    assert_eq!(settle_all(&mut ranch, &committed(), at(1)).0, 2);
    while ranch.work(at(1)) {}
    assert_eq!(settle_all(&mut ranch, &committed(), at(1)).0, 1);
}

#[test]
fn nothing_is_due_at_once_while_as_many_chores_as_may_are_in_flight() {
    let mut ranch = expiring(Limits { chores: 1, ..Limits::default() }, 2);
    assert!(!ranch.work(at(1)));
    assert!(!ranch.work(at(1)));
    assert_eq!((ranch.in_flight(), ranch.next_wake().wall), (1, None));
    assert_eq!(settle_all(&mut ranch, &committed(), at(1)).0, 1);
    assert_eq!(ranch.next_wake().wall, Some(at(1).wall));
}

/// Grants `r`, and has the grant be taken back.
fn grant_and_undo(ranch: &mut Ranch) {
    let receipt = granted(ranch);
    ranch.decide(CallId(2), Command::Undo(receipt), at(0));
}

fn granted(ranch: &mut Ranch) -> Receipt {
    ranch.decide(CallId(1), acquire("free", None), at(0));
    let (_, mut replies) = settle_all(ranch, &committed(), at(0));
    match replies.pop() {
        Some((CallId(1), Reply::Granted(granted))) => granted.receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_is_written_when_nothing_is_in_flight_and_nothing_owed() {
    let mut ranch = one(Limits::default());
    assert!(ranch.wind_down(at(0)));
    ranch.decide(CallId(1), acquire("free", None), at(0));
    assert!(!ranch.wind_down(at(0)));
    settle_all(&mut ranch, &committed(), at(0));
    assert!(ranch.wind_down(at(0)));
}

#[test]
fn what_is_owed_is_tried_again_before_the_end() {
    let mut ranch = one(Limits::default());
    grant_and_undo(&mut ranch);
    settle_all(&mut ranch, &Outcome::NotWritten, at(0));
    assert!(!ranch.wind_down(at(0)));
    assert_eq!(settle_all(&mut ranch, &committed(), at(0)).0, 1);
    assert!(ranch.wind_down(at(0)));
    assert_eq!(state_of_r(&ranch), "free");
}

#[test]
fn what_is_owed_to_a_store_out_of_reach_stays_owed() {
    let mut ranch = one(Limits::default());
    let receipt = granted(&mut ranch);
    ranch.halt();
    ranch.decide(CallId(2), Command::Undo(receipt), at(0));
    assert!(!ranch.wind_down(at(0)));
    assert!(!ranch.has_effects());
    ranch.resume(at(0));
    assert_eq!(settle_all(&mut ranch, &committed(), at(0)).0, 1);
    assert!(ranch.wind_down(at(0)));
    assert_eq!(state_of_r(&ranch), "free");
}
