//! Upkeep of dynamic types, step by step.

use boskos_core::{
    Lifecycle, Resource,
    ranch::{
        Limits,
        command::{Command, SyncChange},
        plan::Write,
    },
};

use crate::stage::{Stage, committed, dynamic, resource};

/// As many resources of the dynamic type in this state, `first` and on.
fn in_state(state: &str, first: u32, count: u32) -> Vec<Resource> {
    (first..first + count).map(|number| resource(&format!("d{number}"), "d", state, None)).collect()
}

/// What each plan in flight does.
fn told(stage: &Stage) -> Vec<String> {
    let write = |write: &Write| match write {
        Write::Put(put) if put.replaces.is_none() => format!("create {}", put.record.resource.state),
        Write::Put(put) => format!("{} to {}", put.record.resource.name, put.record.resource.state),
        Write::Delete(delete) => format!("delete {}", delete.name),
        Write::DeleteLifecycle(r#type) => format!("forget {type}"),
        Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) => format!("{write:?}"),
    };
    stage.flying.iter().flat_map(|plan| &plan.writes).map(write).collect()
}

/// What is done step by step, two changes in each.
fn steps(resources: Vec<Resource>, lifecycle: Lifecycle) -> Vec<Vec<String>> {
    let mut stage = Stage::new(Limits { step: 2, ..Limits::default() }, resources, &[lifecycle]);
    let mut steps = Vec::new();
    while stage.ranch.next_wake().at_once {
        stage.work();
        if !stage.flying.is_empty() {
            steps.push(told(&stage));
        }
        stage.commit_all();
        assert!(steps.len() < 9, "{steps:?}");
    }
    steps
}

#[test]
fn what_is_missing_is_created() {
    let lifecycle = Lifecycle { min_count: 3, state: "dirty".into(), ..dynamic("d") };
    let created = |count| vec!["create dirty".to_owned(); count];
    assert_eq!(steps(vec![], lifecycle.clone()), [created(2), created(1)]);
    assert_eq!(steps(in_state("free", 1, 2), lifecycle.clone()), [created(1)]);
    assert!(steps(in_state("free", 1, 3), lifecycle).is_empty());
}

#[test]
fn tombstones_are_deleted_and_do_not_count() {
    let lifecycle = Lifecycle { min_count: 1, ..dynamic("d") };
    let deleted = |number: u32| format!("delete d{number}");
    assert_eq!(
        steps(in_state("tombstone", 1, 3), lifecycle),
        [vec![deleted(1), deleted(2)], vec![deleted(3), "create free".to_owned()]]
    );
}

#[test]
fn surplus_goes_by_descending_name_and_what_goes_already_is_none() {
    let lifecycle = Lifecycle { max_count: 1, ..dynamic("d") };
    let mut resources = in_state("free", 2, 4);
    resources.extend(in_state("toBeDeleted", 9, 1));
    resources.push(resource("d1", "d", "busy", Some("alice")));
    let goes = |number: u32| format!("d{number} to toBeDeleted");
    let steps_taken = steps(resources, lifecycle.clone());
    assert!(steps_taken.iter().all(|step| step.len() <= 2), "{steps_taken:?}");
    assert_eq!(steps_taken.concat(), [goes(5), goes(4), goes(3), goes(2)]);
    assert_eq!(steps(in_state("free", 1, 2), lifecycle.clone()), [vec![goes(2)]]);
    assert!(steps(in_state("free", 1, 1), lifecycle).is_empty());
}

#[test]
fn what_is_in_flight_is_neither_missing_nor_surplus() {
    let lifecycle = Lifecycle { min_count: 2, max_count: 2, ..dynamic("d") };
    for (resources, expected) in [(vec![], vec!["create free"; 2]), (in_state("free", 1, 3), vec!["d3 to toBeDeleted"])]
    {
        let mut stage = Stage::new(Limits::default(), resources, std::slice::from_ref(&lifecycle));
        for _ in 0..2 {
            stage.work();
            assert_eq!(told(&stage), expected);
            // Has the type be looked at again.
            stage.ranch.resume(stage.now);
        }
        stage.commit_all();
        while stage.work() {}
        assert!(stage.flying.is_empty(), "{:?}", told(&stage));
    }
}

