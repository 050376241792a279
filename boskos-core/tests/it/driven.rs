//! What whoever drives a ranch goes by: its effects, what is due and when, and whether all is written.

use std::time::Duration;

use boskos_core::{
    GoDuration, Lifecycle, Resource,
    ranch::{
        Limits,
        command::{Acquire, CallId, Command, Effects, Receipt, Reset, SyncChange},
        plan::{Foreign, Outcome},
    },
};

use crate::stage::{Stage, acquire, at, busy, committed, dynamic, free, resource};

/// `count` resources of a dynamic type that expire after a second.
fn expiring(limits: Limits, count: u32) -> Stage {
    let resources = (1..=count)
        .map(|number| Resource { expiration: Some(at(1).wall), ..resource(&format!("d{number}"), "d", "free", None) });
    Stage::new(limits, resources, &[dynamic("d")])
}

fn wait_for_id(stage: &mut Stage, id: &str) {
    stage.acquire(Acquire { state: "dirty".into(), request_id: Some(id.to_owned()), ..acquire() });
    stage.commit_all();
}

/// What it takes to undo a grant of `r`.
fn receipt(stage: &mut Stage) -> Receipt {
    let call = stage.acquire(acquire());
    stage.commit_all();
    stage.granted(call).receipt
}

#[test]
fn effects_are_there_until_they_are_taken() {
    let mut ranch = Stage::new(Limits::default(), [free("r")], &[]).ranch;
    assert!(!ranch.has_effects());
    for (state, plans, replies) in [("free", 1, 0), ("dirty", 0, 1)] {
        ranch.decide(CallId(1), Command::Acquire(Acquire { state: state.into(), ..acquire() }), at(0));
        assert!(ranch.has_effects(), "{state}");
        let mut room = Effects::default();
        ranch.swap_effects(&mut room);
        assert_eq!((room.plans.len(), room.replies.len(), ranch.has_effects()), (plans, replies, false), "{state}");
    }
}

#[test]
fn oldest_in_flight_is_what_was_decided_first_and_is_not_settled() {
    let mut stage = Stage::new(Limits::default(), ["r", "s", "t"].map(free), &[]);
    assert_eq!(stage.ranch.oldest_in_flight(), None);
    for _ in 0..3 {
        stage.acquire(acquire());
    }
    while !stage.flying.is_empty() {
        assert_eq!(stage.ranch.oldest_in_flight(), stage.flying.first().map(|plan| plan.id));
        stage.settle(committed());
    }
    assert_eq!(stage.ranch.oldest_in_flight(), None);
}

#[test]
fn more_is_due_after_a_step_that_was_used_up_by_places() {
    for chores in [128, 0] {
        let limits = Limits { step: 2, chores, request_ttl: Duration::from_secs(1), ..Limits::default() };
        let mut stage = Stage::new(limits, [free("r")], &[]);
        ["a", "b", "c"].iter().for_each(|id| wait_for_id(&mut stage, id));
        assert!(!stage.work(), "nothing is due yet");
        stage.now = at(2);
        assert!(stage.work(), "one place is left: {chores} chores");
        assert_eq!(stage.ranch.places(), 1);
        assert!(!stage.work(), "none is left: {chores} chores");
        assert_eq!(stage.ranch.places(), 0);
    }
}

#[test]
fn more_is_due_after_a_step_that_was_used_up_by_chores_that_may_follow() {
    let mut stage = expiring(Limits { step: 2, ..Limits::default() }, 3);
    assert!(!stage.work());
    stage.now = at(1);
    assert!(stage.work());
    assert_eq!(stage.flying.len(), 2);
    while stage.work() {}
    assert_eq!(stage.flying.len(), 3);
}

#[test]
fn nothing_is_due_at_once_while_as_many_chores_as_may_are_in_flight() {
    let mut stage = expiring(Limits { chores: 1, ..Limits::default() }, 2);
    stage.now = at(1);
    assert!(!stage.work());
    assert!(!stage.work());
    assert_eq!((stage.flying.len(), stage.ranch.next_wake().wall), (1, None));
    stage.settle(committed());
    assert_eq!(stage.ranch.next_wake().wall, Some(at(1).wall));
}

