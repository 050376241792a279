//! What readers and watchers see while something is in flight.

use std::{ptr, time::Duration};

use boskos_core::ranch::{
    Limits, SnapshotRead,
    command::{Acquire, Command, Filter, Reply, SyncChange, Watch},
    plan::Sequence,
};

use crate::stage::{Stage, acquire, at, busy, dynamic, free, resource};

fn of_state(state: &str) -> Filter {
    Filter { states: vec![state.into()], ..Filter::default() }
}

/// Whether a call that watches, and does not wait, finds something in `state` that is newer than `since`; 0 is any.
fn finds(stage: &mut Stage, state: &str, since: Sequence) -> bool {
    finds_of(stage, of_state(state), since)
}

fn finds_of(stage: &mut Stage, filter: Filter, since: Sequence) -> bool {
    let watch = Watch { filter, since: Some(since), wait: Duration::ZERO };
    let call = stage.ask(Command::Watch(watch));
    let Some(Reply::Watched { found }) = stage.reply(call) else { panic!("few are looked at in one step") };
    found
}

#[test]
fn only_what_is_newer_and_committed_matches() {
    let mut stage = Stage::new(Limits::default(), [free("a"), resource("b", "t", "dirty", None)], &[dynamic("d")]);
    let before = stage.ranch.settled_up_to();
    assert!(finds(&mut stage, "free", 0));
    assert!(finds(&mut stage, "free", before - 2));
    assert!(!finds(&mut stage, "free", before));
    stage.acquire(acquire());
    stage.acquire(Acquire { r#type: "d".into(), request_id: Some("i".into()), ..acquire() });
    assert_eq!((stage.flying.len(), stage.ranch.settled_up_to()), (2, before));
    assert!(finds(&mut stage, "free", 0), "until it is committed it is free");
    assert!(!finds(&mut stage, "free", before));
    assert!(!finds(&mut stage, "busy", 0), "neither is committed");
    stage.commit_all();
    assert!(!finds(&mut stage, "free", 0));
    assert!(finds(&mut stage, "busy", before));
    assert!(!finds(&mut stage, "dirty", before));
}

#[test]
fn what_an_owner_holds_is_news_once() {
    let mut stage = Stage::new(Limits::default(), [busy("a"), free("b")], &[]);
    let of_owner = |owner: &str| Filter { owners: vec![Some(owner.into())], ..Filter::default() };
    let before = stage.ranch.settled_up_to();
    assert!(finds_of(&mut stage, of_owner("alice"), 0));
    assert!(!finds_of(&mut stage, of_owner("alice"), before));
    assert!(!finds_of(&mut stage, of_owner("bob"), 0));
    stage.acquire(acquire());
    stage.commit_all();
    assert!(finds_of(&mut stage, of_owner("alice"), before));
}

#[test]
fn a_ranch_tells_how_much_there_is() {
    let counts = |stage: &Stage| {
        let ranch = &stage.ranch;
        (ranch.len(), ranch.is_empty(), ranch.in_flight(), ranch.places(), ranch.parked(), ranch.is_halted())
    };
    let mut stage = Stage::new(Limits::default(), [], &[]);
    assert_eq!(counts(&stage), (0, true, 0, 0, 0, false));
    stage = Stage::new(Limits::default(), [free("a")], &[dynamic("d")]);
    stage.acquire(Acquire { wait: Duration::from_secs(1), state: "clean".into(), ..acquire() });
    stage.acquire(Acquire { request_id: Some("i".into()), state: "clean".into(), ..acquire() });
    stage.commit_all();
    stage.acquire(acquire());
    stage.acquire(Acquire { r#type: "d".into(), request_id: Some("i".into()), ..acquire() });
    assert_eq!(counts(&stage), (2, false, 2, 2, 1, false));
    stage.ranch.halt();
    assert_eq!(counts(&stage), (2, false, 2, 2, 1, true));
}

#[test]
fn as_many_snapshots_as_are_allowed_are_open_until_they_are_closed_or_old() {
    let mut stage = Stage::new(Limits { listing: Duration::from_secs(10), ..Limits::default() }, [free("a")], &[]);
    let open = |stage: &mut Stage, second| stage.ranch.open_snapshot(None, at(second));
    let read = |stage: &mut Stage, id| stage.ranch.read_snapshot(id, &Filter::default(), 9, &mut Vec::new());
    let first = open(&mut stage, 0).expect("none is open");
    let second = open(&mut stage, 1).expect("one is open");
    assert!((2..16).all(|_| open(&mut stage, 1).is_some()));
    assert_eq!(open(&mut stage, 1), None);
    assert_eq!(stage.ranch.next_wake().mono, Some(at(10).mono));
    stage.ranch.close_snapshot(second);
    assert_eq!(read(&mut stage, second), SnapshotRead::Closed);
    let last = open(&mut stage, 9).expect("one was closed");
    assert_eq!((open(&mut stage, 9), read(&mut stage, first)), (None, SnapshotRead::Last));
    assert!(open(&mut stage, 10).is_some());
    assert_eq!((read(&mut stage, first), read(&mut stage, last)), (SnapshotRead::Closed, SnapshotRead::Last));
    assert_eq!(stage.ranch.next_wake().mono, Some(at(11).mono));
}

#[test]
fn equal_words_are_one_text() {
    let mut stage = Stage::new(Limits::default(), [free("a"), free("b"), free("c")], &[]);
    for _ in 0..3 {
        let text = |text: &str| text.to_owned();
        let (owner, dest) = (text("alice").into(), text("mine").into());
        stage.acquire(Acquire { owner, dest, ..acquire() });
        stage.commit_all();
    }
    let (r#type, state) = ("t".into(), "mine".into());
    stage.ask(Command::Sync(vec![SyncChange::List { name: "d".into(), r#type, state }]));
    stage.commit_all();
    let of = |name: &str| stage.ranch.resource(name).expect("it is there").0;
    for name in ["b", "c", "d"] {
        assert!(ptr::eq(of(name).r#type.as_str(), of("a").r#type.as_str()), "type of {name}");
        assert!(ptr::eq(of(name).state.as_str(), of("a").state.as_str()), "state of {name}");
    }
    for name in ["b", "c"] {
        let owner = |name| of(name).owner.as_ref().expect("it was acquired").as_str();
        assert!(ptr::eq(owner(name), owner("a")), "owner of {name}");
    }
}

#[test]
fn what_was_taken_back_is_news() {
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    let call = stage.acquire(acquire());
    stage.commit_all();
    let receipt = stage.granted(call).receipt;
    let since = Some(stage.ranch.settled_up_to());
    let watch = || Command::Watch(Watch { filter: of_state("free"), since, wait: Duration::from_secs(1) });
    let before = stage.ask(watch());
    assert!(stage.reply(before).is_none());
    stage.ask(Command::Undo(receipt));
    stage.commit_all();
    assert!(matches!(stage.reply(before), Some(Reply::Watched { found: true })));
    let after = stage.ask(watch());
    assert!(matches!(stage.reply(after), Some(Reply::Watched { found: true })));
}
