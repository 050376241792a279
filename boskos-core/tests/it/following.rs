//! Names that leave the config, or come back to it, while their resources are owned or in flight.

use boskos_core::ranch::{
    Limits,
    command::{CallId, Command, Release, Reply, SyncChange},
    plan::Outcome,
};

use crate::stage::{Stage, busy, committed, free};

fn unlist(stage: &mut Stage) -> CallId {
    stage.ask(Command::Sync(vec![SyncChange::Unlist { name: "a".into() }]))
}

fn list(stage: &mut Stage, r#type: &str) -> CallId {
    let (name, r#type, state) = ("a".into(), r#type.into(), "clean".into());
    stage.ask(Command::Sync(vec![SyncChange::List { name, r#type, state }]))
}

fn release(stage: &mut Stage) {
    stage.ask(Command::Release(Release { name: "a".into(), dest: "free".into(), owner: "alice".into() }));
}

#[test]
fn what_is_owned_goes_once_nobody_owns_it() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    let call = unlist(&mut stage);
    assert!(matches!(stage.reply(call), Some(Reply::Synced)));
    assert_eq!(stage.standing("a"), ("busy", Some("alice")));
    release(&mut stage);
    stage.commit_all();
    assert!(stage.ranch.is_empty());
}

#[test]
fn what_is_listed_again_before_it_goes_stays() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    unlist(&mut stage);
    list(&mut stage, "t");
    release(&mut stage);
    stage.commit_all();
    assert_eq!(stage.standing("a"), ("free", None));
}

#[test]
fn what_got_free_while_nothing_could_be_written_goes_after() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    unlist(&mut stage);
    release(&mut stage);
    stage.ranch.halt();
    stage.commit_all();
    assert_eq!(stage.standing("a"), ("free", None));
    stage.ranch.resume(stage.now);
    stage.absorb();
    stage.commit_all();
    assert!(stage.ranch.is_empty());
}

#[test]
fn what_could_not_be_deleted_is_deleted_at_the_next_occasion() {
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    let call = unlist(&mut stage);
    stage.settle(Outcome::NotWritten);
    assert!(matches!(stage.reply(call), Some(Reply::Refused(_))));
    stage.commit_all();
    assert!(stage.ranch.is_empty());
}

#[test]
fn what_is_listed_under_another_type_is_remade_once_nobody_owns_it() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    list(&mut stage, "u");
    let seen = stage.ranch.names_page(None, 9).remove(0);
    assert_eq!((seen.r#type.as_str(), seen.remade_in), ("u", Some("clean".into())));
    release(&mut stage);
    stage.commit_all();
    assert_eq!(stage.standing("a"), ("clean", None));
    assert_eq!(stage.ranch.resource("a").map(|(resource, _)| resource.r#type.as_str()), Some("u"));
    assert_eq!(stage.ranch.names_page(None, 9).remove(0).remade_in, None);
}

#[test]
fn a_change_of_what_is_in_flight_waits_for_it() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    release(&mut stage);
    let call = unlist(&mut stage);
    assert!(stage.reply(call).is_none());
    stage.settle(committed());
    assert!(stage.reply(call).is_none());
    stage.settle(committed());
    assert!(matches!(stage.reply(call), Some(Reply::Synced)));
    assert!(stage.ranch.is_empty());
}
