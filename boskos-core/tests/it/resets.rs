//! Resets among what is in flight, and what of them is written.

use std::time::Duration;

use boskos_core::{
    GoDuration,
    ranch::{
        Limits,
        command::{Acquire, CallId, Command, Refusal, Reply, Reset, Update},
        plan::{Foreign, Outcome},
    },
};

use crate::stage::{Stage, acquire, at, busy, committed, dynamic, free, resource};

fn reset(stage: &mut Stage, r#type: &str) -> CallId {
    stage.ask(Command::Reset(Reset {
        r#type: r#type.into(),
        state: "busy".into(),
        expire: GoDuration::ZERO,
        dest: "dirty".into(),
    }))
}

/// The names that a reset took; nothing if it is not answered.
fn taken(stage: &mut Stage, call: CallId) -> Option<Vec<String>> {
    let reply = stage.reply(call)?;
    let Reply::Reset(taken) = reply else { panic!("a reset is answered {reply:?}") };
    Some(taken.keys().map(ToString::to_string).collect())
}

fn heartbeat(stage: &mut Stage, name: &str, state: &str) {
    let patch = [].into();
    stage.ask(Command::Update(Update { name: name.into(), owner: "alice".into(), state: state.into(), patch }));
}

#[test]
fn a_reset_waits_for_none_but_owned_resources_of_its_type_and_state() {
    let resources = [
        busy("pool"),
        resource("other-type", "u", "busy", Some("alice")),
        resource("other-state", "t", "leased", Some("alice")),
        resource("unowned", "t", "busy", None),
    ];
    let mut stage = Stage::new(Limits::default(), resources, &[dynamic("d")]);
    heartbeat(&mut stage, "other-type", "busy");
    heartbeat(&mut stage, "other-state", "leased");
    stage.acquire(Acquire { state: "busy".into(), ..acquire() });
    let before = stage.flying.len();
    let call = reset(&mut stage, "t");
    assert_eq!(stage.flying.len(), before + 1);
    let part = stage.flying.pop().expect("it takes one");
    stage.ranch.settle([(part.id, committed())], stage.now);
    stage.absorb();
    assert_eq!(taken(&mut stage, call), Some(vec!["pool".to_owned()]));
}

#[test]
fn a_reset_does_not_wait_for_what_is_being_created() {
    let mut stage = Stage::new(Limits::default(), [resource("old", "d", "busy", None)], &[dynamic("d")]);
    let created = Acquire { r#type: "d".into(), request_id: Some("i".into()), ..acquire() };
    stage.acquire(created);
    assert_eq!(stage.flying.len(), 1);
    let call = reset(&mut stage, "d");
    assert_eq!(taken(&mut stage, call), Some(Vec::new()));
}

#[test]
fn a_reset_waits_for_a_heartbeat_and_takes_what_it_leaves() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    heartbeat(&mut stage, "a", "busy");
    let call = reset(&mut stage, "t");
    assert!(stage.reply(call).is_none());
    stage.commit_all();
    assert_eq!(taken(&mut stage, call), Some(vec!["a".to_owned()]));
}

#[test]
fn a_reset_is_refused_only_if_it_could_take_nothing() {
    let mut stage = Stage::new(Limits::default(), [busy("a"), busy("b"), free("c")], &[]);
    let call = reset(&mut stage, "t");
    stage.settle(Outcome::NotWritten);
    stage.settle(Outcome::NotWritten);
    assert!(matches!(stage.reply(call), Some(Reply::Refused(Refusal::Unavailable))));
    let call = reset(&mut stage, "t");
    stage.settle(Outcome::NotWritten);
    stage.settle(committed());
    assert_eq!(taken(&mut stage, call), Some(vec!["b".to_owned()]));
}

#[test]
fn a_reset_takes_what_is_stale_by_the_time_that_it_is_told() {
    for (seconds, expected) in [(9, vec![]), (10, vec!["a".to_owned()])] {
        let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
        stage.now = at(seconds);
        let expire = GoDuration::from_std(Duration::from_secs(10));
        let (r#type, state, dest) = ("t".into(), "busy".into(), "dirty".into());
        let call = stage.ask(Command::Reset(Reset { r#type, state, expire, dest }));
        stage.commit_all();
        assert_eq!(taken(&mut stage, call), Some(expected), "after {seconds} s");
    }
}

#[test]
fn a_reset_leaves_what_has_another_state_when_it_is_its_turn() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    heartbeat(&mut stage, "a", "busy");
    let call = reset(&mut stage, "t");
    let now = Some(resource("a", "t", "leased", Some("alice")));
    stage.settle(Outcome::Conflict(vec![Foreign { name: "a".into(), now, version: 1 }]));
    stage.commit_all();
    assert_eq!(taken(&mut stage, call), Some(vec![]));
    assert_eq!(stage.standing("a"), ("leased", Some("alice")));
}

#[test]
fn a_reset_takes_nothing_while_nothing_can_be_written() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    heartbeat(&mut stage, "a", "busy");
    reset(&mut stage, "t");
    stage.ranch.halt();
    stage.commit_all();
    assert_eq!(stage.standing("a"), ("busy", Some("alice")));
}

#[test]
fn what_of_a_reset_is_not_decided_when_nothing_can_be_written_is_given_up() {
    let mut stage = Stage::new(Limits { chores: 0, ..Limits::default() }, [busy("a")], &[]);
    let call = reset(&mut stage, "t");
    stage.work();
    assert!(stage.reply(call).is_none());
    stage.ranch.halt();
    stage.work();
    assert!(matches!(stage.reply(call), Some(Reply::Refused(Refusal::Unavailable))));
}
