//! The cleaner as it is deployed.

use boskos_testkit::{Daemon, eventually, free_port, run, spellings};

use crate::scene::{find, make, server};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_boskos-cleaner");
const CANARY: &str = "c4n4ry";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flag_in_every_spelling_starts_it_and_nothing_secret_is_logged() {
    let server = server(8).await;
    let mason = server.client("mason");
    let dir = tempfile::tempdir().unwrap();
    let (types, password) = (dir.path().join("types.yaml"), dir.path().join("password"));
    std::fs::write(&types, "resources: [{type: other, names: [o]}]").unwrap();
    std::fs::write(&password, CANARY).unwrap();
    let url = server.url() + "/";
    let (health, metrics) = (free_port().to_string(), free_port().to_string());
    let values = [
        ("boskos-url", &*url),
        ("username", "bob"),
        ("password-file", password.to_str().unwrap()),
        ("log-level", "trace"),
        ("resource-type", "cluster"),
        ("resource-type-from-config", types.to_str().unwrap()),
        ("cleaner-count", "3"),
        ("namespace", "boskos"),
        ("kubeconfig", "/nowhere"),
        ("projected-token-file", "/nowhere"),
        ("pprof-port", "6060"),
        ("memory-profile-interval", "30s"),
        ("listen-address", "127.0.0.1"),
        ("health-port", &*health),
        ("metrics-port", &*metrics),
    ];
    for line in spellings(&values, &["use-v2-implementation", "in_memory", "profile-memory-usage"]) {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let daemon = Daemon::start(BINARY, &line);
        daemon.ready().await;
        assert!(daemon.listens_on(&[&health, &metrics]), "{line:?}: {:?}", daemon.ports());
        // It reacts to what turns up once it idles.
        let (cluster, parts) = make(&mason, 1, "aside").await;
        mason.acquire_by_state("aside", "cleaning", std::slice::from_ref(&cluster)).await.unwrap();
        let note = [("secret-access-key".to_owned(), Some(CANARY.to_owned()))].into();
        mason.update(cluster.as_str(), "cleaning", &note).await.unwrap();
        mason.release(cluster.as_str(), "toBeDeleted").await.unwrap();
        eventually("gone", async || find(&mason, &cluster).await.is_none()).await;
        assert_eq!(find(&mason, &parts[0]).await.unwrap().state.as_str(), "dirty");
        let counters = daemon.get("/metrics").unwrap();
        assert!(counters.contains(r#"boskos_cleaner_done_total{type="cluster"} 1"#), "{counters}");
        assert!(!counters.contains(CANARY));
        let (code, log) = daemon.stop();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(log.iter().all(|line| !line.to_string().contains(CANARY)), "{log:?}");
    }
}

#[test]
fn bad_command_lines_are_one_line() {
    let (code, output, errors) = run(BINARY, &["--cleaner-cont=1"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert_eq!(errors, "unknown flag --cleaner-cont; the nearest is --cleaner-count\n");
    let (code, help, _) = run(BINARY, &["--help"]);
    assert!(code == 0 && help.contains("--cleaner-count <COUNT>"), "{help}");
}

#[test]
fn it_tells_its_version() {
    let (code, version, errors) = run(BINARY, &["--version"]);
    assert!(code == 0 && errors.is_empty() && version.contains(env!("CARGO_PKG_VERSION")), "{version}{errors}");
}
