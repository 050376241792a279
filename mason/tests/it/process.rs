//! The binary: its flags, its end, what it says.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use boskos_testkit::{Daemon, free_port, spellings};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{GOOD, Server, binary, eventually, is, listed, note, shift};

const CANARY: &str = "c4n4ry";

const ONE: &str = "resources:
- {type: account, state: free, names: [a1]}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 1}, config: {type: Creator}}
";

fn wait_for_line(command: &mut Command, word: &str) -> (std::process::Child, String) {
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains(word) {
        assert!(stderr.read_line(&mut all).unwrap() > 0, "it ended: {all}");
    }
    child.stderr = Some(stderr.into_inner());
    (child, all)
}

fn failed(args: &[&str]) -> String {
    let began = Instant::now();
    let output = binary("http://127.0.0.1:9", args).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(10));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_in_every_spelling_starts_it() {
    let server = Server::start(ONE).await;
    let (user, url) = (server.client("me"), server.url() + "/some/path");
    let beside = |name: &str, text: &str| {
        let path = server.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let config = beside("configs.yaml", "configs: [{name: cluster, needs: {account: 1}, config: {type: Creator}}]");
    let password = beside("password", CANARY);
    let converter = format!("Creator={}", crate::harness::script(&server, "make", GOOD).display());
    let (health, metrics) = (free_port().to_string(), free_port().to_string());
    // Every one of older manifests, and ours.
    let values = [
        ("boskos-url", &*url),
        ("username", "bob"),
        ("password-file", &*password),
        ("log-level", "INFO"),
        ("cleaner-count", "3"),
        ("config", &*config),
        ("namespace", "boskos"),
        ("kubeconfig", "/nowhere/kubeconfig"),
        ("projected-token-file", "/nowhere/token"),
        ("pprof-port", "6060"),
        ("memory-profile-interval", "30s"),
        ("converter", &*converter),
        ("timeout", "1m30s"),
        ("listen-address", "127.0.0.1"),
        ("health-port", &*health),
        ("metrics-port", &*metrics),
    ];
    for args in spellings(&values, &["in_memory", "profile-memory-usage"]) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mason = Daemon::start(env!("CARGO_BIN_EXE_boskos-mason"), &args);
        mason.ready().await;
        assert!(mason.listens_on(&[&health, &metrics]), "{args:?}: {:?}", mason.ports());
        eventually(&format!("{args:?}: {:?}", mason.log()), async || is(&user, "c1", "free").await).await;
        let (code, log) = mason.stop();
        assert_eq!(code, Some(0), "{log:?}");
        // As it was before.
        user.acquire_by_state("free", "x", &["c1".into()]).await.unwrap();
        user.update("c1", "x", &[("leasedResources".to_owned(), None)].into()).await.unwrap();
        user.release("c1", "dirty").await.unwrap();
        shift(&user, "a1", "c1", "free").await;
    }
}

#[test]
fn what_is_of_no_use_ends_it_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let servers = dir.path().join("boskos-resources.yaml");
    fs::write(&servers, ONE).unwrap();
    let servers = format!("--config={}", servers.display());
    for (args, said) in [
        (&["--converter=Creator=/nothing/there"][..], "/nothing/there"),
        (&["--converter=Creator=/etc/passwd"], "not an executable file"),
        (&["--converter=Creator"], "TYPE=COMMAND"),
        (&["--config=/nothing/there"], "/nothing/there"),
        (&[&*servers], "boskos-resources.yaml\" is not valid: has the key resources, as a server's config has"),
        (&[&*servers], "or name no file, to go by the server's lifecycles"),
        (&["--timeout=0s"], "longer than nothing"),
        (&["--cleaner-cuont=1"], "--cleaner-count"),
        (&["--cleaner-count=0"], "must be at least 1"),
        (&["--username=me"], "password"),
    ] {
        let text = failed(args);
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn several_converters_may_be_given() {
    let args = ["--converter=A=/bin/true", "--converter", "B=/nothing/there"];
    assert!(failed(&args).contains("/nothing/there"));
    assert!(failed(&["--converter=A=/nothing/first", "--converter=B=/bin/true"]).contains("/nothing/first"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_in_order_amid_a_command() {
    let server = Server::start(ONE).await;
    let (user, dir) = (server.client("me"), server.dir.path().display().to_string());
    let body = format!("trap 'echo told > {dir}/told; exit 1' TERM; touch {dir}/ready; while :; do sleep 0.05; done");
    let converter = format!("--converter=Creator={}", crate::harness::script(&server, "make", &body).display());
    let mut child = binary(&server.url(), &[&converter]).spawn().unwrap();
    eventually("it runs", async || Path::new(&format!("{dir}/ready")).exists()).await;
    assert_eq!(listed(&user, "c1").await, ["a1".into()]);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let code = tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(Path::new(&format!("{dir}/told")).exists());
    assert!(is(&user, "c1", "dirty").await && is(&user, "a1", "dirty").await);
    assert!(listed(&user, "c1").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_said() {
    let scripts = [
        format!("cat > /dev/null; echo '{{\"secret-access-key\":\"{CANARY}-made\"}}'"),
        // What it was told, and what it made, on both outputs.
        format!("cat | tee /dev/stderr; echo '{{\"k\":\"{CANARY}-made\"}}'; echo why >&2; exit 1"),
        "cat; echo broken".to_owned(),
        "cat >&2; exit 7".to_owned(),
    ];
    for (n, body) in scripts.iter().enumerate() {
        let server = Server::start(ONE).await;
        let user = server.client("me");
        note(&user, "a1", "secret-access-key", &format!("{CANARY}-account \"x\"\nline {CANARY}")).await;
        note(&user, "c1", "token", &format!("{CANARY}-cluster")).await;
        fs::write(server.dir.path().join("password"), format!("{CANARY}-password")).unwrap();
        let password = format!("--password-file={}/password", server.dir.path().display());
        let converter = format!("--converter=Creator={}", crate::harness::script(&server, "make", body).display());
        let args = [&*converter, &password, "--username=me", "--log-level=trace"];
        let url = server.url().replace("http://", &format!("http://me:{CANARY}-url@"));
        let (word, reason) = if n == 0 { ("\"made\"", "") } else { ("not made", "construct") };
        let (mut child, mut said) = wait_for_line(&mut binary(&url, &args), word);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        assert!(!said.contains(CANARY), "{reason}: {said}");
        if n == 3 {
            assert!(said.contains("exit status: 7"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_by_the_binary() {
    let server = Server::start(ONE).await;
    let user = server.client("me");
    let converter = format!("Creator={}", crate::harness::script(&server, "make", GOOD).display());
    let mut child = binary(&server.url(), &["-converter", &converter]).spawn().unwrap();
    eventually("made", async || is(&user, "c1", "free").await).await;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_tells_its_version() {
    let output = binary("http://127.0.0.1:9", &["--version"]).stdout(std::process::Stdio::piped()).output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}
