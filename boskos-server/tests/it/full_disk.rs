//! A disk without room: refused and said so, nothing acknowledged lost, and over by itself.

use std::{fs::File, io::Write as _, sync::Arc, time::Instant};

use rustix::process::Signal;

use crate::{
    crash::{check_store, server},
    harness::{
        client::Client,
        eventually,
        process::{self, Process},
    },
    ledger::Ledger,
    load::{self, Load},
    mount::Mount,
};

#[test]
fn full_disk_refuses_writes_loses_nothing_and_recovers_by_itself() {
    let dir = process::folder(&load::config());
    let data = dir.path().join("data");
    let mount = Mount::new(&data, "16m");
    let began = Instant::now();
    let running = Process::start(&mut server(dir.path()));
    let ledger = Arc::new(Ledger::of(running.http));

    for round in 1..=3 {
        let load = Load::start(running.http, &ledger, round);
        load.await_acks(&ledger, 100);
        let before = ledger.refusals_to_write();
        let ballast = data.join("ballast");
        fill(&ballast);
        eventually("503 to everyone who would write", || (ledger.refusals_to_write() > before + 50).then_some(()));
        reads_answer(&running);
        eventually("word of it for Prometheus", || (!is_writable(&running)).then_some(()));
        load.stop();
        ledger.check(running.http);

        std::fs::remove_file(ballast).unwrap();
        let load = Load::start(running.http, &ledger, round + 100);
        load.await_acks(&ledger, 100);
        eventually("word of its end for Prometheus", || is_writable(&running).then_some(()));
        load.stop();
        ledger.check(running.http);
    }

    let said = what_is_said_of_the_store(running);
    assert_eq!(said[..2], ["the store cannot be written", "the store can be written again"]);
    let minutes = began.elapsed().as_secs() / 60;
    assert!(said.len() as u64 <= 2 * (1 + minutes), "in {minutes} minutes: {said:?}");

    check_store(dir.path());
    let running = Process::start(&mut server(dir.path()));
    ledger.check(running.http);
    drop(running);
    drop(mount);
}

#[test]
fn log_that_fills_the_disk_gives_its_room_back() {
    let dir = process::folder(&load::config());
    let data = dir.path().join("data");
    let mount = Mount::new(&data, "6m");
    let running = Process::start(&mut server(dir.path()));
    let ledger = Arc::new(Ledger::of(running.http));
    std::fs::write(data.join("ballast"), [0; 256 * 1024]).unwrap();
    let load = Load::start(running.http, &ledger, 1);
    // Long before the log would be moved into the file by itself.
    eventually("a full disk", || (ledger.refusals_to_write() > 10_000).then_some(()));
    // Enough for what is in the log and not in the file, by far not for what follows in the log.
    std::fs::remove_file(data.join("ballast")).unwrap();
    load.await_acks(&ledger, 150);
    load.stop();
    ledger.check(running.http);
    drop(running);
    drop(mount);
}

/// Ends it by SIGKILL; what it said of its store.
fn what_is_said_of_the_store(mut running: Process) -> Vec<String> {
    running.signal(Signal::KILL);
    let said = running.rest_of_log().into_iter().map(|line| line["msg"].as_str().unwrap().to_owned());
    said.filter(|said| said.contains("the store")).collect()
}

/// Takes what room there is.
fn fill(ballast: &std::path::Path) {
    let mut file = File::create(ballast).unwrap();
    let full = (0..).find_map(|_| file.write_all(&[0; 4096]).err()).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
}

fn reads_answer(running: &Process) {
    let mut client = Client::connect(running.http);
    client.request("GET", "/metric?type=thing").expect_status(200);
    client.request("GET", "/api/v1/resources").expect_status(200);
    client.request("GET", "/api/v1/queue").expect_status(200);
    let known = client.request("GET", "/api/v1/resources?limit=1").json()[0]["name"].as_str().unwrap().to_owned();
    client.request("GET", &format!("/api/v1/resources/{known}/history")).expect_status(200);
    Client::connect(running.health).request("GET", "/healthz").expect_status(200);
    // Taken out of its Service, it would not even answer reads.
    Client::connect(running.health).request("GET", "/healthz/ready").expect_status(200);
}

/// What Prometheus is told of the store.
fn is_writable(running: &Process) -> bool {
    let metrics = Client::connect(running.metrics).request("GET", "/metrics");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("boskos_store_writable "));
    line.unwrap_or_else(|| panic!("{}", metrics.text())) == "1"
}
