//! `wait`: calls that stay until there is something for them.

use std::time::Duration;

use crate::harness::{Server, client::Client, for_each_store, with_server};

const CONFIG: &str = "resources: [{type: t, names: [a, b]}]";
const NONE: &str = "Acquire failed: no available resource t, try again later.";

/// A server whose two resources are held by `holder`.
fn with_held(test: impl Fn(&Server)) {
    with_server(CONFIG, |server| {
        for _ in 0..2 {
            server.take("t", "free", "holder");
        }
        test(server);
    });
}

fn target(owner: &str, rest: &str) -> String {
    format!("/acquire?type=t&state=free&dest=busy&owner={owner}&{rest}")
}

/// Parks a call; it is parked when this returns.
fn park(server: &Server, owner: &str, rest: &str) -> Client {
    let parked = |server: &Server| server.queue().iter().filter(|place| place.ends_with(" parked")).count();
    let before = parked(server);
    let mut client = server.connect();
    client.send_request("POST", &target(owner, rest));
    crate::harness::eventually("one more parked call", || (parked(server) > before).then_some(()));
    client
}

#[test]
fn parked_call_is_granted_by_a_release() {
    with_held(|server| {
        let mut parked = park(server, "me", "wait=50s");
        server.release("b", "free", "holder");
        parked
            .response()
            .expect_text(r#"{"type":"t","name":"b","state":"busy","owner":"me","lastupdate":"T","userdata":{}}"#);
        assert_eq!(server.queue(), [""; 0]);
        // And its connection lives on.
        parked.request("POST", "/release?name=b&dest=free&owner=me").expect_empty();
    });
}

#[test]
fn call_that_need_not_wait_does_not() {
    with_server(CONFIG, |server| {
        server.post(&target("me", "wait=50s")).expect_status(200);
        server.post(&target("me", "wait=50s&request_id=1")).expect_status(200);
    });
}

#[test]
fn parked_calls_are_granted_in_their_order() {
    with_held(|server| {
        let mut first = park(server, "1", "wait=50s&request_id=1");
        let mut second = park(server, "2", "wait=50s");
        let mut third = park(server, "3", "wait=50s&request_id=3");
        assert_eq!(server.queue(), ["1 1 parked", "- 2 parked", "3 3 parked"]);
        server.release("a", "free", "holder");
        first.response().expect_status(200);
        server.release("b", "free", "holder");
        second.response().expect_status(200);
        server.release("a", "dirty", "1");
        server.release("b", "free", "2");
        assert_eq!(third.response().expect_status(200).json()["owner"], "3");
    });
}

#[test]
fn parked_call_gets_what_a_reset_or_a_new_config_frees() {
    with_held(|server| {
        let mut one = park(server, "1", "wait=50s");
        let mut other = park(server, "2", "wait=50s");
        server.post("/reset?type=t&state=busy&expire=0s&dest=free").expect_text(r#"{"a":"holder","b":"holder"}"#);
        one.response().expect_status(200);
        other.response().expect_status(200);
        let mut third = park(server, "3", "wait=50s");
        std::fs::write(server.config_path(), "resources: [{type: t, names: [a, b, c]}]").unwrap();
        assert_eq!(third.response().expect_status(200).json()["name"], "c");
    });
}

#[test]
fn end_of_the_wait_is_the_ordinary_answer() {
    with_held(|server| {
        for wait in ["1ms", "20ms", "0.01s"] {
            server.post(&target("me", &format!("wait={wait}"))).expect_error(404, NONE);
            assert_eq!(server.queue(), [""; 0]);
            server.post(&target("me", &format!("wait={wait}&request_id=id"))).expect_error(404, NONE);
            assert_eq!(server.queue(), ["id 1"]);
            server.release("a", "free", "holder");
            server.post(&target("holder", "request_id=id")).expect_status(200);
        }
    });
}

#[test]
fn no_wait_is_asked_for_by_zero_and_less() {
    with_held(|server| {
        for wait in ["0", "0s", "-1s", "-0", ""] {
            server.post(&target("me", &format!("wait={wait}"))).expect_error(404, NONE);
        }
    });
}

#[test]
fn malformed_wait_is_refused_before_anything_else() {
    with_server(CONFIG, |server| {
        for (wait, text) in [
            ("x", "time: invalid duration \"x\""),
            ("30", "time: missing unit in duration \"30\""),
            ("3days", "time: unknown unit \"days\" in duration \"3days\""),
        ] {
            server.post(&target("me", &format!("wait={wait}"))).expect_error(400, text);
        }
        assert_eq!(server.names("owner="), ["a", "b"]);
        server.post("/acquire?type=t&wait=x").expect_error(
            400,
            "Bad request: Type: t, state: , dest: , owner: , all of them must be set in the request.",
        );
    });
}

#[test]
fn wait_is_capped() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.max_wait = Duration::from_millis(30));
        for _ in 0..2 {
            server.take("t", "free", "holder");
        }
        // Answered long before what was asked for.
        server.post(&target("me", "wait=2562047h")).expect_error(404, NONE);
    });
}

