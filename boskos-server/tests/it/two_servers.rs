//! What a server cannot start on: it says so at once, in one line, and changes nothing.

use std::{fs, net::TcpListener, path::Path};

use serde_json::Value;

use crate::{
    crash::{DURABLE, server},
    harness::{
        client::Client,
        process::{self, Process},
    },
    mount::Mount,
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a, b]}\n";

/// Runs it to its end, which must be a failure; the line that says why.
fn refused(dir: &Path, args: &[&str]) -> String {
    let (code, output, errors) = process::run(dir, args);
    assert_eq!((code, output.as_str()), (1, ""), "{errors}");
    let last: Value = serde_json::from_str(errors.lines().next_back().unwrap()).unwrap();
    assert_eq!(last["level"], "fatal", "{errors}");
    last["msg"].as_str().unwrap().to_owned()
}

#[test]
fn second_server_on_a_store_is_refused_and_told_who_has_it() {
    let dir = process::folder(CONFIG);
    let first = Process::start(&mut server(dir.path()));
    let taken = || Client::connect(first.http).request("POST", "/acquire?type=t&state=free&dest=busy&owner=me");
    taken().expect_status(200);
    let why = refused(dir.path(), &DURABLE);
    assert!(why.contains(&format!("process {}", first.id())), "{why}");
    taken().expect_status(200);
    // Whoever is killed has it no longer.
    drop(first);
    let next = Process::start(&mut server(dir.path()));
    let held = Client::connect(next.http).request("GET", "/api/v1/resources?owner=me").json();
    assert_eq!(held.as_array().unwrap().len(), 2);
}

#[test]
fn config_of_no_use_leaves_no_store_behind() {
    let dir = process::folder("resources:\n- {type: t, state: free, names: [a, a]}\n");
    let why = refused(dir.path(), &DURABLE);
    assert!(why.contains("--config") && why.contains("a"), "{why}");
    // It would be one that exists, for --data-must-exist, and be filled as if nobody held anything.
    assert!(!dir.path().join("data").exists());
}

#[test]
fn read_only_folder_is_refused_with_and_without_a_store_in_it() {
    let dir = process::folder(CONFIG);
    let data = dir.path().join("data");
    let mount = Mount::new(&data, "8m");
    mount.make_read_only();
    let why = refused(dir.path(), &DURABLE);
    assert!(why.contains("Read-only") && why.contains("data"), "{why}");
    drop(mount);
    fs::remove_dir(&data).unwrap();

    let mount = Mount::new(&data, "8m");
    drop(Process::start(&mut server(dir.path())));
    mount.make_read_only();
    let why = refused(dir.path(), &DURABLE);
    assert!(why.contains("Read-only") && why.contains("data"), "{why}");
}

#[test]
fn store_that_must_exist_is_not_begun() {
    let dir = process::folder(CONFIG);
    let args = [&DURABLE[..], &["--data-must-exist"]].concat();
    let data = dir.path().join("data");
    let why = refused(dir.path(), &args);
    assert!(why.contains(data.to_str().unwrap()) && why.contains("--data-must-exist"), "{why}");
    assert!(!data.exists());
    fs::create_dir(&data).unwrap();
    assert_eq!(refused(dir.path(), &args), why);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);

    drop(Process::start(&mut server(dir.path())));
    drop(Process::start(&mut process::command(dir.path(), &args)));
}

#[test]
fn new_store_is_told_with_its_path_and_an_old_one_is_not() {
    let dir = process::folder(CONFIG);
    let path = dir.path().join("data");
    let warnings = |running: &Process| {
        let lines = running.start_log.iter().filter(|line| line["level"] == "warning");
        lines.filter(|line| line.to_string().contains(path.to_str().unwrap())).count()
    };
    assert_eq!(warnings(&Process::start(&mut server(dir.path()))), 1);
    assert_eq!(warnings(&Process::start(&mut server(dir.path()))), 0);
}

#[test]
fn port_in_use_is_named_and_no_store_begun() {
    let dir = process::folder(CONFIG);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    for flag in ["port", "health-port", "metrics-port"] {
        let mut args = DURABLE.to_vec();
        let taken = format!("--{flag}={port}");
        args.retain(|arg| !arg.starts_with(&format!("--{flag}=")));
        args.push(&taken);
        let why = refused(dir.path(), &args);
        assert!(why.contains(&port.to_string()) && why.contains(&format!("--{flag}")), "{why}");
    }
    assert!(!dir.path().join("data").exists());
}