#[test]
fn what_could_not_be_written_is_tried_again() {
    let lifecycle = Lifecycle { min_count: 1, ..dynamic("d") };
    let mut stage = Stage::new(Limits::default(), [], &[lifecycle]);
    stage.work();
    stage.settle(boskos_core::ranch::plan::Outcome::NotWritten);
    stage.work();
    assert_eq!(told(&stage), ["create free"]);
    stage.settle(committed());
    assert_eq!(stage.ranch.len(), 1);
}

#[test]
fn to_look_at_a_type_counts_as_a_change() {
    let types = ["d1", "d2", "d3", "d4", "d5"].map(dynamic);
    let mut stage = Stage::new(Limits { step: 2, ..Limits::default() }, [], &types);
    assert_eq!([(); 4].map(|()| stage.work()), [true, true, false, false]);
    assert!(stage.flying.is_empty());
}

#[test]
fn all_that_is_surplus_goes_in_steps() {
    let types = ["d", "e"].map(|r#type| Lifecycle { max_count: 1, ..dynamic(r#type) });
    let resources = ["d", "e"]
        .iter()
        .flat_map(|r#type| (1..=3).map(move |number| resource(&format!("{type}{number}"), r#type, "free", None)));
    let mut stage = Stage::new(Limits { step: 3, ..Limits::default() }, resources, &types);
    let mut before = 0;
    while stage.ranch.next_wake().at_once {
        stage.work();
        let sent = stage.flying.len() - before;
        assert!(sent <= 3, "{sent} changes in one step");
        before += sent;
    }
    let mut went = told(&stage);
    // Types are looked at in turns, each by descending name.
    went.sort_by_key(|told| told.starts_with('e'));
    let goes = ["d3", "d2", "e3", "e2"].map(|name| format!("{name} to toBeDeleted"));
    assert_eq!(went, goes);
}

#[test]
fn a_type_that_was_to_be_looked_at_may_be_dynamic_no_more() {
    for listed in [false, true] {
        let mut stage = Stage::new(Limits::default(), [], &[dynamic("d")]);
        if listed {
            let (name, r#type, state) = ("d1".into(), "d".into(), "free".into());
            stage.ask(Command::Sync(vec![SyncChange::List { name, r#type, state }]));
            stage.commit_all();
        }
        stage.ask(Command::Sync(vec![SyncChange::DrainLifecycle("d".into())]));
        stage.commit_all();
        stage.work();
        assert_eq!(told(&stage), ["forget d"]);
        // Has the type be looked at again.
        stage.ranch.resume(stage.now);
        stage.commit_all();
        assert!(!stage.work());
        assert_eq!(
            (stage.flying.len(), stage.ranch.lifecycles().len(), stage.ranch.len()),
            (0, 0, usize::from(listed))
        );
    }
}

#[test]
fn a_step_looks_at_no_more_names_than_it_may_change() {
    let lifecycle = Lifecycle { max_count: 0, ..dynamic("d") };
    let others = (1..=9).map(|number| resource(&format!("z{number}"), "t", "free", None));
    let resources = in_state("free", 1, 3).into_iter().chain(others);
    let mut stage = Stage::new(Limits { step: 2, ..Limits::default() }, resources, &[lifecycle]);
    let mut steps = 0;
    while stage.flying.is_empty() {
        assert!(stage.ranch.next_wake().at_once);
        stage.work();
        steps += 1;
    }
    assert_eq!(steps, 5, "nine names are before them");
    while stage.ranch.next_wake().at_once {
        stage.work();
    }
    assert_eq!(told(&stage), ["d3 to toBeDeleted", "d2 to toBeDeleted", "d1 to toBeDeleted"]);
}

#[test]
fn what_goes_of_one_type_leaves_less_for_the_next() {
    let types = ["d", "e"].map(|r#type| Lifecycle { max_count: 1, ..dynamic(r#type) });
    let resources = ["d", "e"]
        .iter()
        .flat_map(|r#type| (1..=3).map(move |number| resource(&format!("{type}{number}"), r#type, "free", None)));
    let mut stage = Stage::new(Limits { chores: 3, ..Limits::default() }, resources, &types);
    stage.work();
    assert_eq!(told(&stage), ["d3 to toBeDeleted", "d2 to toBeDeleted"]);
}
