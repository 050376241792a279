//! The life of composite resources.

use std::time::Duration;

use boskos_client::Resource;
use boskos_core::leased::format_leased;
use boskos_mason::{ConfigSource, MasonClient};
use boskos_testkit::Proxy;

use crate::harness::{Daemon, GOOD, PATIENCE, Server, eventually, is, listed, look, note, shift};

const CLUSTERS: &str = "resources:
- {type: account, state: free, names: [a1, a2]}
- {type: cluster, state: dirty, min-count: 1, max-count: 1, lifespan: 1s, needs: {account: 1},
   config: {type: Creator, content: 'two nodes'}}
";

/// Two clusters with names of their own.
const NAMED: &str = "resources:
- {type: account, state: free, names: [a1, a2, a3, a4]}
- {type: cluster, state: dirty, names: [c1, c2]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 2}, config: {type: Creator}}
";

async fn acquired(client: &boskos_client::Client) -> Resource {
    client.acquire_wait("cluster", "free", "busy", Some(PATIENCE)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_is_made_leased_expires_is_torn_down_and_its_account_comes_back() {
    let server = Server::start(CLUSTERS).await;
    let (input, user) = (server.dir.path().join("input"), server.client("me"));
    note(&user, "a1", "access-key-id", "key1").await;
    // The one that was updated least recently is taken.
    note(&user, "a2", "access-key-id", "key2").await;
    let script =
        crate::harness::script(&server, "make", &format!("cat > {}; echo '{{\"endpoint\":\"e\"}}'", input.display()));
    let daemon = Daemon::start(&server.client("mason"), &script);
    let cluster = acquired(&user).await;
    let (name, state) = (cluster.name.as_str(), cluster.name.as_str());
    assert_eq!(
        cluster.user_data.to_map(),
        [("endpoint", "e"), ("leasedResources", "- a1\n")].map(|(k, v)| (k.into(), v.into())).into()
    );
    assert!(is(&user, "a1", state).await && is(&user, "a2", "free").await);
    let input: serde_json::Value = serde_json::from_slice(&std::fs::read(input).unwrap()).unwrap();
    assert_eq!(input["resource"]["name"], name);
    assert_eq!(
        (&input["leased"][0]["name"], &input["leased"][0]["userdata"]["access-key-id"]),
        (&"a1".into(), &"key1".into())
    );
    assert_eq!(input["config"], serde_json::json!({"type": "Creator", "content": "two nodes"}));

    // It expires; what follows is the cleaner's work.
    user.release(name, "free").await.unwrap();
    let cleaner = server.client("cleaner");
    let gone = cleaner.acquire_wait("cluster", "toBeDeleted", "cleaning", Some(PATIENCE)).await.unwrap();
    assert_eq!(gone.name.as_str(), name);
    let parts = cleaner.acquire_by_state(name, "cleaning", &listed(&user, name).await).await.unwrap();
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["a1"]);
    cleaner.release("a1", "dirty").await.unwrap();
    cleaner.update(name, "cleaning", &[("leasedResources".to_owned(), None)].into()).await.unwrap();
    cleaner.release(name, "tombstone").await.unwrap();
    // The janitor's; then the next cluster is made.
    shift(&user, "a1", "dirty", "free").await;
    let next = acquired(&user).await;
    assert_ne!(next.name.as_str(), name);
    assert_eq!(listed(&user, next.name.as_str()).await, ["a2".into()]);
    assert!(is(&user, "a1", "free").await);
    assert_eq!(daemon.work.done("cluster"), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recycling_takes_back_what_is_there_whatever_the_list_says() {
    let lists = [
        Some("- a1\n- a2\n"),
        Some("[a1, a2]"),
        // One that is another cluster's by now, one that does not exist, and a2 is not named.
        Some("- a1\n- a3\n- gone\n"),
        Some("null"),
        Some("{un: readable}"),
        Some("- 'half"),
        None,
    ];
    for list in lists {
        let server = Server::start(NAMED).await;
        let user = server.client("me");
        if let Some(list) = list {
            note(&user, "c1", "leasedResources", list).await;
        }
        for (name, cluster) in [("a1", "c1"), ("a2", "c1"), ("a3", "c2"), ("a4", "c2")] {
            shift(&user, name, "free", cluster).await;
        }
        note(&user, "c2", "leasedResources", "- a3\n- a4\n").await;
        shift(&user, "c2", "dirty", "busy-elsewhere").await;
        let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
        for name in ["a1", "a2"] {
            eventually("recycled", async || is(&user, name, "dirty").await).await;
            shift(&user, name, "dirty", "free").await;
        }
        eventually("made again", async || is(&user, "c1", "free").await).await;
        let mut parts = listed(&user, "c1").await;
        parts.sort();
        assert_eq!(parts, ["a1".into(), "a2".into()], "{list:?}");
        assert!(is(&user, "a1", "c1").await && is(&user, "a2", "c1").await, "{list:?}");
        assert!(is(&user, "a3", "c2").await && is(&user, "a4", "c2").await, "{list:?}: another cluster's");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_take_and_give_back_the_whole() {
    let server = Server::start(NAMED).await;
    let user = server.client("me");
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
    eventually("both made", async || daemon.work.done("cluster") == 2).await;
    daemon.stop().await;
    let composites = MasonClient::new(user.clone());
    let taken = composites.acquire("cluster", "free", "busy").await.unwrap();
    let name = taken.resource.name.as_str();
    assert_eq!(taken.leased.iter().map(|part| part.name.clone()).collect::<Vec<_>>(), listed(&user, name).await);
    assert_eq!(user.held().len(), 3);
    let patch = [("job".to_owned(), Some("17".to_owned()))].into();
    composites.update(&taken, "busy", &patch).await.unwrap();
    assert_eq!(user.resource(name).await.unwrap().user_data.get("job").as_deref(), Some("17"));
    for part in &taken.leased {
        assert_eq!(look(&user, part.name.as_str()).await, ("busy".to_owned(), "me".to_owned()));
        assert!(user.resource(part.name.as_str()).await.unwrap().user_data.is_empty());
    }
    composites.release(&taken, "dirty").await.unwrap();
    for name in taken.leased.iter().map(|part| part.name.as_str()).chain([name]) {
        assert!(is(&user, name, "dirty").await);
    }
    // The other one lacks a part: it stays as it was.
    let other = if name == "c1" { "c2" } else { "c1" };
    let parts = listed(&user, other).await;
    shift(&user, parts[1].as_str(), other, "elsewhere").await;
    assert!(composites.acquire("cluster", "free", "busy").await.is_err());
    user.settled().await;
    assert!(is(&user, other, "free").await && is(&user, parts[0].as_str(), other).await);
    assert!(composites.acquire("nothing", "free", "busy").await.unwrap_err().is_none_now());
    assert!(user.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_masons_share_the_work() {
    let names = |letter: &str, count: usize| (1..=count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
    let config = format!(
        "resources:
- {{type: account, state: free, names: [{}]}}
- {{type: project, state: free, names: [{}]}}
- {{type: cluster, state: dirty, names: [{}]}}
- {{type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {{account: 2, project: 1}}, config: {{type: Creator}}}}
",
        names("a", 12).join(","),
        names("p", 6).join(","),
        names("c", 6).join(",")
    );
    let server = Server::start(&config).await;
    let user = server.client("me");
    let script = crate::harness::script(&server, "make", GOOD);
    let daemons = [(); 2].map(|()| Daemon::start(&server.client("mason"), &script));
    eventually("all made", async || daemons.iter().map(|daemon| daemon.work.done("cluster")).sum::<u64>() == 6).await;
    let mut named = Vec::new();
    for name in names("c", 6) {
        assert!(is(&user, &name, "free").await);
        for part in listed(&user, &name).await {
            assert!(is(&user, part.as_str(), &name).await);
            named.push(part.as_str().to_owned());
        }
    }
    named.sort();
    let mut all = [names("a", 12), names("p", 6)].concat();
    all.sort();
    assert_eq!(named, all);
    for daemon in daemons {
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_may_restart_under_it() {
    let mut server = Server::start_kept(NAMED).await;
    let gate = server.dir.path().join("gate");
    let script = crate::harness::script(
        &server,
        "make",
        &format!("while [ ! -e {} ]; do sleep 0.05; done; {GOOD}", gate.display()),
    );
    let daemon = Daemon::start(&server.client("mason"), &script);
    let user = server.client("me");
    eventually("both have their parts", async || {
        listed(&user, "c1").await.len() == 2 && listed(&user, "c2").await.len() == 2
    })
    .await;
    server.stop().await;
    eventually("said to be away", async || !daemon.readiness.is_ready()).await;
    server.restart().await;
    std::fs::write(gate, "").unwrap();
    eventually("both made", async || is(&user, "c1", "free").await && is(&user, "c2", "free").await).await;
    for cluster in ["c1", "c2"] {
        for part in listed(&user, cluster).await {
            assert!(is(&user, part.as_str(), cluster).await);
        }
    }
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_servers_do_with_a_file() {
    let server = Server::start(NAMED).await;
    let user = server.client("me");
    note(&user, "c1", "leasedResources", &format_leased(&["a1".into(), "a2".into()])).await;
    shift(&user, "a1", "free", "c1").await;
    let proxy = Proxy::older(server.address).await;
    let client = crate::harness::client(&proxy.url(), "mason");
    let script = crate::harness::script(&server, "make", GOOD);

    let daemon = Daemon::start(&client, &script);
    eventually("it says why it does nothing", async || {
        daemon.readiness.reason().is_some_and(|reason| reason.contains("it is an older one"))
    })
    .await;
    daemon.stop().await;

    let file = server.dir.path().join("configs.yaml");
    std::fs::write(&file, "configs: [{name: cluster, needs: {account: 1}, config: {type: Creator, content: x}}]")
        .unwrap();
    let source = ConfigSource::file(&file, client.clock()).unwrap();
    let daemon = Daemon::start_with(&client, source, &script, "1h");
    eventually("both made", async || is(&user, "c1", "free").await && is(&user, "c2", "free").await).await;
    assert!(is(&user, "a1", "dirty").await, "recycled by the list alone");
    assert_eq!(listed(&user, "c1").await.len(), 1);
    daemon.stop().await;
    tokio::time::timeout(Duration::from_secs(1), user.settled()).await.unwrap();
}
