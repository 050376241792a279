//! Calls that are cut, and servers that are away or hang.

use std::{path::Path, time::Duration};

use boskos_client::Filter;
use boskos_mason::MasonClient;
use boskos_testkit::silent;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Daemon, PATIENCE, Server, binary, eventually, is, note, script, shift};

const ONE: &str = "resources:
- {type: account, state: free, names: [a1]}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 1}, config: {type: Creator}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquire_of_a_whole_gives_all_of_it_back_whenever_it_is_cancelled() {
    let server = Server::start(ONE).await;
    let user = server.client("me");
    note(&user, "c1", "leasedResources", "- a1\n").await;
    shift(&user, "a1", "free", "c1").await;
    shift(&user, "c1", "dirty", "free").await;
    let client = MasonClient::new(server.client("user"));
    for step in 0..80 {
        // From before the first call is sent to after the second is answered.
        match tokio::time::timeout(Duration::from_micros(step * 50), client.acquire("cluster", "free", "busy")).await {
            Ok(whole) => {
                let whole = whole.unwrap();
                client.client().release("a1", "c1").await.unwrap();
                client.client().release(whole.resource.name.as_str(), "free").await.unwrap();
            }
            Err(_) => client.client().settled().await,
        }
        assert!(is(&user, "c1", "free").await && is(&user, "a1", "c1").await, "cancelled after {} µs", step * 50);
        assert!(client.client().held().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_amid_a_construction_strands_nothing() {
    let mut server = Server::start_kept(ONE).await;
    let user = server.client("me");
    let dir = server.dir.path().display().to_string();
    let body = format!("cat > /dev/null; touch {dir}/ready; until test -e {dir}/go; do sleep 0.02; done; echo '{{}}'");
    let daemon = Daemon::start(&server.client("mason"), &script(&server, "make", &body));
    eventually("it runs", async || Path::new(&format!("{dir}/ready")).exists()).await;
    server.stop().await;
    std::fs::write(format!("{dir}/go"), "").unwrap();
    // More than one call tries for.
    tokio::time::sleep(Duration::from_secs(8)).await;
    server.restart().await;
    // What was made could not be written: its account is to be cleaned, which is the test's to say.
    eventually("given back, or made", async || is(&user, "a1", "dirty").await || is(&user, "c1", "free").await).await;
    if is(&user, "a1", "dirty").await {
        shift(&user, "a1", "dirty", "free").await;
    }
    eventually("made in the end", async || is(&user, "c1", "free").await).await;
    assert!(is(&user, "a1", "c1").await);
    let all = user.list(&Filter::default()).await.unwrap();
    assert!(all.iter().all(|resource| resource.owner.is_none()), "{all:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_stops_though_the_server_hangs() {
    let (address, task) = silent().await;
    let mut child = binary(&format!("http://{address}"), &["--converter=Creator=/bin/true"]).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap().code());
    assert_eq!(tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap(), Some(0));
    task.abort();
}
