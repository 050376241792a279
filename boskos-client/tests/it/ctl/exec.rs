//! `acquire --exec`.

use boskos_testkit::{Server, look};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{acquire_line, end, kill};
use crate::harness::CONFIG;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_holds_and_releases_with_the_commands_code() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let script = "echo $BOSKOS_NAME; echo \"$BOSKOS_RESOURCE\"; exit 7";
    let child = acquire_line(&server, &["--exec", "sh", "-c", script]).spawn().unwrap();
    let (code, out, _) = end(child).await;
    assert_eq!(code, 7);
    assert!(out.starts_with("thing1\n{\"type\":\"thing\",\"name\":\"thing1\",\"state\":\"busy\""), "{out}");
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));

    let child = acquire_line(&server, &["--release-state=free", "--exec", "sh", "-c", "kill -9 $$"]).spawn().unwrap();
    assert_eq!(end(child).await.0, 137);
    assert_eq!(look(&client, "thing2").await, ("free".into(), String::new()));

    for (args, expected) in [
        (&["--exec", "/nothing/there"][..], 127),
        (&["--exec", "no-such-command-anywhere"], 127),
        (&["--exec", "/etc/passwd"], 126),
        (&["--state", "none", "--timeout", "10ms", "--exec", "true"], 124),
        (&["--server-url", "http://127.0.0.1:1", "--exec", "true"], 125),
    ] {
        let (code, out, err) = end(acquire_line(&server, args).spawn().unwrap()).await;
        assert_eq!((code, out.as_str()), (expected, ""), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    assert!(client.list(&Default::default()).await.unwrap().iter().all(|resource| resource.owner.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_passes_signals_on_and_ends_the_command_of_a_lost_lease() {
    let server = Server::start(CONFIG).await;
    let client = server.client("other");
    let script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let mut child = acquire_line(&server, &["--exec", "sh", "-c", script]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");
    kill(&child, rustix::process::Signal::TERM);
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "told");
    assert_eq!(end(child).await.0, 3);
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));

    let mut child = acquire_line(&server, &["--period=20ms", "--exec", "sh", "-c", script]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");
    client.reset("thing", "busy", boskos_client::GoDuration::ZERO, "taken").await.unwrap();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "told");
    let (code, _, err) = end(child).await;
    assert_eq!(code, 121, "{err}");
    assert_eq!(look(&client, "thing2").await, ("taken".into(), String::new()), "a lost lease releases nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_leaves_behind_is_ended_before_the_release() {
    let server = Server::start(CONFIG).await;
    let client = server.client("looker");
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    // It looks at itself, as long as it runs.
    let script = format!("sh -c 'while :; do sleep 0.01; done' > /dev/null 2>&1 & echo $! > {}; exit 4", pid.display());
    let child = acquire_line(&server, &["--exec", "sh", "-c", &script]).spawn().unwrap();
    assert_eq!(end(child).await.0, 4);
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
    let stat = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    assert!(stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X'])), "{stat}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_traps_term_is_killed_when_its_lease_is_lost() {
    let server = Server::start(CONFIG).await;
    let client = server.client("other");
    let script = "trap 'echo told' TERM; echo up; while :; do sleep 0.01; done";
    let mut child = acquire_line(&server, &["--period=20ms", "--exec", "sh", "-c", script]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");
    client.reset("thing", "busy", boskos_client::GoDuration::ZERO, "taken").await.unwrap();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "told");
    assert_eq!(lines.next_line().await.unwrap(), None, "killed");
    assert_eq!(end(child).await.0, 121);
    assert_eq!(look(&client, "thing1").await, ("taken".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_separator_before_the_command_is_left_out() {
    let server = Server::start(CONFIG).await;
    let line = ["--release-state=free", "--exec", "--", "sh", "-c", "echo \"$0 $*\"", "a", "--", "-b"];
    let (code, out, err) = end(acquire_line(&server, &line).spawn().unwrap()).await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "a -- -b\n", ""));
    assert_eq!(look(&server.client("me"), "thing1").await, ("free".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_end_well_acquires_nothing() {
    let server = Server::start(CONFIG).await;
    let long = format!("--release-state={}", "x".repeat(30_000));
    for (args, said) in [
        (&["--release-state", "", "--exec", "true"][..], "--release-state is empty: "),
        (&[&*long, "--exec", "true"], "--release-state has 30000 bytes, more than the "),
        (&["--period=0s", "--exec", "true"], "--period must be more than zero"),
        (&["--exec", "--"], "--exec needs a command behind the --"),
    ] {
        let (code, out, err) = end(acquire_line(&server, args).spawn().unwrap()).await;
        assert_eq!((code, out.as_str(), err.lines().count()), (125, "", 1), "{err}");
        assert!(err.starts_with(said), "{err}");
    }
    let history = server.client("me").history("thing1", 10).await.unwrap();
    assert_eq!(history.len(), 1, "it was made, and never acquired");
}
