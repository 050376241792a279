//! Places whose grants are in flight, fail, or are taken back.

use std::time::Duration;

use boskos_core::ranch::{
    Limits,
    command::{Acquire, AcquireByState, CallId, Command, Refusal, Release, Reply},
    plan::{Foreign, Outcome},
};

use crate::{
    queue::whole_queue,
    stage::{Stage, acquire, at, busy, committed, free, resource},
};

fn with_id() -> Acquire {
    Acquire { request_id: Some("i".into()), ..acquire() }
}

fn waiting() -> Acquire {
    Acquire { wait: Duration::from_secs(10), ..with_id() }
}

/// Alice gives a resource back.
fn release(stage: &mut Stage, name: &str) {
    stage.ask(Command::Release(Release { name: name.into(), dest: "free".into(), owner: "alice".into() }));
}

/// A call that waits at a place and whose grant of `a` is in flight.
fn granting(resources: &[&str]) -> (Stage, CallId) {
    let mut stage = Stage::new(Limits::default(), resources.iter().map(|name| busy(name)), &[]);
    let call = stage.acquire(waiting());
    stage.commit_all();
    release(&mut stage, "a");
    stage.settle(committed());
    assert_eq!((stage.flying.len(), stage.ranch.places(), stage.ranch.parked()), (1, 1, 0));
    (stage, call)
}

fn is_refused(reply: Option<Reply>) -> bool {
    matches!(reply, Some(Reply::Refused(Refusal::NoneAvailable(_))))
}

#[test]
fn a_call_that_comes_while_its_id_is_granted_is_judged_after() {
    for outcome in [committed(), Outcome::NotWritten] {
        let written = matches!(outcome, Outcome::Committed(_));
        let (mut stage, first) = granting(&["a"]);
        let second = stage.acquire(with_id());
        assert!(stage.reply(second).is_none());
        stage.settle(outcome);
        stage.commit_all();
        assert!(stage.reply(first).is_some());
        // What the first could not get is there for the second.
        assert_eq!(is_refused(stage.reply(second)), written);
    }
}

#[test]
fn a_call_that_comes_while_its_id_is_granted_replaces_the_one_before() {
    let (mut stage, _) = granting(&["a"]);
    let (second, third) = (stage.acquire(with_id()), stage.acquire(with_id()));
    assert!(is_refused(stage.reply(second)));
    stage.commit_all();
    assert!(is_refused(stage.reply(third)));
}

#[test]
fn a_call_that_came_while_its_id_was_granted_is_dropped_with_its_caller_alone() {
    for gone in [false, true] {
        let (mut stage, _) = granting(&["a"]);
        let second = stage.acquire(with_id());
        stage.ranch.cancel(if gone { second } else { CallId(99) }, stage.now);
        stage.settle(Outcome::NotWritten);
        stage.commit_all();
        assert_eq!(stage.standing("a"), if gone { ("free", None) } else { ("busy", Some("alice")) });
        assert_eq!(stage.reply(second).is_some(), !gone);
    }
}

#[test]
fn a_place_that_neither_joins_nor_is_granted_is_none() {
    for (joins, grants, places) in [(false, false, 0), (true, false, 1), (false, true, 0), (true, true, 0)] {
        let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
        stage.acquire(waiting());
        let join = stage.flying.remove(0);
        release(&mut stage, "a");
        stage.settle(committed());
        let outcome = |written| if written { committed() } else { Outcome::NotWritten };
        stage.ranch.settle([(join.id, outcome(joins))], stage.now);
        stage.settle(outcome(grants));
        assert_eq!(stage.ranch.places(), places, "joins: {joins}, grants: {grants}");
        // The id is as good as new, or the place is still its own.
        stage.acquire(with_id());
        stage.commit_all();
        assert_eq!(stage.ranch.places(), usize::from(grants), "joins: {joins}, grants: {grants}");
    }
}

#[test]
fn a_call_without_a_place_that_met_a_conflict_yields_to_a_later_one_of_its_id() {
    let mut stage = Stage::new(Limits::default(), [free("a"), busy("b")], &[]);
    let first = stage.acquire(with_id());
    let second = stage.acquire(waiting());
    assert_eq!((stage.ranch.places(), stage.ranch.parked()), (1, 1));
    let now = Some(resource("a", "t", "busy", Some("mallory")));
    stage.settle(Outcome::Conflict(vec![Foreign { name: "a".into(), now, version: 1 }]));
    assert!(is_refused(stage.reply(first)));
    assert_eq!(stage.ranch.parked(), 1);
    stage.commit_all();
    release(&mut stage, "b");
    stage.commit_all();
    assert_eq!(stage.granted(second).record.resource.name.as_str(), "b");
}

