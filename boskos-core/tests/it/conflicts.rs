//! Someone else changes what the ranch keeps.

use boskos_core::{
    Resource,
    ranch::{
        Limits,
        command::{Acquire, AcquireByState, Command, Refusal, Reply},
        plan::{Foreign, Outcome, Write},
    },
};

use crate::stage::{Stage, acquire, committed, dynamic, free, resource};

/// Mallory has taken a resource.
fn taken(name: &str) -> Outcome {
    Outcome::Conflict(vec![Foreign {
        name: name.into(),
        now: Some(resource(name, "t", "busy", Some("mallory"))),
        version: 1,
    }])
}

fn by_state() -> Command {
    Command::AcquireByState(AcquireByState {
        state: "free".into(),
        dest: "busy".into(),
        owner: "alice".into(),
        names: vec!["a".into(), "b".into()],
    })
}

#[test]
fn a_call_that_met_a_conflict_is_judged_anew_unless_its_caller_has_gone() {
    let plain = Command::Acquire(acquire());
    let with_id = Command::Acquire(Acquire { request_id: Some("i".into()), ..acquire() });
    for command in [plain, with_id] {
        for (gone, standing) in [(false, ("busy", Some("alice"))), (true, ("free", None))] {
            let mut stage = Stage::new(Limits::default(), [free("a"), free("b")], &[]);
            let call = stage.ask(command.clone());
            if gone {
                stage.ranch.cancel(call, stage.now);
            }
            stage.settle(taken("a"));
            stage.commit_all();
            assert_eq!(stage.standing("b"), standing, "{command:?}, gone: {gone}");
            assert_eq!(stage.reply(call).is_some(), !gone, "{command:?}, gone: {gone}");
        }
    }
}

#[test]
fn a_call_at_a_place_that_met_a_conflict_is_judged_anew_unless_its_caller_has_gone() {
    for (gone, standing) in [(false, ("busy", Some("alice"))), (true, ("free", None))] {
        let mut stage = Stage::new(Limits::default(), [resource("a", "t", "dirty", None), free("b")], &[]);
        let asked = Acquire { request_id: Some("i".into()), ..acquire() };
        stage.acquire(Acquire { state: "clean".into(), ..asked.clone() });
        stage.commit_all();
        for (name, version) in [("a", 1), ("b", 2)] {
            let now = Some(resource(name, "t", "clean", None));
            stage.ranch.observe(Foreign { name: name.into(), now, version }, stage.now);
        }
        let call = stage.acquire(Acquire { state: "clean".into(), ..asked });
        if gone {
            stage.ranch.cancel(call, stage.now);
        }
        let now = Some(resource("a", "t", "busy", Some("mallory")));
        stage.settle(Outcome::Conflict(vec![Foreign { name: "a".into(), now, version: 3 }]));
        stage.commit_all();
        let expected = if gone { ("clean", standing.1) } else { standing };
        assert_eq!(stage.standing("b"), expected, "gone: {gone}");
        assert_eq!(stage.reply(call).is_some(), !gone, "gone: {gone}");
    }
}

#[test]
fn a_call_at_a_place_that_does_not_wait_is_answered_when_nothing_is_left() {
    let mut stage = Stage::new(Limits::default(), [resource("a", "t", "dirty", None)], &[]);
    let asked = Acquire { request_id: Some("i".into()), ..acquire() };
    stage.acquire(asked.clone());
    stage.commit_all();
    stage.ranch.observe(Foreign { name: "a".into(), now: Some(free("a")), version: 1 }, stage.now);
    let call = stage.acquire(asked);
    let now = Some(resource("a", "t", "busy", Some("mallory")));
    stage.settle(Outcome::Conflict(vec![Foreign { name: "a".into(), now, version: 2 }]));
    assert!(matches!(stage.reply(call), Some(Reply::Refused(Refusal::NoneAvailable(_)))));
    assert_eq!(stage.ranch.places(), 1);
}

#[test]
fn only_the_call_of_a_caller_who_has_gone_is_dropped() {
    let mut stage = Stage::new(Limits::default(), [free("a"), free("b"), free("c")], &[]);
    let (gone, stays) = (stage.acquire(acquire()), stage.acquire(acquire()));
    stage.ranch.cancel(gone, stage.now);
    stage.settle(taken("a"));
    stage.settle(taken("b"));
    stage.commit_all();
    assert_eq!(stage.granted(stays).record.resource.name.as_str(), "c");
    assert!(stage.reply(gone).is_none());
}

#[test]
fn a_call_for_several_whose_caller_has_gone_is_not_judged_anew() {
    for gone in [false, true] {
        let mut stage = Stage::new(Limits::default(), [free("a"), free("b")], &[]);
        let call = stage.ask(by_state());
        if gone {
            stage.ranch.cancel(call, stage.now);
        }
        let now = Some(Resource { last_update: stage.now.wall, ..free("a") });
        stage.settle(Outcome::Conflict(vec![Foreign { name: "a".into(), now, version: 1 }]));
        assert_eq!(stage.flying.len(), usize::from(!gone), "gone: {gone}");
    }
}

#[test]
fn what_someone_else_changed_is_the_newest() {
    let mut stage = Stage::new(Limits::default(), [free("a"), free("b")], &[]);
    stage.ranch.observe(Foreign { name: "a".into(), now: Some(free("a")), version: 1 }, stage.now);
    let call = stage.acquire(acquire());
    stage.settle(committed());
    assert_eq!(stage.granted(call).record.resource.name.as_str(), "b");
}

#[test]
fn of_what_others_made_of_a_resource_in_flight_the_newest_counts() {
    for order in [[1, 2], [2, 1]] {
        let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
        let call = stage.acquire(acquire());
        for version in order {
            let now = Some(resource("a", "t", &format!("state-{version}"), None));
            stage.ranch.observe(Foreign { name: "a".into(), now, version }, stage.now);
        }
        stage.settle(Outcome::NotWritten);
        assert_eq!(stage.standing("a"), ("state-2", None), "{order:?}");
        assert!(stage.reply(call).is_some());
    }
}

#[test]
fn what_is_not_newer_is_an_echo() {
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    for (state, version, expected) in
        [("clean", 2, "clean"), ("dirty", 2, "clean"), ("dirty", 1, "clean"), ("dirty", 3, "dirty")]
    {
        let now = Some(resource("a", "t", state, None));
        stage.ranch.observe(Foreign { name: "a".into(), now, version }, stage.now);
        assert_eq!(stage.standing("a"), (expected, None), "{state} of version {version}");
    }
}

#[test]
fn what_others_did_before_a_deletion_is_past_and_what_they_did_after_is_news() {
    for (version, there) in [(1, false), (2, false), (3, true)] {
        let mut stage = Stage::new(Limits::default(), [resource("d1", "d", "tombstone", None)], &[dynamic("d")]);
        stage.work();
        assert!(matches!(*stage.flying[0].writes, [Write::Delete(_)]));
        let now = Some(resource("d1", "d", "free", None));
        stage.ranch.observe(Foreign { name: "d1".into(), now, version }, stage.now);
        stage.settle(Outcome::Committed([2].into_iter().collect()));
        assert_eq!(stage.ranch.resource("d1").is_some(), there, "version {version}");
    }
}