#[test]
fn only_resets_and_upkeep_are_chores() {
    let mut stage = expiring(Limits { chores: 1, ..Limits::default() }, 2);
    let reset = Reset { r#type: "d".into(), state: "free".into(), expire: GoDuration::ZERO, dest: "dirty".into() };
    stage.acquire(Acquire { r#type: "d".into(), ..acquire() });
    stage.now = at(1);
    assert!(!stage.work());
    assert_eq!(stage.flying.len(), 2, "an acquire and an expiry");
    stage.commit_all();
    stage.ask(Command::Reset(Reset { state: "busy".into(), ..reset }));
    assert_eq!((stage.flying.len(), stage.work()), (1, false), "a reset");
}

#[test]
fn expiry_wakes_neither_a_halted_ranch_nor_one_that_follows_a_config() {
    let mut stage = expiring(Limits::default(), 1);
    assert_eq!(stage.ranch.next_wake().wall, Some(at(1).wall));
    stage.ranch.begin_sync([]);
    assert_eq!(stage.ranch.next_wake().wall, None);
    stage.ranch.end_sync();
    stage.ranch.halt();
    assert_eq!(stage.ranch.next_wake().wall, None);
}

#[test]
fn what_is_to_be_looked_after_wakes_unless_a_config_is_followed_or_nothing_can_be_written() {
    let mut stage = Stage::new(Limits::default(), [], &[dynamic("d")]);
    assert!(stage.ranch.next_wake().at_once);
    stage.ranch.begin_sync([]);
    assert!(!stage.ranch.next_wake().at_once);
    stage.ranch.end_sync();
    stage.ranch.halt();
    assert!(!stage.ranch.next_wake().at_once);
    stage.ranch.resume(at(0));
    while stage.work() {}
    assert!(!stage.ranch.next_wake().at_once);
}

#[test]
fn a_reset_that_is_not_all_decided_wakes_once_more_may_be_in_flight_or_nothing_can_be() {
    let reset = Reset { r#type: "t".into(), state: "busy".into(), expire: GoDuration::ZERO, dest: "dirty".into() };
    let mut stage = Stage::new(Limits { chores: 1, ..Limits::default() }, [busy("a"), busy("b")], &[]);
    stage.ask(Command::Reset(reset));
    assert_eq!((stage.flying.len(), stage.ranch.next_wake().at_once), (1, false));
    stage.ranch.halt();
    assert!(stage.ranch.next_wake().at_once);
    stage.ranch.resume(at(0));
    stage.settle(committed());
    assert!(stage.ranch.next_wake().at_once);
}

#[test]
fn what_is_there_when_its_type_becomes_dynamic_expires() {
    let mut stage = Stage::new(Limits::default(), [], &[]);
    let now = Some(Resource { expiration: Some(at(1).wall), ..resource("d1", "d", "free", None) });
    stage.ranch.observe(Foreign { name: "d1".into(), now, version: 1 }, at(0));
    assert_eq!(stage.ranch.next_wake().wall, None);
    stage.ask(Command::Sync(vec![SyncChange::SetLifecycle(Lifecycle { max_count: 1, ..Lifecycle::new("d".into()) })]));
    stage.commit_all();
    assert_eq!(stage.ranch.next_wake().wall, Some(at(1).wall));
}

#[test]
fn a_write_that_is_owed_wakes_unless_nothing_can_be_written() {
    let mut stage = Stage::new(Limits::default(), [free("r")], &[]);
    assert_eq!(stage.ranch.next_wake().mono, None);
    let receipt = receipt(&mut stage);
    stage.ask(Command::Undo(receipt));
    stage.settle(Outcome::NotWritten);
    assert_eq!(stage.ranch.next_wake().mono, Some(at(1).mono));
    stage.ranch.halt();
    assert_eq!(stage.ranch.next_wake().mono, None);
}

#[test]
fn a_write_that_is_owed_is_tried_again_when_it_is_due() {
    let mut stage = Stage::new(Limits::default(), [free("r")], &[]);
    let receipt = receipt(&mut stage);
    stage.ask(Command::Undo(receipt));
    stage.settle(Outcome::NotWritten);
    stage.work();
    assert!(stage.flying.is_empty());
    stage.now = at(1);
    stage.work();
    stage.commit_all();
    assert_eq!((stage.standing("r"), stage.ranch.next_wake().mono), (("free", None), None));
}

#[test]
fn all_is_written_when_nothing_is_in_flight_and_nothing_owed() {
    let mut stage = Stage::new(Limits::default(), [free("r")], &[]);
    assert!(stage.ranch.wind_down(at(0)));
    stage.acquire(acquire());
    assert!(!stage.ranch.wind_down(at(0)));
    stage.commit_all();
    assert!(stage.ranch.wind_down(at(0)));
}

#[test]
fn what_is_owed_is_tried_again_before_the_end() {
    let mut stage = Stage::new(Limits::default(), [free("r")], &[]);
    let receipt = receipt(&mut stage);
    stage.ask(Command::Undo(receipt));
    stage.settle(Outcome::NotWritten);
    assert!(!stage.ranch.wind_down(at(0)));
    stage.absorb();
    stage.settle(committed());
    assert!(stage.ranch.wind_down(at(0)));
    assert_eq!(stage.standing("r"), ("free", None));
}

#[test]
fn what_is_owed_to_a_store_out_of_reach_stays_owed() {
    let mut stage = Stage::new(Limits::default(), [free("r")], &[]);
    let receipt = receipt(&mut stage);
    stage.ranch.halt();
    stage.ask(Command::Undo(receipt));
    assert!(!stage.ranch.wind_down(at(0)));
    assert!(!stage.ranch.has_effects());
    stage.ranch.resume(at(0));
    stage.absorb();
    stage.settle(committed());
    assert!(stage.ranch.wind_down(at(0)));
    assert_eq!(stage.standing("r"), ("free", None));
}