#[test]
fn a_call_that_seeks_moves_up_to_its_place_that_opens_again_and_is_answered_there() {
    let mut stage = Stage::new(Limits::default(), ["a", "b", "c"].map(busy), &[]);
    let other = || Acquire { request_id: Some("other".into()), ..acquire() };
    stage.acquire(other());
    stage.acquire(with_id());
    stage.commit_all();
    ["a", "b"].iter().for_each(|name| release(&mut stage, name));
    stage.commit_all();
    let first = stage.acquire(with_id());
    stage.commit_all();
    let receipt = stage.granted(first).receipt;
    stage.ask(Command::AcquireByState(AcquireByState {
        state: "free".into(),
        dest: "busy".into(),
        owner: "bob".into(),
        names: vec!["b".into()],
    }));
    stage.commit_all();
    stage.ask(Command::Undo(receipt));
    release(&mut stage, "c");
    let seeking = stage.acquire(with_id());
    let waiting = stage.acquire(Acquire { wait: Duration::from_secs(10), ..other() });
    stage.settle(committed());
    assert_eq!((stage.ranch.places(), stage.ranch.parked()), (2, 1), "the other place is being granted");
    stage.settle(Outcome::NotWritten);
    stage.commit_all();
    assert_eq!(stage.granted(waiting).record.resource.name.as_str(), "a");
    assert!(is_refused(stage.reply(seeking)));
    let queue = whole_queue(&stage.ranch, stage.now);
    assert_eq!(
        queue.iter().map(|place| (place.request_id.as_deref(), place.parked)).collect::<Vec<_>>(),
        [(Some("i"), false)]
    );
}

#[test]
fn whoever_waits_is_served_when_the_store_is_back_though_others_before_do_not_call() {
    let mut stage = Stage::new(Limits::default(), ["a", "b", "c"].map(busy), &[]);
    for id in ["first", "second"] {
        stage.acquire(Acquire { request_id: Some(id.into()), ..acquire() });
    }
    let calls = [stage.acquire(waiting()), stage.acquire(Acquire { request_id: None, ..waiting() })];
    stage.commit_all();
    ["a", "b", "c"].iter().for_each(|name| release(&mut stage, name));
    stage.ranch.halt();
    stage.commit_all();
    assert!(stage.reply(calls[0]).is_none());
    stage.ranch.resume(stage.now);
    stage.absorb();
    stage.commit_all();
    assert_eq!(stage.granted(calls[0]).record.resource.name.as_str(), "a");
    assert!(stage.reply(calls[1]).is_none(), "two of the three are kept for those before");
}

#[test]
fn places_last_while_nothing_can_be_written_and_a_whole_ttl_after() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    stage.acquire(with_id());
    stage.commit_all();
    stage.ranch.halt();
    let places_at = |stage: &mut Stage, second| {
        stage.now = at(second);
        stage.work();
        stage.commit_all();
        stage.ranch.places()
    };
    assert_eq!([31, 62, 100].map(|second| places_at(&mut stage, second)), [1; 3]);
    stage.ranch.resume(at(100));
    assert_eq!([101, 129, 130].map(|second| places_at(&mut stage, second)), [1, 1, 0]);
}

#[test]
fn what_is_taken_back_is_granted_to_nobody_while_nothing_can_be_written() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    stage.acquire(with_id());
    release(&mut stage, "a");
    stage.commit_all();
    let first = stage.acquire(with_id());
    stage.commit_all();
    let receipt = stage.granted(first).receipt;
    stage.ask(Command::Undo(receipt));
    let second = stage.acquire(waiting());
    stage.ranch.halt();
    stage.commit_all();
    assert_eq!((stage.standing("a"), stage.ranch.parked()), (("free", None), 1));
    stage.ranch.resume(stage.now);
    stage.absorb();
    stage.commit_all();
    assert_eq!(stage.granted(second).record.resource.name.as_str(), "a");
}

#[test]
fn a_call_that_waits_outlasts_what_the_one_before_it_sought() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    release(&mut stage, "a");
    let first = stage.acquire(with_id());
    let second = stage.acquire(waiting());
    assert!(is_refused(stage.reply(first)));
    stage.settle(Outcome::NotWritten);
    stage.commit_all();
    assert!(stage.reply(second).is_none());
    assert_eq!(stage.ranch.parked(), 1);
}
