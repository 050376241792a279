//! Commands that wait for a resource in flight.

use boskos_core::ranch::{
    Limits,
    command::{AcquireByState, CallId, Command, Refusal, Release, Reply, Update},
    plan::Outcome,
};

use crate::stage::{Stage, acquire, busy, committed, free};

fn release(dest: &str) -> Command {
    Command::Release(Release { name: "a".into(), dest: dest.into(), owner: "alice".into() })
}

/// Bob takes what is dirty.
fn by_state(stage: &mut Stage) -> CallId {
    stage.ask(Command::AcquireByState(AcquireByState {
        state: "dirty".into(),
        dest: "cleaning".into(),
        owner: "bob".into(),
        names: vec!["a".into()],
    }))
}

#[test]
fn a_call_that_waits_takes_nothing_once_its_caller_has_gone() {
    for (gone, standing) in [(false, ("cleaning", Some("bob"))), (true, ("dirty", None))] {
        let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
        stage.ask(release("dirty"));
        let call = by_state(&mut stage);
        if gone {
            stage.ranch.cancel(call, stage.now);
        }
        stage.commit_all();
        assert_eq!(stage.standing("a"), standing);
        assert_eq!(stage.reply(call).is_some(), !gone);
    }
}

#[test]
fn only_the_call_of_the_caller_who_has_gone_waits_no_more() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    stage.ask(release("dirty"));
    let (gone, stays) = (by_state(&mut stage), by_state(&mut stage));
    stage.ranch.cancel(gone, stage.now);
    stage.commit_all();
    assert!(matches!(stage.reply(stays), Some(Reply::GrantedAll(..))));
    assert!(stage.reply(gone).is_none());
}

#[test]
fn what_gives_back_is_carried_out_though_its_caller_has_gone() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    stage.ask(release("dirty"));
    let call = stage.ask(release("free"));
    stage.ranch.cancel(call, stage.now);
    stage.settle(Outcome::NotWritten);
    stage.settle(committed());
    assert_eq!(stage.standing("a"), ("free", None));
}

#[test]
fn as_many_calls_as_are_allowed_wait_for_one_resource() {
    let mut stage = Stage::new(Limits { waiting_per_resource: 2, ..Limits::default() }, [busy("a")], &[]);
    stage.ask(release("dirty"));
    let calls: Vec<_> = (0..3).map(|_| by_state(&mut stage)).collect();
    let refused = calls.iter().map(|call| stage.reply(*call)).map(|reply| match reply {
        None => false,
        Some(Reply::Refused(Refusal::Crowded(name))) => name.as_str() == "a",
        Some(reply) => panic!("{reply:?}"),
    });
    assert_eq!(refused.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn an_undo_waits_for_a_heartbeat_and_is_carried_out_if_that_is_not_written() {
    for (outcome, standing) in [(committed(), ("busy", Some("alice"))), (Outcome::NotWritten, ("free", None))] {
        let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
        let call = stage.acquire(acquire());
        stage.commit_all();
        let receipt = stage.granted(call).receipt;
        let (name, owner, state, patch) = ("a".into(), "alice".into(), "busy".into(), [].into());
        stage.ask(Command::Update(Update { name, owner, state, patch }));
        stage.ask(Command::Undo(receipt));
        assert_eq!(stage.flying.len(), 1);
        stage.settle(outcome);
        stage.commit_all();
        assert_eq!(stage.standing("a"), standing);
    }
}
