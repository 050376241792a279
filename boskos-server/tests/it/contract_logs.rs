//! What the server logs, and what it does not.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{
    client::Client,
    process::{self, Process, QUIET},
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a]}\n";

/// All that a server tells between its start and its end, whatever it is asked.
const ENDING: [&str; 3] =
    ["stopping; another signal, or the same after a second, ends the process at once", "shutting down", "stopped"];

/// Some of every request; the password, the user data and a line break among them.
fn speak_to(server: &Process) {
    let mut client = Client::connect(server.http);
    client.send(
        "POST /acquire?type=t&state=free&dest=busy&owner=me%0A%1b[31mowner HTTP/1.1\r\nHost: boskos\r\n\
         Authorization: Basic Y2FuYXJ5LXBhc3N3b3Jk\r\n\r\n",
    );
    client.response().expect_status(200);
    client.post_body("/update?name=a&owner=me%0A%1b[31mowner&state=busy", r#"{"secret":"canary-data"}"#).expect_empty();
    client.post_body("/update?name=a&owner=you&state=busy", r#"{"secret":"canary-data"}"#).expect_status(401);
    client.post_body("/update?name=a&owner=you&state=busy", r#"["canary-data"]"#).expect_status(400);
    client.request("POST", "/release?name=%0Anope&dest=free&owner=x").expect_status(404);
    client.request("GET", "/api/v1/resources").expect_status(200);
    client.request("GET", "/unknown").expect_empty();
}

fn check_lines(lines: &[Value]) {
    for line in lines {
        for key in ["time", "level", "severity", "msg"] {
            assert!(line[key].as_str().is_some_and(|value| !value.is_empty()), "{key} is missing: {line}");
        }
        crate::harness::client::assert_is_rfc3339(line["time"].as_str().unwrap());
        assert!(!line.to_string().contains("canary"), "{line}");
        assert!(!line.to_string().contains("Y2FuYXJ5"), "{line}");
    }
}

#[test]
fn lines_are_json_and_tell_no_request_at_info() {
    let dir = process::folder(CONFIG);
    let server = Process::start(&mut process::command(dir.path(), &QUIET));
    check_lines(&server.start_log);
    for _ in 0..20 {
        speak_to(&server);
        Client::connect(server.http).request("POST", "/reset?type=t&state=busy&expire=0s&dest=free").expect_status(200);
    }
    server.signal(Signal::TERM);
    let (code, lines) = server.wait();
    check_lines(&lines);
    let told: Vec<_> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
    assert_eq!((code, told.as_slice()), (0, &ENDING[..]));
}

#[test]
fn no_level_tells_secrets_or_raw_control_characters() {
    let dir = process::folder(CONFIG);
    let server = Process::start(process::command(dir.path(), &QUIET).arg("--log-level=trace"));
    speak_to(&server);
    server.signal(Signal::TERM);
    // Each line is one JSON document, or it could not be read here.
    let (code, lines) = server.wait();
    assert_eq!(code, 0);
    check_lines(&lines);
}

#[test]
fn config_changes_are_told_and_bad_ones_with_their_reasons() {
    let dir = process::folder(CONFIG);
    let mut server = Process::start(&mut process::command(dir.path(), &QUIET));
    let path = dir.path().join("config.yaml");
    fs::write(&path, "resources:\n- {type: t, names: [a, Not_ok]}\n- {names: [b]}\n").unwrap();
    let line = next_at(&mut server, "error");
    for reason in [".0.names.1(Not_ok)", ".1"] {
        assert!(line.to_string().contains(reason), "{reason} is missing: {line}");
    }
    fs::write(&path, CONFIG.replace("[a]", "[a, b]")).unwrap();
    let line = next_at(&mut server, "info");
    assert_eq!((&line["msg"], &line["added"]), (&"config applied".into(), &1.into()));
    // A deletion of more than half of a type is told at warn.
    fs::write(&path, CONFIG.replace("[a]", "[c]")).unwrap();
    let line = next_at(&mut server, "warning");
    assert_eq!((&line["type"], &line["deleted"], &line["all"]), (&"t".into(), &2.into(), &2.into()));
    assert_eq!(next_at(&mut server, "info")["msg"], "config applied");
}

#[test]
fn hangup_signal_has_the_config_read_again() {
    let dir = process::folder(CONFIG);
    // A link far away changes: nothing that is watched does.
    for folder in ["one", "two"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("one/config.yaml"), CONFIG).unwrap();
    fs::write(dir.path().join("two/config.yaml"), CONFIG.replace("[a]", "[a, b]")).unwrap();
    std::os::unix::fs::symlink("one", dir.path().join("link")).unwrap();
    let mut server = Process::start(process::command(dir.path(), &QUIET).arg("--config=link/config.yaml"));
    fs::remove_file(dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink("two", dir.path().join("link")).unwrap();
    server.signal(Signal::HUP);
    assert_eq!(next_at(&mut server, "info")["msg"], "config applied");
    Client::connect(server.http).request("GET", "/api/v1/resources/b").expect_status(200);
}

/// The next line at this level; lines below are passed over.
fn next_at(server: &mut Process, level: &str) -> Value {
    loop {
        let line = server.next_log();
        if line["level"] == level {
            return line;
        }
    }
}
