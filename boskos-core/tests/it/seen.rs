//! What readers and watchers see while something is in flight.

use boskos_core::ranch::{
    Limits,
    command::{Acquire, Filter},
};

use crate::stage::{Stage, acquire, dynamic, free, resource};

fn of_state(state: &str) -> Filter {
    Filter { states: vec![state.into()], ..Filter::default() }
}

#[test]
fn only_what_is_newer_and_committed_matches() {
    let mut stage = Stage::new(Limits::default(), [free("a"), resource("b", "t", "dirty", None)], &[dynamic("d")]);
    let before = stage.ranch.settled_up_to();
    assert!(stage.ranch.any_matches(&of_state("free"), 0));
    assert!(stage.ranch.any_matches(&of_state("free"), before - 2));
    assert!(!stage.ranch.any_matches(&of_state("free"), before));
    stage.acquire(acquire());
    stage.acquire(Acquire { r#type: "d".into(), request_id: Some("i".into()), ..acquire() });
    assert_eq!((stage.flying.len(), stage.ranch.settled_up_to()), (2, before));
    assert!(stage.ranch.any_matches(&of_state("free"), 0), "until it is committed it is free");
    assert!(!stage.ranch.any_matches(&of_state("free"), before));
    assert!(!stage.ranch.any_matches(&of_state("busy"), 0), "neither is committed");
    stage.commit_all();
    assert!(!stage.ranch.any_matches(&of_state("free"), 0));
    assert!(stage.ranch.any_matches(&of_state("busy"), before));
    assert!(!stage.ranch.any_matches(&of_state("dirty"), before));
}
