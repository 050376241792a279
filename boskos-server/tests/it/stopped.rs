//! Time in which the server did not run costs nobody a queue place.

use std::{fs, thread, time::Duration};

use rustix::process::Signal;

use crate::{
    crash::DURABLE,
    harness::{
        client::Client,
        eventually,
        process::{self, Process},
    },
};

/// How long a place lasts: more than what comes before and after the stop may take.
const TTL: Duration = Duration::from_secs(20);

/// How long the server does not run.
const STOP: Duration = Duration::from_secs(22);

fn ids(running: &Process) -> Vec<String> {
    let queue = Client::connect(running.http).request("GET", "/api/v1/queue").json();
    queue.as_array().unwrap().iter().map(|place| place["request_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn server_that_was_stopped_for_longer_than_the_ttl_keeps_every_place() {
    let dir = process::folder("resources:\n- {type: t, state: held, names: [name]}\n");
    let ttl = format!("--request-ttl={}s", TTL.as_secs());
    let mut args = DURABLE.to_vec();
    args.retain(|arg| !arg.starts_with("--request-ttl="));
    args.push(&ttl);
    let running = Process::start(&mut process::command(dir.path(), &args));
    let info = Client::connect(running.http).request("GET", "/api/v1/info").json();
    assert_eq!(info["limits"]["request_ttl"], "20s", "{info}");
    let post = |target: &str| Client::connect(running.http).request("POST", target);
    post("/acquire?type=t&state=held&dest=held&owner=me").expect_status(200);
    let acquire = |id: usize| format!("/acquire?type=t&state=free&dest=busy&owner=o{id}&request_id=id-{id}");
    let mut parked = Client::connect(running.http);
    parked.send_request("POST", &format!("{}&wait=50s", acquire(0)));
    eventually("the first waits", || (ids(&running) == ["id-0"]).then_some(()));
    for id in 1..5 {
        post(&acquire(id)).expect_status(404);
    }
    let expected: Vec<String> = (0..5).map(|id| format!("id-{id}")).collect();
    assert_eq!(ids(&running), expected);

    running.signal(Signal::STOP);
    eventually("it stands still", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T').then_some(())
    });
    thread::sleep(STOP);
    running.signal(Signal::CONT);
    assert_eq!(ids(&running), expected, "{STOP:?} without the server were counted");

    post("/release?name=name&dest=free&owner=me").expect_empty();
    parked.response().expect_status(200);
    assert_eq!(ids(&running), expected[1..]);
}
