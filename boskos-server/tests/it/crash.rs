//! `kill -9` at any moment: what was acknowledged is there, the rest as a whole or not at all.

use std::{path::Path, process::Command, sync::Arc, thread, time::Duration};

use crate::{
    harness::{
        client::Client,
        process::{self, Process},
    },
    ledger::Ledger,
    load::{self, Dice, Load},
};

/// Free ports of 127.0.0.1, a store in `data`, and queue places that outlast the test.
pub(crate) const DURABLE: [&str; 6] = [
    "--listen-address=127.0.0.1",
    "--port=0",
    "--health-port=0",
    "--metrics-port=0",
    "--data-dir=data",
    "--request-ttl=1h",
];

const ROUNDS: u64 = 50;

/// Answers that a round waits for at most before the kill.
const MOST_ACKS: u64 = 250;

pub(crate) fn server(dir: &Path) -> Command {
    process::command(dir, &DURABLE)
}

/// Reads a whole store with the binary itself.
pub(crate) fn check_store(dir: &Path) {
    let (code, _, errors) = process::run(dir, &["check-store", "--data-dir=data"]);
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_fifty_kills() {
    let dir = process::folder(&load::config());
    let mut dice = Dice::new(3);
    let mut running = Process::start(&mut server(dir.path()));
    let ledger = Arc::new(Ledger::of(running.http));
    for round in 1..=ROUNDS {
        let load = Load::start(running.http, &ledger, round);
        load.await_acks(&ledger, dice.below(MOST_ACKS));
        thread::sleep(Duration::from_micros(dice.below(3_000)));
        // SIGKILL.
        drop(running);
        load.join();
        if round % 10 == 0 {
            check_store(dir.path());
        }
        running = Process::start(&mut server(dir.path()));
        ledger.check(running.http);
    }
    println!("{} acknowledged in {ROUNDS} rounds", ledger.acks());
    assert!(ledger.acks() > ROUNDS * MOST_ACKS / 4, "only {} calls were answered", ledger.acks());
    serves_in_order_of_the_queue(&running, &ledger);
}

/// What everybody queued for is let go at last: the first gets it, and nobody before.
fn serves_in_order_of_the_queue(running: &Process, ledger: &Ledger) {
    let queue = Client::connect(running.http).request("GET", "/api/v1/queue").json();
    let line = queue.as_array().unwrap().iter().filter(|place| place["type"] == "line");
    let ids: Vec<String> = line.map(|place| place["request_id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.len() > 10, "{ids:?} of {} answers", ledger.acks());
    let ask = |state: &str, id: &str| {
        let target = format!("/acquire?type=line&state={state}&dest=held&owner=last&request_id={id}");
        Client::connect(running.http).request("POST", &target)
    };
    ask("held", "opener").expect_status(200);
    for pair in ids.windows(2).take(5) {
        let released = Client::connect(running.http).request("POST", "/release?name=line-0&dest=free&owner=last");
        released.expect_empty();
        ask("free", &pair[1]).expect_status(404);
        ask("free", &pair[0]).expect_status(200);
    }
}

/// Enough names that they are added in several steps.
const MANY: usize = 5_000;

#[test]
fn a_start_that_is_killed_leaves_a_store_that_starts() {
    let names: Vec<String> = (0..MANY).map(|n| format!("name-{n:04}")).collect();
    let dir = process::folder(&format!("resources:\n- {{type: t, state: free, names: [{}]}}\n", names.join(", ")));
    let begun = std::time::Instant::now();
    drop(Process::start(&mut server(dir.path())));
    let usual = begun.elapsed();
    let mut dice = Dice::new(4);
    let mut cut = 0;
    for round in 0_u32..12 {
        std::fs::remove_dir_all(dir.path().join("data")).unwrap();
        // Cut at growing depths, a few times on the same folder.
        for _ in 0..=round % 3 {
            let mut child = server(dir.path()).spawn().unwrap();
            thread::sleep(usual.mul_f64(dice.below(1_000) as f64 / 1_000.0));
            cut += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let running = Process::start(&mut server(dir.path()));
        let listed = Client::connect(running.http).request("GET", "/api/v1/resources?type=t&state=free").json();
        let found: Vec<&str> = listed.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
        assert_eq!(found.len(), MANY);
        assert!(found.iter().eq(names.iter()), "a name is lost or doubled");
        let taken = Client::connect(running.http).request("POST", "/acquire?type=t&state=free&dest=busy&owner=me");
        taken.expect_status(200);
    }
    assert!(cut >= 12, "only {cut} were cut while they ran");
    check_store(dir.path());
}
