//! Answers that are lost, and watches that break.

use std::time::{Duration, Instant};

use crate::{api_server::shared, in_process::Server, replica::eventually, wire::Fate};

const CONFIG: &str =
    "resources:\n- {type: t, state: free, names: [a, b]}\n- {type: d, state: free, min-count: 0, max-count: 1}\n";

#[test]
fn a_write_whose_answer_is_lost_is_found_out_and_counts_once() {
    let api = shared();
    let namespace = api.namespace("deaf");
    let server = Server::start(&namespace, CONFIG);
    server.wire.lose_answers(1);
    let granted = server.post("/acquire?type=t&state=free&dest=busy&owner=me");
    assert_eq!(granted.expect_status(200).json()["name"], "a");
    server.wire.lose_answers(1);
    // The store counts as out of reach until it is known.
    eventually("it serves again", || (server.post("/release?name=a&dest=free&owner=me").status == 200).then_some(()));
    assert_eq!(api.object(&namespace, "bres", "a")["status"]["owner"], "");
    // A creation, and a deletion.
    server.wire.lose_answers(1);
    let made = eventually("one is made", || {
        let answer = server.post("/acquire?type=d&state=free&dest=busy&owner=me&request_id=new");
        (answer.status == 200).then(|| answer.json()["name"].as_str().unwrap().to_owned())
    });
    assert_eq!(api.objects(&namespace, "bres").len(), 3);
    eventually("it is released", || {
        (server.post(&format!("/release?name={made}&dest=free&owner=me")).status == 200).then_some(())
    });
    api.kubectl(&["-n", &namespace, "patch", "bres", &made, "--type=merge", "-p", r#"{"status":{"state":"x"}}"#]);
    eventually("the change is heard", || (server.resource(&made)?["state"] == "x").then_some(()));
    server.wire.lose_answers(1);
    api.kubectl(&[
        "-n",
        &namespace,
        "patch",
        "bres",
        &made,
        "--type=merge",
        "-p",
        r#"{"status":{"state":"tombstone"}}"#,
    ]);
    eventually("it is deleted", || server.resource(&made).is_none().then_some(()));
    assert_eq!(api.objects(&namespace, "bres").len(), 2);
}

#[test]
fn a_write_that_is_refused_after_one_that_was_not_heard_of_is_found_out() {
    let api = shared();
    let namespace = api.namespace("refused");
    let server = Server::start(&namespace, CONFIG);
    server.wire.lose_answers(1);
    server.wire.rule("PATCH /apis/boskos.k8s.io", 1, Fate::Refused);
    let granted = server.post("/acquire?type=t&state=free&dest=busy&owner=me");
    assert_eq!(granted.expect_status(200).json()["name"], "a");
    assert_eq!(api.object(&namespace, "bres", "a")["status"]["owner"], "me");
    // Refused from the beginning: it is known that nothing is written.
    server.post("/release?name=a&dest=free&owner=me").expect_status(503);
    server.wire.clear_rules();
    server.post("/release?name=a&dest=free&owner=me").expect_empty();
}

#[test]
fn one_object_in_doubt_halts_nothing_else() {
    let namespace = shared().namespace("doubt");
    let server = Server::start(&namespace, CONFIG);
    server.wire.rule(&format!("PATCH /apis/boskos.k8s.io/v1/namespaces/{namespace}/resources/a?"), 0, Fate::Lost);
    let doubtful = server.post_aside("/acquire?type=t&state=free&dest=busy&owner=me");
    eventually("the first call has taken the older one", || (server.wire.met() > 0).then_some(()));
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let other = server.post("/acquire?type=t&state=free&dest=busy&owner=other");
        assert_eq!(other.expect_status(200).json()["name"], "b");
        server.post("/release?name=b&dest=free&owner=other").expect_empty();
    }
    server.wire.clear_rules();
    assert_eq!(doubtful.join().unwrap().unwrap().expect_status(200).json()["name"], "a");
}

#[test]
fn a_watch_that_tells_that_its_history_is_gone_begins_with_a_list() {
    let api = shared();
    let namespace = api.namespace("told");
    let server = Server::start(&namespace, CONFIG);
    server.wire.expire_open_watches();
    api.kubectl(&["-n", &namespace, "delete", "bres", "b"]);
    eventually("a deletion after it", || server.resource("b").is_none().then_some(()));
}

#[test]
fn a_watch_that_is_cut_goes_on_where_it_was() {
    let api = shared();
    let namespace = api.namespace("cut");
    let server = Server::start(&namespace, CONFIG);
    for state in ["one", "two", "three"] {
        server.wire.cut_watches();
        let patch = format!(r#"{{"status":{{"state":"{state}"}}}}"#);
        api.kubectl(&["-n", &namespace, "patch", "bres", "a", "--type=merge", "-p", &patch]);
        eventually(state, || (server.resource("a")?["state"] == state).then_some(()));
    }
}

#[test]
fn a_watch_whose_history_is_gone_begins_with_a_list() {
    let api = shared();
    let namespace = api.namespace("gone");
    let server = Server::start(&namespace, CONFIG);
    server.wire.expire_watches(1_000_000);
    server.wire.cut_watches();
    api.kubectl(&["-n", &namespace, "patch", "bres", "a", "--type=merge", "-p", r#"{"status":{"state":"x"}}"#]);
    api.kubectl(&["-n", &namespace, "delete", "bres", "b"]);
    eventually("a change that only a list tells", || (server.resource("a")?["state"] == "x").then_some(()));
    eventually("a deletion that only a list tells", || server.resource("b").is_none().then_some(()));
    server.wire.expire_watches(0);
    api.kubectl(&["-n", &namespace, "patch", "bres", "a", "--type=merge", "-p", r#"{"status":{"state":"y"}}"#]);
    eventually("a change that the next watch tells", || (server.resource("a")?["state"] == "y").then_some(()));
}
