//! `kill -9` after any call.

use std::collections::BTreeMap;

use boskos_client::{Client, Filter, GoDuration, Resource};
use boskos_core::leased::leased_resources;
use boskos_testkit::{Daemon, Proxy};

use crate::harness::{GOOD, Server, eventually, listed, note, shift};

const BINARY: &str = env!("CARGO_BIN_EXE_boskos-mason");

const CONFIG: &str = "resources:
- {type: account, state: free, names: [a1, a2, a3, a4, a5, a6]}
- {type: cluster, state: dirty, names: [c1, c2]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 2}, config: {type: Creator}}
";

async fn resources(client: &Client) -> BTreeMap<String, Resource> {
    let all = client.list(&Filter::default()).await.unwrap();
    all.into_iter().map(|resource| (resource.name.as_str().to_owned(), resource)).collect()
}

/// Each account is free, dirty, or named by exactly one cluster, whose state it is in.
async fn check_accounts(client: &Client, when: &str) {
    let all = resources(client).await;
    let lists: BTreeMap<_, _> = all
        .iter()
        .filter(|(_, resource)| resource.r#type.as_str() == "cluster")
        .map(|(name, resource)| {
            (name.as_str(), leased_resources(resource.user_data.get("leasedResources").as_deref()).unwrap())
        })
        .collect();
    for (name, resource) in all.iter().filter(|(_, resource)| resource.r#type.as_str() == "account") {
        assert_eq!(resource.owner, None, "{when}: {name}");
        let naming: Vec<_> = lists.iter().filter(|(_, list)| list.iter().any(|part| part.as_str() == name)).collect();
        let state = resource.state.as_str();
        if !matches!(state, "free" | "dirty") {
            assert_eq!(naming.len(), 1, "{when}: {name} in {state} is named by {naming:?}");
            assert_eq!(*naming[0].0, state, "{when}: {name}");
        }
    }
}

/// What the reaper does, at once.
async fn reap(client: &Client) {
    for r#type in ["account", "cluster"] {
        for state in ["busy", "cleaning", "leased"] {
            client.reset(r#type, state, GoDuration::from_std(std::time::Duration::ZERO), "dirty").await.unwrap();
        }
    }
}

async fn is_made(client: &Client) -> bool {
    let all = resources(client).await;
    ["c1", "c2"].iter().all(|name| all[*name].state.as_str() == "free" && all[*name].owner.is_none())
}

/// One whole cycle that is cut after `last` calls; false if it was done before that.
async fn cut_after(last: usize) -> bool {
    let server = Server::start(CONFIG).await;
    let user = server.client("me");
    // The first was made before and is to be recycled.
    note(&user, "c1", "leasedResources", "- a1\n- a2\n").await;
    for name in ["a1", "a2"] {
        shift(&user, name, "free", "c1").await;
    }
    // Recycled first, since it was updated last.
    note(&user, "c2", "unused", "x").await;
    let converter = format!("--converter=Creator={}", crate::harness::script(&server, "make", GOOD).display());
    let proxy = Proxy::start(server.address).await;
    let mut mason = Daemon::start(BINARY, &["--boskos-url", &proxy.url(), "--cleaner-count=1", &converter]);
    proxy.kill_after(last, mason.id());
    let mut was_killed = false;
    eventually("killed, or made", async || {
        was_killed = !mason.is_running();
        was_killed || is_made(&user).await
    })
    .await;
    // After the last call all may be seen to be made before the kill is.
    if !was_killed && proxy.posts() >= last {
        eventually("killed", async || !mason.is_running()).await;
        was_killed = true;
    }
    drop(mason);
    if !was_killed {
        assert!(proxy.posts() >= 20, "{} calls", proxy.posts());
        check_accounts(&user, "at the end").await;
        return false;
    }
    reap(&user).await;
    check_accounts(&user, &format!("cut after {last}")).await;

    // The next mason, with a janitor beside it, ends well.
    let mason = Daemon::start(BINARY, &["--boskos-url", &server.url(), "--cleaner-count=1", &converter]);
    eventually("made after the cut", async || {
        for resource in resources(&user).await.values() {
            if resource.r#type.as_str() == "account" && resource.state.as_str() == "dirty" && resource.owner.is_none() {
                // Mason may have it: it only waits for free ones.
                if user.acquire_by_state("dirty", "cleaning", std::slice::from_ref(&resource.name)).await.is_ok() {
                    user.release(resource.name.as_str(), "free").await.unwrap();
                }
            }
        }
        is_made(&user).await
    })
    .await;
    drop(mason);
    check_accounts(&user, &format!("made after a cut after {last}")).await;
    for cluster in ["c1", "c2"] {
        let parts = listed(&user, cluster).await;
        assert_eq!(parts.len(), 2, "cut after {last}");
        for part in parts {
            assert_eq!(user.resource(part.as_str()).await.unwrap().state.as_str(), cluster, "cut after {last}");
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_free_dirty_or_of_one_cluster_after_a_kill_at_any_call() {
    let mut last = 1;
    while cut_after(last).await {
        last += 1;
    }
    assert!(last > 20, "only {last} calls");
}