#[test]
fn second_call_of_an_id_replaces_the_parked_one() {
    with_held(|server| {
        let mut first = park(server, "me", "wait=50s&request_id=id");
        let mut second = server.connect();
        second.send_request("POST", &target("you", "wait=50s&request_id=id"));
        first.response().expect_error(404, NONE);
        server.await_queue(&["id 1 parked"]);
        server.release("a", "free", "holder");
        assert_eq!(second.response().expect_status(200).json()["owner"], "you");
        // One that does not wait replaces it too.
        let mut third = park(server, "me", "wait=50s&request_id=other");
        server.post(&target("you", "request_id=other")).expect_error(404, NONE);
        third.response().expect_error(404, NONE);
        assert_eq!(server.queue(), ["other 1"]);
    });
}

#[test]
fn place_outlasts_its_ttl_while_parked() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.ranch.request_ttl = Duration::from_millis(50));
        for _ in 0..2 {
            server.take("t", "free", "holder");
        }
        let mut parked = park(&server, "1", "wait=50s&request_id=1");
        // Another place comes and goes, which takes a whole TTL.
        server.post(&target("2", "request_id=2")).expect_status(404);
        server.await_queue(&["1 1 parked"]);
        server.release("a", "free", "holder");
        parked.response().expect_status(200);
    });
}

#[test]
fn hang_up_while_parked_grants_nothing() {
    with_held(|server| {
        let mut parked = park(server, "me", "wait=50s");
        parked.half_close();
        assert!(parked.response_or_end().is_none());
        server.await_queue(&[]);
        server.release("a", "free", "holder");
        assert_eq!(server.standing("a"), ("free".to_owned(), String::new()));
    });
}

#[test]
fn hang_up_while_parked_keeps_the_place_of_an_id() {
    with_held(|server| {
        let mut first = park(server, "1", "wait=50s&request_id=1");
        let mut second = park(server, "2", "wait=50s&request_id=2");
        first.half_close();
        assert!(first.response_or_end().is_none());
        server.await_queue(&["1 1", "2 2 parked"]);
        server.release("a", "free", "holder");
        assert_eq!(server.standing("a"), ("free".to_owned(), String::new()), "the first in the queue is due it");
        server.post(&target("1", "request_id=1")).expect_status(200);
        server.release("b", "free", "holder");
        second.response().expect_status(200);
    });
}

#[test]
fn reset_connection_is_a_hang_up() {
    with_held(|server| {
        let parked = park(server, "me", "wait=50s");
        socket2::SockRef::from(parked.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(parked);
        server.await_queue(&[]);
    });
}

#[test]
fn body_is_read_before_parking() {
    with_held(|server| {
        let mut client = server.connect();
        let target = target("me", "wait=50s");
        client.send(format!("POST {target} HTTP/1.1\r\nHost: boskos\r\nContent-Length: 4\r\n\r\nab"));
        server.get("/").expect_empty();
        assert_eq!(server.queue(), [""; 0]);
        client.send("cd");
        server.await_queue(&["- 1 parked"]);
        client.half_close();
        server.await_queue(&[]);
    });
}

#[test]
fn unknown_type_is_answered_at_once() {
    with_server(CONFIG, |server| {
        server
            .post("/acquire?type=nope&state=free&dest=busy&owner=o&wait=50s&request_id=1")
            .expect_error(404, "Acquire failed: resource type \"nope\" does not exist");
        // A state that nothing is in is another matter.
        let mut client = server.connect();
        client.send_request("POST", "/acquire?type=t&state=clean&dest=busy&owner=o&wait=50s");
        server.await_queue(&["- 1 parked"]);
    });
}

#[test]
fn parked_call_without_id_counts_as_new_for_creation() {
    with_server("resources: [{type: t, min-count: 0, max-count: 1}]", |server| {
        server.post(&target("me", "wait=50s")).expect_status(200);
        let mut second = park(server, "you", "wait=50s");
        let name = &server.names("owner=me")[0];
        server.release(name, "free", "me");
        assert_eq!(second.response().expect_status(200).json()["name"], name.as_str());
    });
}

#[test]
fn stop_answers_those_who_wait_and_ends() {
    for_each_store(|store| {
        let server = Server::start(store, CONFIG);
        for _ in 0..2 {
            server.take("t", "free", "holder");
        }
        let mut with_id = park(&server, "1", "wait=50s&request_id=1");
        let mut without = park(&server, "2", "wait=50s");
        let mut watching = server.connect();
        watching.send_request("GET", "/api/v1/resources?state=nope&wait=50s");
        let mut idle = server.connect();
        idle.request("GET", "/").expect_empty();
        server.stop();
        with_id.response().expect_error(404, NONE);
        without.response().expect_error(404, NONE);
        // It may have been taken up or not.
        assert!(watching.response_or_end().is_none_or(|response| response.text() == "[]\n"));
        assert!(idle.is_at_end());
    });
}

#[test]
fn parked_calls_beyond_the_limit_are_answered_at_once() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.ranch.parked = 2);
        for _ in 0..2 {
            server.take("t", "free", "holder");
        }
        let mut first = park(&server, "1", "wait=50s");
        let mut second = park(&server, "2", "wait=50s&request_id=2");
        server.post(&target("3", "wait=50s")).expect_error(404, NONE);
        server.post(&target("4", "wait=50s&request_id=4")).expect_error(404, NONE);
        assert_eq!(server.queue(), ["- 1 parked", "2 2 parked", "4 3"]);
        server.release("a", "free", "holder");
        first.response().expect_status(200);
        let _room_again = park(&server, "5", "wait=50s");
        server.release("b", "free", "holder");
        second.response().expect_status(200);
    });
}
