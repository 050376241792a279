//! What concerns very many resources is done in steps: others come in between.

use std::time::Duration;

use boskos_core::{
    Lifecycle, Now, Resource,
    ranch::{
        Limits, Loader, Ranch,
        command::{Acquire, AcquireByState, CallId, Command, Filter, Release, Reply, SyncChange, Watch},
        plan::{Foreign, LifecycleRecord, Outcome, Plan, Record, Stored, Write},
    },
};

use crate::stage::{acquire, at, committed};

/// Changes, and looks at resources, in one step.
const STEP: usize = 10;

/// A ranch of so many resources of a type, `r000` and so on.
fn ranch(count: u64, max: Option<u32>, form: impl Fn(&mut Resource)) -> Ranch {
    let limits = Limits { step: STEP, ..Limits::default() };
    let mut loader = Loader::new(limits, Box::new(|| "made".into()), at(0));
    for number in 1..=count {
        let mut resource =
            Resource::new(format!("r{:03}", number - 1).as_str().into(), "t".into(), "free".into(), at(0).wall);
        form(&mut resource);
        let record = Record { resource, sequence: number, last_transition: number, leaving: false };
        loader.resource(Stored { key: None, record, version: 0 }, max.is_none());
    }
    if let Some(max_count) = max {
        let lifecycle = Lifecycle { max_count, ..Lifecycle::new("t".into()) };
        loader.lifecycle(LifecycleRecord { lifecycle, draining: false });
    }
    loader.finish()
}

fn owned_by(owner: &'static str) -> impl Fn(&mut Resource) {
    move |resource| {
        resource.owner = Some(owner.into());
        resource.state = "busy".into();
    }
}

fn let_go(name: &str, version: u64) -> Foreign {
    let resource = Resource::new(name.into(), "t".into(), "free".into(), at(0).wall);
    Foreign { name: name.into(), now: Some(resource), version }
}

/// The plans of a step, which are given this outcome.
fn plans(ranch: &mut Ranch, now: Now, outcome: &Outcome) -> Vec<Plan> {
    let effects = ranch.take_effects();
    ranch.settle(effects.plans.iter().map(|plan| (plan.id, outcome.clone())), now);
    effects.plans
}

fn names(plans: &[Plan]) -> Vec<String> {
    plans.iter().flat_map(Plan::names).map(ToString::to_string).collect()
}

