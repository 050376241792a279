//! The queue: first come, first served, by request id.

use std::time::Duration;

use crate::harness::{Server, client::Response, eventually, for_each_store, with_server};

const CONFIG: &str = "resources: [{type: t, names: [a, b, c]}, {type: u, names: [d]}]";
const DYNAMIC: &str = "resources: [{type: t, state: free, min-count: 0, max-count: 2}]";

/// Acquires as the owner named after the id.
fn ask(server: &Server, id: &str) -> Response {
    ask_for(server, id, "t", "free")
}

fn ask_for(server: &Server, id: &str, r#type: &str, state: &str) -> Response {
    server.post(&format!("/acquire?type={type}&state={state}&dest=busy&owner={id}&request_id={id}"))
}

fn refused(server: &Server, id: &str) {
    ask(server, id).expect_error(404, "Acquire failed: no available resource t, try again later.");
}

/// All of type `t` in the hands of `holder`.
fn hold_all(server: &Server) {
    for _ in 0..3 {
        server.take("t", "free", "holder");
    }
}

#[test]
fn first_come_is_first_served() {
    with_server(CONFIG, |server| {
        hold_all(server);
        for id in ["1", "2", "3"] {
            refused(server, id);
        }
        assert_eq!(server.queue(), ["1 1", "2 2", "3 3"]);
        server.release("a", "free", "holder");
        // Later ones do not get what the first is due, however often they ask.
        for id in ["3", "2", "4", "3", "2"] {
            refused(server, id);
        }
        ask(server, "1").expect_status(200);
        server.release("b", "free", "holder");
        refused(server, "3");
        ask(server, "2").expect_status(200);
        assert_eq!(server.queue(), ["3 1", "4 2"]);
    });
}

#[test]
fn rank_is_weighed_against_what_is_free() {
    with_server(CONFIG, |server| {
        hold_all(server);
        for id in ["1", "2", "3"] {
            refused(server, id);
        }
        server.release("a", "free", "holder");
        server.release("b", "free", "holder");
        refused(server, "3");
        // The first two get the two free ones, in whatever order they ask.
        ask(server, "2").expect_status(200);
        refused(server, "3");
        ask(server, "1").expect_status(200);
        refused(server, "3");
        server.release("c", "free", "holder");
        ask(server, "3").expect_status(200);
        assert_eq!(server.queue(), [""; 0]);
    });
}

#[test]
fn calling_again_keeps_the_place() {
    with_server(CONFIG, |server| {
        hold_all(server);
        for _ in 0..3 {
            for id in ["1", "2"] {
                refused(server, id);
            }
        }
        refused(server, "2");
        assert_eq!(server.queue(), ["1 1", "2 2"]);
    });
}

#[test]
fn caller_without_id_ranks_behind_all_that_wait() {
    with_server(CONFIG, |server| {
        hold_all(server);
        refused(server, "1");
        server.release("a", "free", "holder");
        server.post("/acquire?type=t&state=free&dest=busy&owner=x").expect_status(404);
        server.release("b", "free", "holder");
        server.post("/acquire?type=t&state=free&dest=busy&owner=x").expect_status(200);
        server.post("/acquire?type=t&state=free&dest=busy&owner=x").expect_status(404);
        ask(server, "1").expect_status(200);
        // It left no place behind.
        assert_eq!(server.queue(), [""; 0]);
    });
}

#[test]
fn queues_of_types_and_states_are_apart() {
    with_server(CONFIG, |server| {
        hold_all(server);
        refused(server, "1");
        ask_for(server, "2", "t", "dirty").expect_status(404);
        ask_for(server, "2", "u", "free").expect_status(200);
        // One id may stand in several.
        ask_for(server, "1", "t", "dirty").expect_status(404);
        assert_eq!(server.queue(), ["2 1", "1 2", "1 1"]);
        server.release("a", "dirty", "holder");
        ask_for(server, "1", "t", "dirty").expect_status(404);
        ask_for(server, "2", "t", "dirty").expect_status(200);
        assert_eq!(server.queue(), ["1 1", "1 1"]);
    });
}

#[test]
fn granted_request_leaves_the_queue_and_may_come_again() {
    with_server(CONFIG, |server| {
        hold_all(server);
        refused(server, "1");
        refused(server, "2");
        server.release("a", "free", "holder");
        ask(server, "1").expect_status(200);
        refused(server, "1");
        assert_eq!(server.queue(), ["2 1", "1 2"]);
    });
}

