//! The janitor as it is deployed.

use std::time::{Duration, Instant};

use boskos_testkit::{Daemon, Server, command, eventually, free_port, look, run, spellings};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;

use crate::{
    ends::{STUBBORN, is_alive},
    scene::{Scripts, dirty, serve, stands},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_boskos-janitor");
const CANARY: &str = "c4n4ry";
const PORTS: [&str; 3] = ["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_in_every_spelling_starts_it_and_nothing_secret_is_logged() {
    let server = serve(&["- {type: gce-project, state: free, names: [p1]}\n".to_owned()]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo \"$@\" >> $D/calls\n");
    let (types, password) = (scripts.path("types.yaml"), scripts.path("password"));
    std::fs::write(&types, "resources: [{type: gce-project, names: [p1]}]").unwrap();
    std::fs::write(&password, CANARY).unwrap();
    let (url, path) = (server.url(), script.display().to_string());
    let (health, metrics) = (free_port().to_string(), free_port().to_string());
    let values = [
        ("boskos-url", &*url),
        ("username", "bob"),
        ("password-file", password.to_str().unwrap()),
        ("log-level", "trace"),
        ("resource-type", "a,b"),
        ("resource-type-from-config", types.to_str().unwrap()),
        ("pool-size", "3"),
        ("update-frequency", "1m"),
        ("janitor-path", &*path),
        ("timeout", "1h"),
        ("quarantine-after", "3"),
        ("breaker", "4"),
        ("backoff", "1s"),
        ("pprof-port", "6060"),
        ("memory-profile-interval", "30s"),
        ("listen-address", "127.0.0.1"),
        ("health-port", &*health),
        ("metrics-port", &*metrics),
    ];
    let me = server.client("me");
    let secret = [("secret-access-key".to_owned(), Some(CANARY.to_owned()))].into();
    for (round, mut line) in spellings(&values, &["profile-memory-usage"]).into_iter().enumerate() {
        line.extend(["--dry-run=false".to_owned(), "--".to_owned(), "--hours=0".to_owned()]);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let daemon = Daemon::start(BINARY, &line);
        daemon.ready().await;
        assert!(daemon.listens_on(&[&health, &metrics]), "{line:?}: {:?}", daemon.ports());
        me.acquire("gce-project", "free", "busy").await.unwrap();
        me.update("p1", "busy", &secret).await.unwrap();
        me.release("p1", "dirty").await.unwrap();
        eventually(&format!("{:?}", daemon.log()), async || stands(&me, "p1").await == "free").await;
        assert_eq!(scripts.lines("calls").len(), round + 1);
        assert_eq!(scripts.lines("calls")[round], "--project=p1 --hours=0");
        let counters = daemon.get("/metrics").unwrap();
        assert!(counters.contains(r#"boskos_janitor_done_total{type="gce-project"} 1"#), "{counters}");
        assert!(!counters.contains(CANARY));
        let (code, log) = daemon.stop();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(log.iter().all(|line| !line.to_string().contains(CANARY)), "{log:?}");
    }
}

#[test]
fn without_types_it_says_so_and_exits_with_1() {
    let text = "--resource-type or --resource-type-from-config must be set\n";
    assert_eq!(run(BINARY, &[]), (1, String::new(), text.to_owned()));
}

#[test]
fn a_command_that_cannot_be_run_is_fatal_at_the_start() {
    let scripts = Scripts::new();
    std::fs::write(scripts.path("text"), "").unwrap();
    let text = scripts.path("text").display().to_string();
    for path in ["/nowhere/janitor", &*text, "no-such-command", "thing=/nowhere/own"] {
        let began = Instant::now();
        let args = ["--resource-type=thing", "--boskos-url=http://127.0.0.1:1", "--janitor-path", path];
        let (code, output, errors) = run(BINARY, &[&PORTS[..], &args].concat());
        let named = path.strip_prefix("thing=").unwrap_or(path);
        assert!(code == 1 && output.is_empty() && errors.lines().count() == 1 && errors.contains(named), "{errors}");
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}

#[test]
fn bad_command_lines_are_one_line() {
    for (args, text) in [
        (&["--pool-sise=1"][..], "unknown flag --pool-sise; the nearest is --pool-size"),
        (&["--pool-size=0"], "'0' for '--pool-size <COUNT>': must be at least 1: with 0 nothing would ever be done"),
        (&["--breaker=0"], "'0' for '--breaker <COUNT>': must be at least 1"),
        (&["--quarantine-after=x"], "'x' for '--quarantine-after <COUNT>': not a count"),
        (&["--pool-size", "many"], "'many' for '--pool-size <COUNT>': not a count: "),
        (&["--timeout=5"], "missing unit"),
        (&["--quarantine-after=0"], "'0' for '--quarantine-after <COUNT>': must be at least 1"),
    ] {
        let (code, output, errors) = run(BINARY, args);
        assert!(code == 1 && output.is_empty() && errors.lines().count() == 1 && errors.contains(text), "{errors}");
    }
    let (code, help, _) = run(BINARY, &["--help"]);
    assert!(code == 0 && help.contains("--janitor-path <[TYPE=]PATH>"), "{help}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_type_is_served_and_matches_nothing() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let daemon =
        Daemon::start(BINARY, &["--boskos-url", &server.url(), "--resource-type=", "--janitor-path=/bin/true"]);
    daemon.ready().await;
    daemon.logged("an empty type matches nothing").await;
    assert_eq!(look(&server.client("me"), "t1").await.0, "dirty");
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_ends_the_command_gives_back_and_exits_with_0() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $$ >> $D/pids\nexec sleep 1000\n");
    let path = script.display().to_string();
    let daemon =
        Daemon::start(BINARY, &["--boskos-url", &server.url(), "--resource-type=thing", "--janitor-path", &path]);
    eventually("it runs", async || !scripts.lines("pids").is_empty()).await;
    let (code, log) = tokio::task::spawn_blocking(|| daemon.stop()).await.unwrap();
    assert_eq!(code, Some(0), "{log:?}");
    assert_eq!(stands(&server.client("me"), "t1").await, "dirty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once_and_its_commands_with_it() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", STUBBORN).display().to_string();
    let mut daemon =
        Daemon::start(BINARY, &["--boskos-url", &server.url(), "--resource-type=thing", "--janitor-path", &script]);
    eventually("both run", async || scripts.lines("pids").len() == 2).await;
    let pids = scripts.lines("pids");
    daemon.signal(Signal::TERM);
    // Both trap it.
    eventually("TERM", async || !scripts.lines("trapped").is_empty()).await;
    assert!(pids.iter().all(|pid| is_alive(pid)) && daemon.is_running());
    daemon.signal(Signal::INT);
    daemon.logged("SIGINT while stopping: ended at once").await;
    eventually("it ends", async || !daemon.is_running()).await;
    eventually("and so do they", async || pids.iter().all(|pid| !is_alive(pid))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_types_file_that_turns_bad_beside_its_own_log_is_reported_once() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let (types, log) = (scripts.path("types.yaml"), scripts.path("daemon.log"));
    std::fs::write(&types, "resources: [{type: other, names: [o1]}]").unwrap();
    let (url, from) =
        (format!("--boskos-url={}", server.url()), format!("--resource-type-from-config={}", types.display()));
    let args = [&PORTS[..], &[&*url, &*from, "--janitor-path=/bin/true"]].concat();
    let mut child = command(BINARY, &args).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = |text: &str| scripts.lines("daemon.log").iter().filter(|line| line.contains(text)).count();
    eventually("it runs", async || said("started") == 1).await;
    std::fs::write(&types, "resources: [").unwrap();
    eventually("it says so", async || said("the last list of types stays") == 1).await;
    // As it does when it takes up its own line for a change; each takes half a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(said("the last list of types stays"), 1, "{:?}", scripts.lines("daemon.log"));
    // Another fault is news.
    std::fs::write(&types, "resources: []").unwrap();
    eventually("it says that", async || said("the last list of types stays") == 2).await;
    std::fs::write(&types, "resources: [{type: thing, names: [t1]}]").unwrap();
    eventually("it is mended", async || said("the types have changed") == 1).await;
    let me = server.client("me");
    eventually("cleaned", async || stands(&me, "t1").await == "free").await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_server_that_is_away() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let url = format!("http://me:{CANARY}@{address}");
    let args = ["--boskos-url", &*url, "--resource-type=thing", "--janitor-path=/bin/true"];
    let mut daemon = Daemon::start(BINARY, &args);
    daemon.logged("the server is away").await;
    assert_eq!(daemon.get("/healthz/ready"), None);
    let config = format!("resources:\n{}", dirty("thing", &["t1"]));
    let server = Server::start_on(TcpListener::bind(address).await.unwrap(), &config).await;
    let me = server.client("me");
    eventually("cleaned", async || stands(&me, "t1").await == "free").await;
    assert!(daemon.is_running());
    assert!(!daemon.log().concat().contains(CANARY));
}

#[test]
fn it_tells_its_version() {
    let (code, version, errors) = run(BINARY, &["--version"]);
    assert!(code == 0 && errors.is_empty() && version.contains(env!("CARGO_PKG_VERSION")), "{version}{errors}");
}
