//! Objects that others change, delete and create between the decision and the write.

use crate::{api_server::shared, in_process::Server, replica::eventually};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a, b]}\n";
const ACQUIRE: &str = "/acquire?type=t&state=free&dest=busy&owner=me";

/// An acquire whose write waits while `meanwhile` happens to resource `a`; what it is answered.
fn acquire_while(prefix: &str, meanwhile: impl FnOnce(&str)) -> (String, Server, crate::harness::client::Response) {
    let namespace = shared().namespace(prefix);
    let server = Server::start(&namespace, CONFIG);
    server.wire.hold_next();
    let asked = server.post_aside(ACQUIRE);
    eventually("the write is on its way", || (server.wire.held() == 1).then_some(()));
    meanwhile(&namespace);
    server.wire.release();
    let answer = asked.join().unwrap().unwrap();
    (namespace, server, answer)
}

#[test]
fn what_was_changed_before_the_write_is_judged_anew() {
    let patch = r#"{"status":{"state":"noSchedule"}}"#;
    let (namespace, server, answer) = acquire_while("changed", |namespace| {
        shared().kubectl(&["-n", namespace, "patch", "bres", "a", "--type=merge", "-p", patch]);
    });
    assert_eq!(answer.expect_status(200).json()["name"], "b");
    let a = server.resource("a").unwrap();
    assert_eq!((&a["state"], &a["owner"]), (&"noSchedule".into(), &"".into()));
    assert_eq!(shared().object(&namespace, "bres", "a")["status"]["owner"], "");
}

#[test]
fn what_was_deleted_before_the_write_is_gone() {
    let (_, server, answer) = acquire_while("deleted", |namespace| {
        shared().kubectl(&["-n", namespace, "delete", "bres", "a"]);
    });
    assert_eq!(answer.expect_status(200).json()["name"], "b");
    assert_eq!(server.resource("a"), None);
}

#[test]
fn what_was_replaced_before_the_write_is_another_object() {
    let (_, server, answer) = acquire_while("replaced", |namespace| {
        let api = shared();
        api.kubectl(&["-n", namespace, "delete", "bres", "a"]);
        let object = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"ResourceObject","metadata":{"name":"a"},
            "spec":{"type":"t"},"status":{"state":"other","owner":""}}"#;
        api.kubectl_with(&["-n", namespace, "create", "-f", "-"], Some(object));
    });
    assert_eq!(answer.expect_status(200).json()["name"], "b");
    let seen = eventually("the other object", || server.resource("a"));
    assert_eq!(seen["state"], "other");
}

#[test]
fn what_was_created_before_it_was_created_is_taken_over() {
    let api = shared();
    let namespace = api.namespace("created");
    let server = Server::start(&namespace, CONFIG);
    server.wire.hold_next();
    server.configure("resources:\n- {type: t, state: free, names: [a, b, c]}\n");
    eventually("the creation is on its way", || (server.wire.held() == 1).then_some(()));
    let object = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"ResourceObject","metadata":{"name":"c"},
        "spec":{"type":"t"},"status":{"state":"mine","owner":"someone"}}"#;
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(object));
    server.wire.release();
    let seen = eventually("the object of others", || server.resource("c"));
    assert_eq!((&seen["state"], &seen["owner"]), (&"mine".into(), &"someone".into()));
}

#[test]
fn one_slow_object_holds_up_only_requests_on_it() {
    let namespace = shared().namespace("slow");
    let server = Server::start(&namespace, CONFIG);
    server.wire.hold_next();
    let slow = server.post_aside(ACQUIRE);
    eventually("the write is on its way", || (server.wire.held() == 1).then_some(()));
    let other = server.post("/acquire?type=t&state=free&dest=busy&owner=other");
    assert_eq!(other.expect_status(200).json()["name"], "b");
    server.wire.release();
    assert_eq!(slow.join().unwrap().unwrap().expect_status(200).json()["name"], "a");
}
