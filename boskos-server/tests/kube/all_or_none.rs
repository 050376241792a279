//! Several resources at once, and an end after each write.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    api_server::shared,
    in_process::Server,
    replica::eventually,
    wire::{Fate, Wire},
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a, b, c]}\n";
const ALL: &str = "/acquirebystate?state=free&dest=leased&owner=me&names=a,b,c";

/// The note, three objects, and its end.
const WRITES: usize = 5;

fn owners(namespace: &str) -> Vec<Value> {
    let objects = shared().objects(namespace, "bres");
    objects.iter().map(|object| object["status"]["owner"].clone()).collect()
}

#[test]
fn all_or_none_whatever_the_last_write_of_a_process_was() {
    for last in 0..=WRITES {
        let namespace = shared().namespace("all");
        let server = Server::start(&namespace, CONFIG);
        let before = server.wire.writes();
        server.wire.die_after(last);
        let asked = server.post_aside(ALL);
        if last < WRITES {
            eventually("the write that is lost", || (server.wire.writes() == before + last + 1).then_some(()));
            server.kill();
            assert!(asked.join().unwrap().is_none(), "nothing was acknowledged");
        } else {
            asked.join().unwrap().unwrap().expect_status(200);
            assert_eq!(server.wire.writes(), before + WRITES);
            server.kill();
        }
        let next = Server::start(&namespace, CONFIG);
        let expected = if last < WRITES { "" } else { "me" };
        assert_eq!(owners(&namespace), [expected; 3], "killed after write {last}");
        assert_eq!(next.resource("a").unwrap()["owner"], expected);
        let lease = shared().objects(&namespace, "lease").pop();
        let noted = lease.map(|lease| lease["metadata"]["annotations"]["boskos.k8s.io/unfinished"].clone());
        assert!(noted.is_none_or(|noted| noted.is_null()), "the note is struck out");
    }
}

#[test]
fn what_others_took_in_between_has_the_rest_put_back() {
    let api = shared();
    let namespace = api.namespace("rest");
    let server = Server::start(&namespace, CONFIG);
    let before = server.resource("a").unwrap();
    // The note is held: then all is decided, and nothing written.
    server.wire.hold_next();
    let asked = server.post_aside(ALL);
    eventually("the note is on its way", || (server.wire.held() == 1).then_some(()));
    let patch = r#"{"status":{"owner":"other","state":"busy"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", "c", "--type=merge", "-p", patch]);
    server.wire.release();
    let answer = asked.join().unwrap().unwrap();
    answer.expect_error(404, "AcquireByState: no available resource free, try again later.");
    assert_eq!(owners(&namespace), ["", "", "other"]);
    assert_eq!(server.resource("a").unwrap(), before, "with its age");
    // What was put back can be had.
    server.post("/acquirebystate?state=free&dest=leased&owner=me&names=a,b").expect_status(200);
    assert_eq!(owners(&namespace), ["me", "me", "other"]);
    server.post("/release?name=a&dest=free&owner=me").expect_empty();
}

#[test]
fn another_leader_puts_back_what_one_left_half_done() {
    let namespace = shared().namespace("heir");
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), Arc::new(Wire::default()));
    server.serves();
    server.wire.rule("PATCH /apis/boskos.k8s.io", 1, Fate::Lost);
    let asked = server.post_aside(ALL);
    eventually("the first is written", || (owners(&namespace) == ["me", "", ""]).then_some(()));
    server.kill();
    assert!(asked.join().unwrap().is_none(), "nothing was acknowledged");
    let next = Server::begin(&namespace, CONFIG, Some("pod-1"), Arc::new(Wire::default()));
    next.serves();
    assert_eq!(owners(&namespace), ["", "", ""]);
    next.post(ALL).expect_status(200);
}

#[test]
fn an_end_while_it_is_put_back_leaves_nothing_half_done() {
    let api = shared();
    let namespace = api.namespace("twice");
    let server = Server::start(&namespace, CONFIG);
    // Written once, and not put back.
    server.wire.rule(&format!("PATCH /apis/boskos.k8s.io/v1/namespaces/{namespace}/resources/a?"), 1, Fate::Lost);
    server.wire.hold_next();
    let asked = server.post_aside(ALL);
    eventually("the note is on its way", || (server.wire.held() == 1).then_some(()));
    let patch = r#"{"status":{"owner":"other","state":"busy"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", "c", "--type=merge", "-p", patch]);
    server.wire.release();
    eventually("one of two is put back", || (owners(&namespace) == ["me", "", "other"]).then_some(()));
    server.kill();
    assert!(asked.join().unwrap().is_none(), "nothing was acknowledged");
    let next = Server::start(&namespace, CONFIG);
    assert_eq!(owners(&namespace), ["", "", "other"]);
    next.post("/acquirebystate?state=free&dest=leased&owner=me&names=a,b").expect_status(200);
}
