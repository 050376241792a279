//! The reaper as it is deployed.

use boskos_testkit::{Daemon, Server, eventually, free_port, look, run, spellings};
use tokio::net::TcpListener;

const BINARY: &str = env!("CARGO_BIN_EXE_boskos-reaper");
const CONFIG: &str = "resources: [{type: thing, state: free, names: [a]}]";
const CANARY: &str = "c4n4ry";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_in_every_spelling_starts_it() {
    let server = Server::start(CONFIG).await;
    let (url, me) = (server.url() + "/some/path", server.client("me"));
    let dir = tempfile::tempdir().unwrap();
    let (types, password) = (dir.path().join("types.yaml"), dir.path().join("password"));
    std::fs::write(&types, CONFIG).unwrap();
    std::fs::write(&password, CANARY).unwrap();
    let (health, metrics) = (free_port().to_string(), free_port().to_string());
    let values = [
        ("boskos-url", &*url),
        ("username", "bob"),
        ("password-file", password.to_str().unwrap()),
        ("log-level", "DEBUG"),
        ("resource-type", "thing,other"),
        ("resource-type-from-config", types.to_str().unwrap()),
        ("expire", "0s"),
        ("expire-type", "other=2h"),
        ("target-state", "dirty"),
        ("extra-source-states", "used"),
        ("pprof-port", "6060"),
        ("memory-profile-interval", "30s"),
        ("listen-address", "127.0.0.1"),
        ("health-port", &*health),
        ("metrics-port", &*metrics),
    ];
    for line in spellings(&values, &["profile-memory-usage"]) {
        me.acquire_by_state("free", "used", &["a".into()]).await.unwrap();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let daemon = Daemon::start(BINARY, &line);
        eventually(&format!("{line:?}: {:?}", daemon.log()), async || look(&me, "a").await.0 == "dirty").await;
        daemon.ready().await;
        assert!(daemon.listens_on(&[&health, &metrics]), "{line:?}: {:?}", daemon.ports());
        assert_eq!(daemon.get("/healthz").as_deref(), Some("OK"));
        assert!(daemon.get("/metrics").unwrap().contains(r#"boskos_reaper_done_total{type="thing"} 1"#));
        let (code, log) = daemon.stop();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(log.iter().all(|line| !line.to_string().contains(CANARY)), "{log:?}");
        me.acquire("thing", "dirty", "x").await.unwrap();
        me.release("a", "free").await.unwrap();
    }
}

#[test]
fn bad_command_lines_are_one_line() {
    for (args, text) in [
        (&["--expir=1m"][..], "unknown flag --expir; the nearest is --expire"),
        (&["--expire=1"], "missing unit"),
        (&["--expire-type=thing"], "not TYPE=DURATION"),
        (&["--target-state="], "--target-state"),
        (&["--username=bob"], "password"),
        (&["--resource-type-from-config=/nowhere"], "/nowhere"),
        (&["--username=bob", "--password-file=/nowhere"], "/nowhere"),
    ] {
        let ports = ["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"];
        let (code, output, errors) = run(BINARY, &[&ports[..], args].concat());
        assert!(code == 1 && output.is_empty() && errors.contains(text), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    }
    let (code, help, errors) = run(BINARY, &["--help"]);
    assert!(code == 0 && errors.is_empty() && help.contains("--expire-type <TYPE=DURATION>"), "{help}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_server_that_is_away_and_says_so_once() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let url = format!("http://me:{CANARY}@{address}");
    let mut daemon = Daemon::start(BINARY, &["--boskos-url", &url, "--interval=100ms", "--expire=0s"]);
    daemon.logged("the server is away").await;
    assert_eq!(daemon.get("/healthz").as_deref(), Some("OK"));
    assert_eq!(daemon.get("/healthz/ready"), None);
    let server = Server::start_on(TcpListener::bind(address).await.unwrap(), CONFIG).await;
    daemon.ready().await;
    let me = server.client("me");
    me.acquire("thing", "free", "busy").await.unwrap();
    eventually("reaped", async || look(&me, "a").await.0 == "dirty").await;
    assert!(daemon.is_running());
    let log = daemon.log();
    assert!(log.len() <= 5 && !log.concat().contains(CANARY), "{log:#?}");
}

#[test]
fn it_tells_its_version() {
    let (code, version, errors) = run(BINARY, &["--version"]);
    assert!(code == 0 && errors.is_empty() && version.contains(env!("CARGO_PKG_VERSION")), "{version}{errors}");
}
