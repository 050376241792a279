//! What plans tell a store of the changes that they ask for.

use boskos_core::{
    MonoTime, Now,
    ranch::{
        Limits, Loader,
        command::{Acquire, CallId, Command, Release, SyncChange, Update},
        plan::{Put, Record, ResourceKey, Stored, Write},
    },
};

use crate::stage::{Stage, acquire, at, busy, committed, free};

/// What the only plan in flight writes.
fn put(stage: &Stage) -> &Put {
    match &*stage.flying[0].writes {
        [Write::Put(put)] => put,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_moves_only_is_told_from_what_changes_more() {
    let update = |value: Option<&str>| {
        let patch = [("key".to_owned(), value.map(str::to_owned))].into();
        Command::Update(Update { name: "a".into(), owner: "alice".into(), state: "busy".into(), patch })
    };
    let release = Release { name: "a".into(), dest: "dirty".into(), owner: "alice".into() };
    let list = SyncChange::List { name: "a".into(), r#type: "u".into(), state: "free".into() };
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    for (command, moves_only, moves) in [
        (Command::Acquire(acquire()), true, true),
        (update(Some("value")), false, false),
        (update(None), false, false),
        (Command::Release(release), true, true),
        (Command::Sync(vec![list]), false, true),
    ] {
        stage.ask(command.clone());
        let put = put(&stage);
        assert_eq!((put.moves_only, put.transition.is_some()), (moves_only, moves), "{command:?}");
        stage.settle(committed());
    }
}

#[test]
fn an_undo_is_more_than_a_move() {
    let mut stage = Stage::new(Limits::default(), [free("a")], &[]);
    stage.now = at(1);
    let call = stage.acquire(acquire());
    stage.settle(committed());
    let receipt = stage.granted(call).receipt;
    stage.ask(Command::Undo(receipt));
    let put = put(&stage);
    assert!(!put.moves_only && put.transition.is_some());
    assert_eq!((put.record.resource.last_update, put.record.sequence), (at(0).wall, 1));
}

#[test]
fn a_resource_keeps_the_key_that_it_was_stored_under_and_others_get_those_that_are_free() {
    let mut loader = Loader::new(Limits::default(), Box::new(|| "made".into()), at(0));
    for (number, name) in [(4, "a"), (1, "b")] {
        let record = Record { resource: busy(name), sequence: number.into(), last_transition: 0, leaving: false };
        loader.resource(Stored { key: Some(ResourceKey::new(number)), record, version: 0 }, true);
    }
    let mut ranch = loader.finish();
    let now = Now { mono: MonoTime::default(), ..at(1) };
    let mut keys = Vec::new();
    for (name, owned) in [("a", true), ("b", true), ("c", false), ("d", false), ("e", false), ("f", false)] {
        let (r#type, state) = ("t".into(), "busy".into());
        let command = if owned {
            Command::Release(Release { name: name.into(), dest: "free".into(), owner: "alice".into() })
        } else {
            Command::Sync(vec![SyncChange::List { name: name.into(), r#type, state }])
        };
        ranch.decide(CallId(1), command, now);
        let plans = ranch.take_effects().plans;
        for write in plans.iter().flat_map(|plan| &plan.writes) {
            let Write::Put(put) = write else { panic!("{write:?}") };
            keys.push((name, put.key.get()));
        }
    }
    assert_eq!(keys, [("a", 4), ("b", 1), ("c", 0), ("d", 2), ("e", 3), ("f", 5)]);
}

#[test]
fn what_the_config_lists_is_told_after_loading() {
    let mut loader = Loader::new(Limits::default(), Box::new(|| "made".into()), at(0));
    for (number, name) in [(1, "a"), (2, "b")] {
        let record = Record { resource: busy(name), sequence: number, last_transition: 0, leaving: false };
        loader.resource(Stored { key: None, record, version: 0 }, number == 2);
    }
    loader.mark_listed(|resource| resource.name.as_str() == "a");
    let listed: Vec<_> = loader.finish().names_page(None, 9).iter().map(|view| view.listed).collect();
    assert_eq!(listed, [true, false]);
}

#[test]
fn places_are_numbered_after_all_that_ever_were() {
    let mut loader = Loader::new(Limits::default(), Box::new(|| "made".into()), at(0));
    let record = Record { resource: busy("a"), sequence: 1, last_transition: 0, leaving: false };
    loader.resource(Stored { key: None, record, version: 0 }, true);
    loader.place_number(7);
    let mut ranch = loader.finish();
    let acquire = Acquire { request_id: Some("i".into()), ..acquire() };
    ranch.decide(CallId(1), Command::Acquire(acquire), at(0));
    let plans = ranch.take_effects().plans;
    let [Write::PutPlace(place)] = &*plans[0].writes else { panic!("{plans:?}") };
    assert_eq!(place.number, 8);
}