#[test]
fn owner_and_dest_are_those_of_the_call_that_is_granted() {
    with_server(CONFIG, |server| {
        hold_all(server);
        refused(server, "1");
        server.release("a", "free", "holder");
        server
            .post("/acquire?type=t&state=free&dest=other&owner=someone&request_id=1")
            .expect_text(r#"{"type":"t","name":"a","state":"other","owner":"someone","lastupdate":"T","userdata":{}}"#);
    });
}

#[test]
fn id_that_does_not_call_again_loses_its_place() {
    for_each_store(|store| {
        let server =
            Server::start_with(store, CONFIG, |options| options.ranch.request_ttl = Duration::from_millis(100));
        hold_all(&server);
        refused(&server, "1");
        server.await_queue(&[]);
        // Those behind it move up: the parked one is granted as soon as the silent one has expired.
        refused(&server, "silent");
        let mut parked = server.connect();
        parked.send_request("POST", "/acquire?type=t&state=free&dest=busy&owner=me&request_id=2&wait=50s");
        eventually("a parked call", || server.queue().iter().any(|place| place.ends_with(" parked")).then_some(()));
        server.release("a", "free", "holder");
        parked.response().expect_status(200);
        server.release("b", "free", "holder");
        ask(&server, "silent").expect_status(200);
    });
}

#[test]
fn many_ids_are_served_in_their_order() {
    const IDS: usize = 300;
    with_server(CONFIG, |server| {
        hold_all(server);
        let mut client = server.connect();
        let target = |n: usize| format!("/acquire?type=t&state=free&dest=busy&owner=o{n}&request_id=id{n}");
        for n in 0..IDS {
            client.request("POST", &target(n)).expect_status(404);
        }
        assert_eq!(server.queue().len(), IDS);
        let mut holder = "holder".to_owned();
        for n in 0..IDS {
            client.request("POST", &format!("/release?name=b&dest=free&owner={holder}")).expect_empty();
            // The next one, the last one, one in the middle: only the first is granted.
            for wrong in [n + 1, (n + IDS) / 2 + 1, IDS - 1] {
                if wrong > n && wrong < IDS {
                    client.request("POST", &target(wrong)).expect_status(404);
                }
            }
            client.request("POST", &target(n)).expect_status(200);
            holder = format!("o{n}");
        }
        assert_eq!(server.queue(), [""; 0]);
    });
}

#[test]
fn dynamic_type_grows_on_demand_to_its_max() {
    with_server(DYNAMIC, |server| {
        assert_eq!(server.names("type=t"), [""; 0]);
        ask(server, "1").expect_status(200);
        ask(server, "2").expect_status(200);
        refused(server, "3");
        refused(server, "4");
        assert_eq!(server.names("type=t").len(), 2);
        let names = server.names("type=t");
        for name in &names {
            assert!(name.len() == 36 && name.matches('-').count() == 4, "{name} is a UUID");
        }
    });
}

#[test]
fn on_demand_creation_needs_a_new_id() {
    with_server(DYNAMIC, |server| {
        // Without an id nothing is created.
        server.post("/acquire?type=t&state=free&dest=busy&owner=o").expect_status(404);
        assert_eq!(server.names("type=t"), [""; 0]);
        // One id creates one, though what is created is of no use to it.
        for _ in 0..3 {
            ask_for(server, "1", "t", "other").expect_status(404);
        }
        assert_eq!(server.names("type=t&state=free").len(), 1);
        ask_for(server, "2", "t", "other").expect_status(404);
        ask_for(server, "3", "t", "other").expect_status(404);
        // All states count towards the maximum.
        assert_eq!(server.names("type=t").len(), 2);
    });
}

#[test]
fn on_demand_creation_heeds_the_queue() {
    let config = "resources: [{type: t, state: free, min-count: 1, max-count: 3}]";
    with_server(config, |server| {
        server.take("t", "free", "holder");
        ask_for(server, "1", "t", "free").expect_status(200);
        ask_for(server, "2", "t", "free").expect_status(200);
        ask_for(server, "3", "t", "free").expect_status(404);
        let held = server.names("owner=1");
        server.release(&held[0], "free", "1");
        ask_for(server, "4", "t", "free").expect_status(404);
        ask_for(server, "3", "t", "free").expect_status(200);
        assert_eq!(server.names("type=t").len(), 3);
    });
}

#[test]
fn created_resource_of_another_initial_state_is_for_others() {
    let config = "resources: [{type: t, state: dirty, min-count: 0, max-count: 1}]";
    with_server(config, |server| {
        refused(server, "1");
        let made = server.names("type=t&state=dirty&owner=");
        assert_eq!(made.len(), 1);
        server.take("t", "dirty", "cleaner");
        server.release(&made[0], "free", "cleaner");
        ask(server, "1").expect_status(200);
    });
}

#[test]
fn type_without_resources_but_with_a_lifecycle_exists() {
    with_server(DYNAMIC, |server| {
        server
            .post("/acquire?type=t&state=free&dest=busy&owner=o")
            .expect_error(404, "Acquire failed: no available resource t, try again later.");
        server
            .post("/acquire?type=nope&state=free&dest=busy&owner=o&request_id=1")
            .expect_error(404, "Acquire failed: resource type \"nope\" does not exist");
        assert_eq!(server.queue(), [""; 0]);
    });
}

#[test]
fn full_queue_gives_no_more_places_and_the_ordinary_answer() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.ranch.places = 2);
        hold_all(&server);
        for id in ["1", "2", "3"] {
            refused(&server, id);
        }
        assert_eq!(server.queue(), ["1 1", "2 2"]);
        server.release("a", "free", "holder");
        refused(&server, "3");
        ask(&server, "1").expect_status(200);
        refused(&server, "3");
        assert_eq!(server.queue(), ["2 1", "3 2"]);
    });
}

#[test]
fn queue_is_shown_to_its_end_by_type_and_state() {
    let config = "resources:\n- {type: t, state: free, names: [a]}\n- {type: s, state: free, names: [b]}\n";
    with_server(config, |server| {
        let mut client = server.connect();
        for n in 0..1_200 {
            let r#type = if n == 600 { "s" } else { "t" };
            let target = format!("/acquire?type={type}&state=none&dest=x&owner=o&request_id=id-{n}");
            client.request("POST", &target).expect_status(404);
        }
        let queue = server.get("/api/v1/queue").json();
        let shown: Vec<_> = queue.as_array().unwrap().iter().map(|place| place["request_id"].clone()).collect();
        let expected = std::iter::once(600).chain((0..1_200).filter(|n| *n != 600)).map(|n| format!("id-{n}"));
        assert_eq!(shown, expected.collect::<Vec<_>>());
        let ranks = queue.as_array().unwrap().iter().map(|place| place["rank"].as_u64().unwrap());
        assert!(ranks.eq(std::iter::once(1).chain(1..=1_199)));
    });
}
