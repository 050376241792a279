use std::time::Duration;

use crate::{
    Lifecycle, Now, Resource,
    ranch::{
        Limits, Ranch,
        command::{Acquire, CallId, Command, Release, Reply, SyncChange},
        plan::{Foreign, Outcome},
    },
};

fn ranch() -> Ranch {
    let mut ranch = Ranch::empty(Limits::default(), Box::new(|| "made".into()));
    ranch.observe(seen("a", "t", 1), Now::default());
    ranch
}

fn seen(name: &str, r#type: &str, version: u64) -> Foreign {
    let resource = Resource::new(name.into(), r#type.into(), "free".into(), Now::default().wall);
    Foreign { name: name.into(), now: Some(resource), version }
}

fn kinds_and_pools(ranch: &Ranch) -> (usize, usize) {
    (ranch.inventory.kinds().count(), ranch.inventory.pools().count())
}

/// Decides a command and settles all that is to be written, in the end as `outcome` has it.
fn carry_out(ranch: &mut Ranch, command: Command, outcome: &Outcome) {
    ranch.decide(CallId(1), command, Now::default());
    while ranch.has_effects() {
        let plans = ranch.take_effects().plans;
        ranch.settle(plans.into_iter().map(|plan| (plan.id, outcome.clone())), Now::default());
    }
}

fn committed() -> Outcome {
    Outcome::Committed(smallvec::SmallVec::new())
}

fn acquire(state: &str, id: Option<&str>) -> Command {
    Command::Acquire(Acquire {
        r#type: "t".into(),
        state: state.into(),
        dest: "busy".into(),
        owner: "alice".into(),
        request_id: id.map(str::to_owned),
        wait: Duration::ZERO,
    })
}

fn list(name: &str, r#type: &str) -> Command {
    let (name, r#type, state) = (name.into(), r#type.into(), "free".into());
    Command::Sync(vec![SyncChange::List { name, r#type, state }])
}

#[test]
fn a_state_is_forgotten_with_its_last_resource_and_place() {
    let mut ranch = ranch();
    assert_eq!(kinds_and_pools(&ranch), (1, 1));
    carry_out(&mut ranch, acquire("s1", None), &committed());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "refused");
    carry_out(&mut ranch, acquire("s2", Some("i")), &committed());
    assert_eq!(kinds_and_pools(&ranch), (1, 2), "somebody waits");
    let later = Now { mono: Now::default().mono.saturating_add(Duration::from_secs(30)), ..Now::default() };
    ranch.work(later);
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "nobody waits any more");
    carry_out(&mut ranch, acquire("free", None), &Outcome::NotWritten);
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it stays free");
    carry_out(&mut ranch, acquire("free", None), &committed());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it is busy");
    let release = Release { name: "a".into(), dest: "s3".into(), owner: "alice".into() };
    carry_out(&mut ranch, Command::Release(release), &committed());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it is s3");
    ranch.observe(seen("a", "t", 2), Now::default());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it is free");
}

#[test]
fn a_type_is_forgotten_with_its_last_resource_and_lifecycle() {
    let mut ranch = ranch();
    carry_out(&mut ranch, list("b", "u"), &Outcome::NotWritten);
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it is not created");
    let set = || Command::Sync(vec![SyncChange::SetLifecycle(Lifecycle::new("d".into()))]);
    carry_out(&mut ranch, set(), &Outcome::NotWritten);
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it does not become dynamic");
    carry_out(&mut ranch, set(), &committed());
    assert_eq!(kinds_and_pools(&ranch), (2, 1), "it is dynamic");
    carry_out(&mut ranch, Command::Sync(vec![SyncChange::DrainLifecycle("d".into())]), &committed());
    ranch.work(Now::default());
    carry_out(&mut ranch, acquire("none", None), &committed());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it is drained");
    ranch.observe(seen("a", "v", 2), Now::default());
    assert_eq!(kinds_and_pools(&ranch), (1, 1), "it has another type");
    ranch.observe(Foreign { now: None, ..seen("a", "v", 3) }, Now::default());
    assert_eq!(kinds_and_pools(&ranch), (0, 0), "it is gone");
}

#[test]
fn what_an_undo_turned_back_is_noted_until_it_changes_again() {
    let mut ranch = ranch();
    let noted = |ranch: &Ranch| ranch.inventory.turned_back_after(0).count();
    ranch.decide(CallId(1), acquire("free", None), Now::default());
    let plans = ranch.take_effects().plans;
    ranch.settle(plans.into_iter().map(|plan| (plan.id, committed())), Now::default());
    let Some((_, Reply::Granted(granted))) = ranch.take_effects().replies.pop() else { panic!("nothing granted") };
    assert_eq!(noted(&ranch), 0, "it is as new as its last transition");
    carry_out(&mut ranch, Command::Undo(granted.receipt), &committed());
    assert_eq!(noted(&ranch), 1);
    carry_out(&mut ranch, acquire("free", None), &committed());
    assert_eq!(noted(&ranch), 0);
}
