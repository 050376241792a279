//! Names that leave the config, or come back to it, while their resources are owned or in flight.

use boskos_core::{
    Lifecycle,
    ranch::{
        Limits,
        command::{Acquire, CallId, Command, Refusal, Release, Reply, SyncChange},
        plan::{Outcome, Write},
    },
};

use crate::stage::{Stage, acquire, busy, committed, free, resource};

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

fn set_lifecycle(stage: &mut Stage, r#type: &str, max_count: u32) -> CallId {
    let lifecycle = Lifecycle { max_count, ..Lifecycle::new(r#type.into()) };
    stage.ask(Command::Sync(vec![SyncChange::SetLifecycle(lifecycle)]))
}

fn is_refused(reply: Option<Reply>) -> bool {
    matches!(reply, Some(Reply::Refused(Refusal::Unavailable)))
}

#[test]
fn the_end_of_what_is_owned_does_not_depend_on_other_types() {
    let mut stage = Stage::new(Limits::default(), [busy("a")], &[]);
    unlist(&mut stage);
    set_lifecycle(&mut stage, "d", 1);
    stage.commit_all();
    release(&mut stage);
    stage.commit_all();
    assert!(stage.ranch.is_empty());
}

#[test]
fn changes_wait_for_a_lifecycle_in_flight_and_fail_with_it() {
    for written in [true, false] {
        let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
        let calls = [set_lifecycle(&mut stage, "t", 1), set_lifecycle(&mut stage, "t", 2), unlist(&mut stage)];
        assert_eq!(stage.flying.len(), 1);
        stage.settle(if written { committed() } else { Outcome::NotWritten });
        stage.commit_all();
        for call in calls {
            assert_eq!(is_refused(stage.reply(call)), !written, "{call:?}");
        }
        let max_counts: Vec<u32> = stage.ranch.lifecycles().iter().map(|kept| kept.lifecycle.max_count).collect();
        assert_eq!(max_counts, if written { vec![2] } else { vec![] });
        let seen = stage.ranch.names_page(None, 9).remove(0);
        assert_eq!((seen.listed, seen.dynamic), (!written, written), "it is adopted, or as it was");
    }
}

#[test]
fn a_drain_waits_for_a_lifecycle_in_flight() {
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    set_lifecycle(&mut stage, "t", 1);
    let call = stage.ask(Command::Sync(vec![SyncChange::DrainLifecycle("t".into())]));
    assert!(stage.reply(call).is_none());
    stage.commit_all();
    assert!(matches!(stage.reply(call), Some(Reply::Synced)));
    assert!(stage.ranch.lifecycles().iter().all(|kept| kept.draining));
}

#[test]
fn while_a_config_is_followed_all_resources_of_a_type_count_for_its_maximum() {
    let mut stage = Stage::new(Limits::default(), [resource("d1", "d", "busy", Some("alice"))], &[]);
    stage.ranch.begin_sync([]);
    set_lifecycle(&mut stage, "d", 2);
    stage.commit_all();
    for id in ["i", "j"] {
        stage.acquire(Acquire { r#type: "d".into(), request_id: Some(id.into()), ..acquire() });
    }
    let is_creation = |write: &Write| matches!(write, Write::Put(put) if put.replaces.is_none());
    let created = stage.flying.iter().flat_map(|plan| &plan.writes).filter(|write| is_creation(write));
    assert_eq!(created.count(), 1);
}

#[test]
fn a_type_exists_while_its_first_resource_is_being_created() {
    let mut stage = Stage::new(Limits::default(), [], &[]);
    let call = stage.acquire(acquire());
    assert!(matches!(stage.reply(call), Some(Reply::Refused(Refusal::UnknownType(_)))));
    let (name, r#type, state) = ("a".into(), "t".into(), "free".into());
    stage.ask(Command::Sync(vec![SyncChange::List { name, r#type, state }]));
    let call = stage.acquire(acquire());
    stage.commit_all();
    assert_eq!(stage.granted(call).record.resource.name.as_str(), "a");
}

#[test]
fn what_goes_when_the_store_is_back_goes_before_anyone_gets_it() {
    let limits = Limits { step: 1, chores: 1, ..Limits::default() };
    let mut stage = Stage::new(limits, [busy("a"), busy("b"), busy("c")], &[]);
    let gone = ["a", "b", "c"].map(|name| SyncChange::Unlist { name: name.into() });
    stage.ask(Command::Sync(gone.into()));
    for name in ["a", "b"] {
        stage.ask(Command::Release(Release { name: name.into(), dest: "free".into(), owner: "alice".into() }));
    }
    stage.ranch.halt();
    stage.commit_all();
    stage.ranch.resume(stage.now);
    let call = stage.acquire(acquire());
    stage.commit_all();
    assert!(matches!(stage.reply(call), Some(Reply::Refused(Refusal::NoneAvailable(_)))));
    assert!(!stage.ranch.next_wake().at_once);
    assert_eq!((stage.ranch.len(), stage.standing("c")), (1, ("busy", Some("alice"))));
}