fn found(ranch: &mut Ranch) -> Option<bool> {
    let replies = ranch.take_effects().replies;
    assert!(replies.len() < 2, "{replies:?}");
    match replies.first() {
        Some((_, Reply::Watched { found })) => Some(*found),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

/// Asks for what bob owns of what is busy, and does `steps` steps; the answer.
fn watch_for_bob(ranch: &mut Ranch, wait: Duration, steps: usize) -> Option<bool> {
    let filter = Filter { states: vec!["busy".into()], owners: vec![Some("bob".into())], ..Filter::default() };
    ranch.decide(CallId(1), Command::Watch(Watch { filter, since: None, wait }), at(0));
    for step in 0..steps {
        assert!(ranch.next_wake().at_once && ranch.is_searching(), "in step {step}");
        assert!(found(ranch).is_none(), "in step {step}");
        ranch.work(at(0));
    }
    assert!(!ranch.is_searching());
    found(ranch)
}

#[test]
fn who_watches_for_one_owner_among_very_many_is_answered_after_some_steps() {
    let held_by_bob = |state: &'static str| {
        move |resource: &mut Resource| {
            owned_by("alice")(resource);
            if resource.name.as_str() == "r024" {
                resource.owner = Some("bob".into());
                resource.state = state.into();
            }
        }
    };
    let mut there = ranch(35, None, held_by_bob("busy"));
    assert_eq!(watch_for_bob(&mut there, Duration::ZERO, 3), Some(true), "it is in the third ten");
    let mut in_another_state = ranch(35, None, held_by_bob("held"));
    assert_eq!(watch_for_bob(&mut in_another_state, Duration::ZERO, 4), Some(false));
    assert_eq!(watch_for_bob(&mut in_another_state, Duration::from_secs(9), 4), None, "it waits");
    in_another_state.work(at(9));
    assert_eq!(found(&mut in_another_state), Some(false), "its wait is over");
}

#[test]
fn what_is_passed_by_a_search_is_noticed_when_it_changes() {
    let mut ranch = ranch(35, None, |resource| {
        owned_by("alice")(resource);
        if resource.name.as_str() == "r034" {
            resource.owner = Some("bob".into());
            resource.state = "held".into();
        }
    });
    let filter = Filter { states: vec!["busy".into()], owners: vec![Some("bob".into())], ..Filter::default() };
    let watch = Watch { filter, since: None, wait: Duration::ZERO };
    ranch.decide(CallId(1), Command::Watch(watch), at(0));
    ranch.work(at(0));
    assert_eq!(found(&mut ranch), None, "three steps are to come");
    let mut resource = Resource::new("r000".into(), "t".into(), "busy".into(), at(0).wall);
    resource.owner = Some("bob".into());
    ranch.observe(Foreign { name: "r000".into(), now: Some(resource), version: 1 }, at(0));
    assert_eq!(found(&mut ranch), Some(true));
}

#[test]
fn what_is_newer_is_found_without_a_look_at_what_is_not() {
    let mut ranch = ranch(35, None, |_| {});
    let watch = |since| Watch { filter: Filter::default(), since: Some(since), wait: Duration::ZERO };
    ranch.decide(CallId(1), Command::Watch(watch(35)), at(0));
    assert_eq!(found(&mut ranch), Some(false));
    ranch.decide(CallId(2), Command::Watch(watch(34)), at(0));
    assert_eq!(found(&mut ranch), Some(true));
}

#[test]
fn surplus_goes_in_steps_and_the_last_by_name_first() {
    let mut ranch = ranch(60, Some(5), |resource| {
        if ["r005", "r055"].contains(&resource.name.as_str()) {
            resource.owner = Some("alice".into());
        }
    });
    let (mut gone, mut came_back) = (Vec::new(), None);
    while ranch.next_wake().at_once {
        ranch.work(at(0));
        let step = names(&plans(&mut ranch, at(0), &committed()));
        assert!(step.len() <= STEP, "{step:?}");
        gone.extend(step);
        if gone.len() > 20 && came_back.is_none() {
            // It was passed, and is the last by name of those that are left.
            came_back = Some(gone.len());
            let release = Release { name: "r055".into(), dest: "free".into(), owner: "alice".into() };
            ranch.decide(CallId(1), Command::Release(release), at(0));
            plans(&mut ranch, at(0), &committed());
        }
    }
    let mut expected: Vec<String> = (0..60).rev().map(|number| format!("r{number:03}")).collect();
    expected.retain(|name| !["r005", "r055"].contains(&name.as_str()));
    expected.insert(came_back.unwrap(), "r055".to_owned());
    expected.truncate(55);
    assert_eq!(gone, expected, "five are left, r005 among them");
}

#[test]
fn whoever_waits_when_the_store_is_back_is_served_in_steps_first_come_first() {
    let mut ranch = ranch(35, None, owned_by("alice"));
    for call in 0..35 {
        let acquire = Acquire { owner: "bob".into(), wait: Duration::from_secs(50), ..acquire() };
        ranch.decide(CallId(call), Command::Acquire(acquire), at(0));
    }
    ranch.halt();
    for number in 0..30 {
        ranch.observe(let_go(&format!("r{number:03}"), 1), at(0));
    }
    ranch.resume(at(0));
    let mut served = Vec::new();
    loop {
        let step = names(&plans(&mut ranch, at(0), &committed()));
        assert!(step.len() <= STEP, "{step:?}");
        served.extend(ranch.take_effects().replies.into_iter().map(|(call, _)| call.0));
        if !ranch.is_making_up() {
            break;
        }
        assert!(ranch.next_wake().at_once);
        ranch.work(at(0));
    }
    assert_eq!(served, (0..30).collect::<Vec<_>>());
    assert_eq!(ranch.parked(), 5);
}

#[test]
fn what_is_to_go_goes_at_once_and_what_is_owed_in_steps_when_the_store_is_back() {
    let mut ranch = ranch(25, None, owned_by("alice"));
    for call in 0..25 {
        let acquire = Acquire { owner: "bob".into(), request_id: Some(format!("id-{call}")), ..acquire() };
        ranch.decide(CallId(call), Command::Acquire(acquire), at(0));
        plans(&mut ranch, at(0), &committed());
    }
    let unlist = (0..25).map(|number| SyncChange::Unlist { name: format!("r{number:03}").as_str().into() });
    ranch.decide(CallId(99), Command::Sync(unlist.collect()), at(0));
    while ranch.places() > 0 {
        ranch.work(at(31));
        plans(&mut ranch, at(31), &Outcome::NotWritten);
    }
    ranch.halt();
    for number in 0..25 {
        ranch.observe(let_go(&format!("r{number:03}"), 1), at(31));
    }
    ranch.resume(at(32));
    // Whoever comes now gets nothing of what the config no longer names.
    let acquire = Acquire { owner: "carol".into(), ..acquire() };
    ranch.decide(CallId(100), Command::Acquire(acquire), at(32));
    let mut step = ranch.take_effects().plans;
    let deleted = names(&step);
    assert_eq!(deleted, (0..25).map(|number| format!("r{number:03}")).collect::<Vec<_>>());
    assert!(step.iter().flat_map(|plan| &plan.writes).all(|write| !matches!(write, Write::Put(_))), "{step:?}");
    let mut forgotten = 0;
    loop {
        let forgets = step.iter().filter(|plan| matches!(plan.writes.first(), Some(Write::DeletePlace(_))));
        let forgets = forgets.count();
        assert!(forgets <= STEP, "{step:?}");
        forgotten += forgets;
        ranch.settle(step.iter().map(|plan| (plan.id, committed())), at(32));
        if !ranch.is_making_up() {
            break;
        }
        ranch.work(at(32));
        step = ranch.take_effects().plans;
    }
    plans(&mut ranch, at(32), &committed());
    assert_eq!(forgotten, 25);
    assert!(ranch.is_empty());
}

#[test]
fn what_is_to_go_is_granted_to_nobody_who_waited_through_the_outage() {
    let mut ranch = ranch(1, None, owned_by("alice"));
    let unlist = vec![SyncChange::Unlist { name: "r000".into() }];
    ranch.decide(CallId(1), Command::Sync(unlist), at(0));
    let waits = Acquire { owner: "bob".into(), wait: Duration::from_secs(50), ..acquire() };
    ranch.decide(CallId(2), Command::Acquire(waits), at(0));
    plans(&mut ranch, at(0), &committed());
    assert_eq!(ranch.parked(), 1);
    ranch.halt();
    ranch.observe(let_go("r000", 1), at(0));
    ranch.resume(at(0));
    plans(&mut ranch, at(0), &committed());
    plans(&mut ranch, at(0), &committed());
    assert!(ranch.is_empty(), "{:?}", ranch.resource("r000"));
}

#[test]
fn nothing_is_made_up_for_while_nothing_can_be_written_again() {
    let mut ranch = ranch(25, None, owned_by("alice"));
    for call in 0..25 {
        let acquire = Acquire { owner: "bob".into(), wait: Duration::from_secs(50), ..acquire() };
        ranch.decide(CallId(call), Command::Acquire(acquire), at(0));
    }
    ranch.halt();
    ranch.resume(at(0));
    assert!(ranch.is_making_up() && ranch.next_wake().at_once, "ten of 25 were looked at");
    ranch.halt();
    assert!(!ranch.is_making_up() && !ranch.next_wake().at_once);
}

#[test]
fn places_that_stay_through_an_outage_are_kept_in_steps() {
    let mut ranch = ranch(1, None, owned_by("alice"));
    for call in 0..25 {
        let acquire = Acquire { owner: "bob".into(), request_id: Some(format!("id-{call}")), ..acquire() };
        ranch.decide(CallId(call), Command::Acquire(acquire), at(0));
        plans(&mut ranch, at(0), &committed());
    }
    ranch.halt();
    assert_eq!([(); 3].map(|()| ranch.work(at(31))), [true, true, false], "ten, ten and five");
    assert_eq!(ranch.places(), 25);
}

#[test]
fn what_is_to_go_stays_while_somebody_owns_it_when_the_store_is_back() {
    let mut ranch = ranch(1, None, owned_by("alice"));
    ranch.decide(CallId(1), Command::Sync(vec![SyncChange::Unlist { name: "r000".into() }]), at(0));
    ranch.halt();
    ranch.observe(let_go("r000", 1), at(0));
    let mut taken = let_go("r000", 2);
    if let Some(resource) = &mut taken.now {
        resource.owner = Some("carol".into());
    }
    ranch.observe(taken, at(0));
    ranch.resume(at(0));
    assert_eq!(names(&plans(&mut ranch, at(0), &committed())), [""; 0], "carol has it");
    ranch.observe(let_go("r000", 3), at(0));
    assert_eq!(names(&plans(&mut ranch, at(0), &committed())), ["r000"]);
    assert!(ranch.is_empty());
}

#[test]
fn an_undo_of_several_counts_as_many_in_a_step() {
    let mut ranch = ranch(24, None, |_| {});
    let mut receipts = Vec::new();
    for call in 0..3_u64 {
        let names = (8 * call..8 * call + 8).map(|number| format!("r{number:03}").as_str().into()).collect();
        let by_state = AcquireByState { state: "free".into(), dest: "busy".into(), owner: "alice".into(), names };
        ranch.decide(CallId(call), Command::AcquireByState(by_state), at(0));
        plans(&mut ranch, at(0), &committed());
        let Some((_, Reply::GrantedAll(_, receipt))) = ranch.take_effects().replies.pop() else { panic!("refused") };
        receipts.push(receipt);
    }
    ranch.halt();
    receipts.into_iter().for_each(|receipt| ranch.decide(CallId(9), Command::Undo(receipt), at(0)));
    ranch.resume(at(0));
    assert_eq!(plans(&mut ranch, at(0), &committed()).len(), 2, "eight, and eight begun within ten");
    ranch.work(at(0));
    assert_eq!(plans(&mut ranch, at(0), &committed()).len(), 1);
}
