//! Signals that end a server: in order on the first, at once on the second.

use std::{
    collections::BTreeMap,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    crash::{check_store, server},
    harness::{
        PATIENCE,
        client::Client,
        eventually,
        process::{self, Process},
    },
    ledger::Ledger,
    load::{self, Dice, Load, Wire},
};

/// What it ends with.
fn end(running: Process) -> (i32, Vec<Value>) {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(running.wait()));
    ended.recv_timeout(PATIENCE).expect("it ends")
}

fn parked(running: &Process) -> usize {
    let queue = Client::connect(running.http).request("GET", "/api/v1/queue").json();
    queue.as_array().unwrap().iter().filter(|place| place["type"] == "line" && place["parked"] == true).count()
}

#[test]
fn signal_under_load_loses_nothing_and_answers_who_waits() {
    let dir = process::folder(&load::config());
    let mut running = Process::start(&mut server(dir.path()));
    let ledger = Arc::new(Ledger::of(running.http));
    for (round, signal) in [Signal::TERM, Signal::INT, Signal::TERM].into_iter().enumerate() {
        let mut waiters: Vec<Client> = (0..5).map(|_| Client::connect(running.http)).collect();
        for waiter in &mut waiters {
            waiter.send_request("POST", "/acquire?type=line&state=free&dest=busy&owner=waiter&wait=50s");
        }
        eventually("five wait", || (parked(&running) == 5).then_some(()));
        let load = Load::start(running.http, &ledger, 1 + round as u64);
        load.await_acks(&ledger, 200);
        running.signal(signal);
        for waiter in &mut waiters {
            let answer = waiter.response();
            // Or a client that keeps its connections would send its next request into one that is closed.
            assert_eq!(answer.header("connection"), Some("close"));
            answer.expect_error(404, "Acquire failed: no available resource line, try again later.");
        }
        let (code, lines) = end(running);
        assert_eq!(code, 0, "{lines:?}");
        load.join();
        check_store(dir.path());
        running = Process::start(&mut server(dir.path()));
        ledger.check(running.http);
    }
}

#[test]
fn second_signal_ends_a_server_that_waits_for_a_client() {
    let dir = process::folder(&load::config());
    // The same one again at once would be no second one.
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let mut running = Process::start(&mut server(dir.path()));
        let ledger = Ledger::of(running.http);
        let before = Client::connect(running.http).request("POST", "/acquire?type=thing&state=free&dest=busy&owner=me");
        before.expect_status(200);
        // A body that never ends is a request in flight.
        let mut slow = Client::connect(running.http);
        slow.send("POST /update?name=thing-00&owner=me&state=busy HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n{");
        Client::connect(running.http).request("GET", "/metric?type=thing").expect_status(200);
        running.signal(first);
        while running.next_log()["msg"] != "shutting down" {}
        running.signal(second);
        let (code, lines) = end(running);
        assert_eq!(code, 128 + second.as_raw(), "{lines:?}");

        let running = Process::start(&mut server(dir.path()));
        let name = before.json()["name"].as_str().unwrap().to_owned();
        let found = Client::connect(running.http).request("GET", &format!("/api/v1/resources/{name}")).json();
        assert_eq!((&found["owner"], &found["state"]), (&Value::from("me"), &Value::from("busy")));
        drop(ledger);
    }
}

/// What clients own that read it, by resource: they acquire, or hang up on the way, until the server is gone.
fn acquire_and_hang_up(server: SocketAddr, client: u64) -> BTreeMap<String, String> {
    let mut dice = Dice::new(client);
    let mut read = BTreeMap::new();
    for call in 0.. {
        let Ok(stream) = TcpStream::connect(server) else { break };
        let mut wire = Wire::over(stream.try_clone().unwrap()).unwrap();
        let owner = format!("c{client}-{call}");
        let hangs_up_after = Duration::from_micros(dice.below(4_000));
        let hanging_up = thread::spawn(move || {
            thread::sleep(hangs_up_after);
            // Half of it: what was sent already can still be read.
            let _ = stream.shutdown(Shutdown::Write);
        });
        if let Ok((200, _, body)) = wire.post(&format!("/acquire?type=cut&state=free&dest=busy&owner={owner}"), "") {
            let resource: Value = serde_json::from_str(&body).unwrap();
            read.insert(resource["name"].as_str().unwrap().to_owned(), owner);
        }
        hanging_up.join().unwrap();
    }
    read
}

#[test]
fn signal_while_callers_hang_up_leaves_what_was_read_owned_and_nothing_else() {
    let names: Vec<String> = (0..4_000).map(|n| format!("cut-{n}")).collect();
    let dir = process::folder(&format!("resources: [{{type: cut, names: [{}]}}]", names.join(", ")));
    let mut expected = BTreeMap::new();
    for round in 0..5 {
        let running = Process::start(&mut server(dir.path()));
        let address = running.http;
        let clients: Vec<_> =
            (0..8).map(|n| thread::spawn(move || acquire_and_hang_up(address, round * 8 + n))).collect();
        thread::sleep(Duration::from_millis(300));
        running.signal(Signal::TERM);
        let (code, lines) = end(running);
        assert_eq!(code, 0, "{lines:?}");
        expected.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
        let running = Process::start(&mut server(dir.path()));
        let busy = Client::connect(running.http).request("GET", "/api/v1/resources?state=busy").json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let owned = busy.as_array().unwrap().iter().map(|found| (text(&found["name"]), text(&found["owner"])));
        assert_eq!(owned.collect::<BTreeMap<_, _>>(), expected, "round {round}");
    }
    assert!(expected.len() > 20, "some do read: {}", expected.len());
}
