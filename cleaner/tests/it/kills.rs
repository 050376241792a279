//! A cleaner that is killed after any of its calls.

use boskos_client::{Client, Filter, GoDuration};
use boskos_core::leased::{LEASED_RESOURCES, leased_resources};
use boskos_testkit::{Daemon, Proxy, eventually, look};

use crate::{
    process::BINARY,
    scene::{find, make, server},
};

/// Each account is free, dirty, or named by exactly one cluster.
async fn check(client: &Client, cut: usize) {
    let clusters = client.list(&Filter { types: vec!["cluster".into()], ..Filter::default() }).await.unwrap();
    for account in client.list(&Filter { types: vec!["account".into()], ..Filter::default() }).await.unwrap() {
        let state = account.state.as_str();
        assert!(account.owner.is_none(), "killed after {cut}: {account:?}");
        let naming = clusters.iter().filter(|cluster| {
            let names = leased_resources(cluster.user_data.get(LEASED_RESOURCES).as_deref()).unwrap();
            cluster.name.as_str() == state && names.contains(&account.name)
        });
        assert!(matches!(state, "free" | "dirty") || naming.count() == 1, "killed after {cut}: {account:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_call_no_account_is_lost() {
    let mut cuts = 0;
    for cut in 1.. {
        let server = server(3).await;
        let mason = server.client("mason");
        let (cluster, parts) = make(&mason, 2, "toBeDeleted").await;
        let proxy = Proxy::start(server.address).await;
        let args = ["--boskos-url", &proxy.url(), "--cleaner-count=1"];
        let mut daemon = Daemon::start(BINARY, &args);
        proxy.kill_after(cut, daemon.id());
        let mut was_killed = false;
        eventually("killed, or done", async || {
            was_killed = !daemon.is_running();
            was_killed || find(&mason, &cluster).await.is_none()
        })
        .await;
        // After the last call the cluster may be seen to be gone before the kill is.
        if !was_killed && proxy.posts() >= cut {
            eventually("killed", async || !daemon.is_running()).await;
            was_killed = true;
        }
        if !was_killed {
            assert!(cut > 5, "done within {cut} calls");
            break;
        }
        cuts += 1;
        // The reaper.
        for r#type in ["cluster", "account"] {
            mason.reset(r#type, "cleaning", GoDuration::ZERO, "dirty").await.unwrap();
        }
        check(&mason, cut).await;

        // Restarted, and told again: whatever was left is finished.
        let _again = Daemon::start(BINARY, &["--boskos-url", &server.url()]);
        let left = find(&mason, &cluster).await.filter(|cluster| cluster.state.as_str() == "dirty");
        if left.is_some() {
            mason.acquire_by_state("dirty", "x", std::slice::from_ref(&cluster)).await.unwrap();
            mason.release(cluster.as_str(), "toBeDeleted").await.unwrap();
        }
        eventually("gone after all", async || find(&mason, &cluster).await.is_none()).await;
        for part in &parts {
            eventually("dirty", async || look(&mason, part.as_str()).await == ("dirty".into(), String::new())).await;
        }
    }
    assert!(cuts >= 6, "{cuts}");
}
