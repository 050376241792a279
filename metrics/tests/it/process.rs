//! The binary: its flags, its ports, its end, what it says.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::Child,
};

use boskos_testkit::{Daemon, free_port, spellings};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Server, binary, call, eventually};

const CANARY: &str = "c4n4ry";

const CONFIG: &str = "resources: [{type: thing, state: free, names: [thing1]}]";

/// Starts it and waits until it serves; where, and what it said by then.
fn start(url: &str, args: &[&str]) -> (Child, SocketAddr, String) {
    let mut child = binary(url, args).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("\"serving\"") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    let address = said.split("\"http\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    child.stderr = Some(stderr.into_inner());
    (child, address, said)
}

fn stop(mut child: Child) -> String {
    let mut said = String::new();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_in_every_spelling_starts_it() {
    let server = Server::start(CONFIG).await;
    let url = server.url() + "/some/path";
    let (types, password) = (server.dir.path().join("types.yaml"), server.dir.path().join("password"));
    fs::write(&types, CONFIG).unwrap();
    fs::write(&password, CANARY).unwrap();
    let [web, health, metrics] = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let values = [
        ("boskos-url", &*url),
        ("username", "bob"),
        ("password-file", password.to_str().unwrap()),
        ("log-level", "INFO"),
        ("resource-type", "other"),
        ("resource-type-from-config", types.to_str().unwrap()),
        ("resource-state", "free,busy"),
        ("pprof-port", "6060"),
        ("memory-profile-interval", "30s"),
        ("listen-address", "127.0.0.1"),
        ("port", &*web),
        ("health-port", &*health),
        ("metrics-port", &*metrics),
    ];
    for args in spellings(&values, &["profile-memory-usage"]) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let daemon = Daemon::start(env!("CARGO_BIN_EXE_boskos-metrics"), &args);
        daemon.ready().await;
        assert!(daemon.listens_on(&[&web, &health, &metrics]), "{args:?}: {:?}", daemon.ports());
        let shown = || daemon.get("/metrics").unwrap_or_default();
        let free = r#"boskos_resources{state="free",type="thing"} 1"#;
        eventually("the thing is shown", async || shown().contains(free)).await;
        assert!(!shown().contains(r#"state="dirty""#), "{}", shown());
        assert!(daemon.get("/?type=thing").unwrap().contains(r#""current":{"free":1}"#));
        let (code, log) = daemon.stop();
        assert_eq!(code, Some(0), "{log:?}");
    }
}

#[test]
fn what_is_of_no_use_ends_it() {
    for (args, said) in [
        (&["--resource-type-from-config=/nothing/there"][..], "/nothing/there"),
        (&["--resource-tpye=x"], "--resource-type"),
        (&["--username=me"], "password"),
        (&["--password-file=/nothing/there", "--username=me"], "/nothing/there"),
        (&["--port=x"], "port"),
    ] {
        let output = binary("http://127.0.0.1:9", args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{args:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_serves_all_types_and_outlives_the_server() {
    let mut server = Server::start(CONFIG).await;
    let (child, web, _) = start(&server.url(), &[]);
    let page = async || call(web, "GET", "/", "Accept: text/html\r\n").await.2;
    eventually("it is shown", async || page().await.contains("<td>thing</td><td>0</td>")).await;
    server.restart_with("resources: [{type: new, state: free, names: [n]}]").await;
    eventually("asked live", async || call(web, "GET", "/?type=new", "").await.0 == 200).await;
    tokio::task::spawn_blocking(move || stop(child)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_said_or_shown() {
    let server = Server::start(CONFIG).await;
    let user = boskos_client::Client::builder(server.url(), "me").without_proxies().build().unwrap();
    user.acquire("thing", "free", "busy").await.unwrap();
    let patch = [("secret-access-key".to_owned(), Some(CANARY.to_owned()))].into();
    user.update("thing1", "busy", &patch).await.unwrap();
    let file = server.dir.path().join("password");
    fs::write(&file, format!("{CANARY}-password")).unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [server.address, closed] {
        let url = format!("http://me:{CANARY}-url@{address}");
        let password = format!("--password-file={}", file.display());
        let (child, web, mut all) = start(&url, &[&password, "--username=me", "--log-level=trace"]);
        all += &call(web, "GET", "/?type=thing", "").await.2;
        all += &call(web, "GET", "/", "Accept: text/html\r\n").await.2;
        all += &tokio::task::spawn_blocking(move || stop(child)).await.unwrap();
        assert!(!all.contains(CANARY), "{all}");
    }
}

#[test]
fn it_tells_its_version() {
    let output = binary("http://127.0.0.1:9", &["--version"]).stdout(std::process::Stdio::piped()).output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_stops_though_the_server_hangs() {
    let (address, task) = boskos_testkit::silent().await;
    let (child, _, _) = start(&format!("http://{address}"), &[]);
    let ended = tokio::task::spawn_blocking(move || stop(child));
    tokio::time::timeout(boskos_testkit::PATIENCE, ended).await.unwrap().unwrap();
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_one_shows_the_same_and_disturbs_nothing() {
    let server = Server::start(CONFIG).await;
    let user = server.client("me");
    user.acquire("thing", "free", "busy").await.unwrap();
    let before = user.resource("thing1").await.unwrap();
    let (one, first, _) = start(&server.url(), &[]);
    let (two, second, _) = start(&server.url(), &[]);
    for web in [first, second] {
        eventually("it is shown", async || call(web, "GET", "/", "Accept: text/html\r\n").await.2.contains("thing"))
            .await;
        let (status, _, json) = call(web, "GET", "/?type=thing", "").await;
        assert!(status == 200 && json.contains(r#""current":{"busy":1},"owner":{"me":1}"#), "{json}");
    }
    tokio::task::spawn_blocking(move || stop(one)).await.unwrap();
    assert_eq!(call(second, "GET", "/?type=thing", "").await.0, 200);
    tokio::task::spawn_blocking(move || stop(two)).await.unwrap();
    assert_eq!(user.resource("thing1").await.unwrap(), before);
}
