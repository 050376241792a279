//! boskosctl and checkconfig as they are run.

mod exec;
mod requeue;

use std::{os::unix::process::ExitStatusExt as _, process::Output, time::Duration};

use boskos_testkit::{Server, Stub, command, eventually, look};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::harness::CONFIG;

fn ctl(args: &[&str]) -> Command {
    let mut command = Command::from(command(env!("CARGO_BIN_EXE_boskosctl"), args));
    command.kill_on_drop(true);
    command
}

/// Code, output, errors.
fn told(output: Output) -> (i32, String, String) {
    let code = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap());
    (code, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

async fn run(server: &Server, line: &str) -> (i32, String, String) {
    run_args(server, &line.split(' ').collect::<Vec<_>>()).await
}

/// `args` with server and owner before them.
async fn run_args(server: &Server, args: &[&str]) -> (i32, String, String) {
    let url = server.url();
    let all = [&["--server-url", &*url, "--owner-name", "me"], args].concat();
    told(ctl(&all).output().await.unwrap())
}

fn acquire_line(server: &Server, more: &[&str]) -> Command {
    let url = server.url();
    let common = ["acquire", "--server-url", &*url, "--owner-name", "me"];
    let wanted = ["--type", "thing", "--state", "free", "--target-state", "busy"];
    ctl(&[&common[..], &wanted[..], more].concat())
}

async fn end(child: Child) -> (i32, String, String) {
    told(child.wait_with_output().await.unwrap())
}

fn kill(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_verbs_print_to_the_byte() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let acquire = "acquire --type thing --state free --target-state busy";
    let (code, out, err) = run(&server, acquire).await;
    let resource = client.resource("thing1").await.unwrap();
    assert_eq!((code, out, err.as_str()), (0, resource.to_json() + "\n", ""));

    let metrics = run(&server, "metrics --type=other").await;
    let expected = r#"{"type":"other","current":{"free":1},"owner":{"":1},"total":{"free":1}}"#;
    assert_eq!(metrics, (0, format!("{expected}\n"), String::new()));

    let released = run(&server, "release -name thing1 -target-state=dirty").await;
    assert_eq!(released, (0, "released resource \"thing1\"\n".into(), String::new()));
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));

    let (code, out, err) = run(&server, "release --name thing1 --target-state dirty").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("failed to release resource \"thing1\": ") && err.lines().count() == 1, "{err}");

    let none = (1, String::new(), "failed to acquire a resource: resources not found\n".to_owned());
    assert_eq!(run(&server, "acquire --type thing --state none --target-state busy").await, none);
    assert_eq!(run(&server, "acquire --type thing --state none --target-state busy --timeout 50ms").await, none);
    assert!(client.queue().await.unwrap().iter().all(|place| !place.parked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acquire_without_timeout_joins_no_queue_and_with_one_waits_in_it() {
    let server = Server::start(CONFIG).await;
    let client = server.client("other");
    run(&server, "acquire --type thing --state none --target-state busy").await;
    assert!(client.queue().await.unwrap().is_empty());
    let waiting = acquire_line(&server, &["--state", "clean", "--timeout", "1m"]).spawn().unwrap();
    eventually("a place in the queue", async || client.queue().await.unwrap().len() == 1).await;
    assert!(client.queue().await.unwrap()[0].request_id.is_some());
    client.acquire("thing", "free", "busy").await.unwrap();
    client.release("thing1", "clean").await.unwrap();
    let (code, out, _) = end(waiting).await;
    assert_eq!(code, 0);
    assert!(out.starts_with(r#"{"type":"thing","name":"thing1","state":"busy","owner":"me""#), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_acquire_leaves_nothing_owned() {
    let server = Server::start(CONFIG).await;
    let client = server.client("other");
    let waiting = acquire_line(&server, &["--state", "clean", "--timeout", "1m"]).spawn().unwrap();
    eventually("a parked call", async || client.queue().await.unwrap().iter().any(|place| place.parked)).await;
    kill(&waiting, rustix::process::Signal::INT);
    assert_eq!(end(waiting).await.0, 130);
    assert!(client.list(&Default::default()).await.unwrap().iter().all(|resource| resource.owner.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_beats_ends_and_is_interrupted() {
    let server = Server::start(CONFIG).await;
    let (_, resource, _) = run(&server, "acquire --type thing --state free --target-state busy").await;
    let resource = resource.trim();
    let beat = ["heartbeat", "--resource", resource, "--period", "20ms"];
    let (code, out, err) = run_args(&server, &[&beat[..], &["--timeout", "1s"]].concat()).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let (last, beats) = {
        let mut lines: Vec<_> = out.lines().collect();
        (lines.pop().unwrap(), lines)
    };
    assert_eq!(last, "reached timeout, stopping heartbeats for resource \"thing1\"");
    assert!(!beats.is_empty() && beats.iter().all(|line| *line == "heartbeat sent for resource \"thing1\""), "{out}");

    let url = server.url();
    let mut child = ctl(&[&["--server-url", &url, "--owner-name=me"], &beat[..]].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "heartbeat sent for resource \"thing1\"");
    kill(&child, rustix::process::Signal::INT);
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert_eq!(last, "received interrupt, stopping heartbeats for resource \"thing1\"");
    assert_eq!(end(child).await.0, 0);

    server.client("me").release("thing1", "free").await.unwrap();
    let (code, out, err) = run_args(&server, &[&beat[..], &["--retries", "1"]].concat()).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(lines[0].starts_with("failed to send heartbeat for resource \"thing1\": Update failed"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_json_show_what_there_is() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    client.acquire("thing", "free", "busy").await.unwrap();
    let stamp = client.resource("thing1").await.unwrap().last_update.to_string();
    let (code, out, _) = run(&server, "get --type thing --state busy").await;
    assert_eq!(
        (code, out),
        (0, format!("NAME    TYPE   STATE  OWNER  UPDATED\nthing1  thing  busy   me     {stamp}\n"))
    );
    let (_, out, _) = run(&server, "get thing1 -o json").await;
    assert_eq!(out, format!("[{}]\n", client.resource("thing1").await.unwrap().to_json()));
    let (_, out, _) = run(&server, "history thing1").await;
    assert_eq!(
        out.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["TIME", "TYPE", "FROM", "TO", "OWNER"]
    );
    assert!(out.lines().nth(1).unwrap().ends_with("free   busy  me"), "{out}");
    assert_eq!(run(&server, "queue -o=json").await.1, "[]\n");
    let (code, out, err) = run(&server, "get nothing").await;
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", "no resource is called \"nothing\"\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_are_checked_and_compared() {
    let server = Server::start(CONFIG).await;
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.yaml"), dir.path().join("bad.yaml"));
    std::fs::write(&good, format!("{CONFIG}- {{type: new, names: [new1]}}\n")).unwrap();
    std::fs::write(&bad, "resources: [{type: t, names: [Foo]}, {names: [b]}]").unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());

    assert_eq!(run_args(&server, &["config", "check", good]).await, (0, String::new(), String::new()));
    assert_eq!(run_args(&server, &["config", "diff", good]).await, (0, "add 1: new1\n".into(), String::new()));
    let (code, out, err) = run_args(&server, &["config", "check", bad]).await;
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 2), "{err}");
    assert!(err.contains(".0.names.0(Foo)"), "{err}");

    for (file, expected) in [(good, 0), (bad, 1), ("/nothing/there", 1)] {
        let check = Command::new(env!("CARGO_BIN_EXE_checkconfig")).arg(format!("-config={file}")).output();
        let (code, out, said) = told(check.await.unwrap());
        assert_eq!((code, out.as_str()), (expected, ""), "{said}");
        if file == bad {
            assert_eq!(said, err);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acquired_and_not_told_it_goes_back() {
    let server = Server::start(CONFIG).await;
    let client = server.client("looker");
    let mut child = acquire_line(&server, &[]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!((end(child).await.0, look(&client, "thing1").await), (141, ("free".into(), String::new())));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = acquire_line(&server, &[]).stdout(full).spawn().unwrap();
    let (code, _, err) = end(child).await;
    assert!(code == 1 && err.contains("cannot write to standard output"), "{code} {err}");
    assert!(client.list(&Default::default()).await.unwrap().iter().all(|resource| resource.owner.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_thrown_away_is_acquired_all_the_same() {
    let server = Server::start(CONFIG).await;
    let client = server.client("looker");
    // As launchers of processes open it, not for writing alone.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let child = acquire_line(&server, &[]).stdout(null).spawn().unwrap();
    assert_eq!(end(child).await.0, 0);
    assert_eq!(look(&client, "thing1").await, ("busy".into(), "me".into()));
}

#[tokio::test]
async fn what_has_no_api_is_said_to_have_none_with_the_way_out() {
    let others = [
        Stub::start(|_| (404, "text/plain", "404 page not found".to_owned())).await,
        Stub::start(|_| (404, "application/json", r#"{"error":"404 page not found"}"#.to_owned())).await,
        Stub::start(|_| (200, "text/html", "<h1>Welcome</h1>".to_owned())).await,
        Stub::start(|_| (200, "text/plain; charset=utf-8", String::new())).await,
    ];
    for (other, said) in others.iter().zip(["404 page not found", "404 page not found", "JSON", "it has no /api/v1"]) {
        let url = other.url();
        for verb in [&["get"][..], &["get", "thing1"], &["queue"], &["history", "thing1"], &["requeue", "--type=thing"]]
        {
            let (code, out, err) = told(ctl(&[&["--server-url", &*url], verb].concat()).output().await.unwrap());
            assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{verb:?}: {err}");
            let begin = format!("what answers at {url} is not a boskos server that has /api/v1, or an older one (");
            assert!(err.starts_with(&begin) && err.contains(said) && err.contains("check --server-url"), "{err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_every_binary_has_are_taken_before_and_after_the_verb() {
    let server = Server::start(CONFIG).await;
    let common =
        ["--log-level=DEBUG", "-pprof-port", "6060", "--profile-memory-usage=true", "--memory-profile-interval=1s"];
    let url = server.url();
    for args in [
        [&common[..], &["queue", "--server-url", &url]].concat(),
        [&["queue", "--server-url", &url], &common[..]].concat(),
    ] {
        let (code, _, err) = told(ctl(&args).output().await.unwrap());
        assert_eq!(code, 0, "{args:?}: {err}");
    }
    let file = server.dir.path().join("config.yaml");
    let mut checkconfig = Command::new(env!("CARGO_BIN_EXE_checkconfig"));
    let checked = checkconfig.args(common).arg("--config").arg(&file).output().await.unwrap();
    assert!(checked.status.success(), "{checked:?}");
    for binary in [env!("CARGO_BIN_EXE_boskosctl"), env!("CARGO_BIN_EXE_checkconfig")] {
        let bad = Command::new(binary).arg("--log-level=loud").output().await.unwrap();
        assert_eq!(bad.status.code(), Some(1), "{bad:?}");
        let version = Command::new(binary).arg("--version").output().await.unwrap();
        assert!(String::from_utf8(version.stdout).unwrap().contains(env!("CARGO_PKG_VERSION")), "{binary}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_of_the_environment_are_used() {
    let proxy = Stub::start(|request| match request.path() {
        "http://boskos.invalid/metric" => {
            (200, "application/json", r#"{"type":"thing","current":{"free":1},"owner":{"":1}}"#.to_owned())
        }
        _ => (404, "text/plain", "no".to_owned()),
    })
    .await;
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let mut command =
            ctl(&["metrics", "--type", "thing", "--server-url", "http://boskos.invalid", "--owner-name", "me"]);
        let told = told(command.env(variable, proxy.url()).env("NO_PROXY", "").output().await.unwrap());
        assert_eq!(told.0, 0, "{variable}: {}", told.2);
        assert!(told.1.contains(r#""free":1"#));
    }
    assert_eq!(proxy.count("http://boskos.invalid/metric"), 3);
}

#[tokio::test]
async fn usage_errors_are_one_line() {
    for (args, expected) in [
        (
            &["release", "--name", "a", "--target-state", "b"][..],
            "required flag(s) \"owner-name\", \"server-url\" not set\n",
        ),
        (&["acquire", "--tpye", "x"], "unknown flag --tpye; the nearest is --type\n"),
        (&["get", "--server-url", "boskos"], ""),
        (&[], ""),
    ] {
        let (code, out, err) = told(ctl(args).output().await.unwrap());
        assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{args:?}: {err}");
        assert!(expected.is_empty() || err == expected, "{err}");
    }
    let password = ["get", "--server-url", "http://me:canary@bo skos", "--username", "me"];
    assert!(!told(ctl(&password).output().await.unwrap()).2.contains("canary"));
    let alone = told(ctl(&["get", "--server-url", "http://h", "--username", "me"]).output().await.unwrap()).2;
    assert_eq!(alone, "--username and --password-file must be set together, or neither\n");
}

#[tokio::test]
async fn completions_are_valid_and_pages_cover_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = told(ctl(&["completions", shell]).output().await.unwrap());
        assert!(code == 0 && out.contains("requeue"), "{shell}");
        let file = dir.path().join(shell);
        std::fs::write(&file, out).unwrap();
        if shell == "bash" {
            let checked = Command::new("bash").arg("-n").arg(&file).output().await.unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    let man = dir.path().join("man");
    assert_eq!(told(ctl(&["man", "--dir", man.to_str().unwrap()]).output().await.unwrap()).0, 0);
    for page in ["boskosctl", "boskosctl-acquire", "boskosctl-config-diff", "boskosctl-man"] {
        let text = std::fs::read_to_string(man.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

#[tokio::test]
async fn a_closed_pipe_is_silent() {
    let mut child = ctl(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, err) = tokio::time::timeout(Duration::from_secs(60), end(child)).await.unwrap();
    assert_eq!((code, err.as_str()), (141, ""));
}
