//! Commands that must be ended: timeouts, stops, lost leases, what they leave behind.

use std::time::Duration;

use boskos_client::{Filter, GoDuration};
use boskos_runtime::signal::Cause;
use boskos_testkit::{eventually, look};

use crate::scene::{Scene, Scripts, dirty, serve, stands};

/// Traps TERM, and so does a child of its own; both write their numbers.
pub(crate) const STUBBORN: &str = "trap 'echo $N >> $D/trapped' TERM
sh -c \"trap '' TERM; echo \\$\\$ >> $D/pids; while :; do sleep 0.05; done\" &
echo $$ >> $D/pids
while :; do sleep 0.05; done
";

/// Whether a process does anything; one that has ended and is not taken note of does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_traps_term_is_gone_with_its_children_before_its_resource_is_dirty() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", STUBBORN);
    let mut scene = Scene::new(&server, &["thing"], &script, &["--timeout=15m"]);
    scene.begin().await;
    eventually("both run", async || scripts.lines("pids").len() == 2).await;
    let pids = scripts.lines("pids");
    // Looks at the processes as soon as the resource is dirty.
    let (watcher, watched) = (server.client("watcher"), pids.clone());
    let seen = tokio::spawn(async move {
        let filter = Filter { types: vec!["thing".into()], states: vec!["dirty".into()], owners: vec![None] };
        while watcher.watch(&filter, Duration::from_secs(30)).await.unwrap().is_empty() {}
        watched.iter().filter(|pid| is_alive(pid)).count()
    });
    scene.later(Duration::from_secs(15 * 60));
    eventually("TERM", async || !scripts.lines("trapped").is_empty()).await;
    assert!(pids.iter().all(|pid| is_alive(pid)));
    assert_eq!(look(&server.client("x"), "t1").await, ("cleaning".into(), "Janitor".into()));
    scene.later(Duration::from_secs(10));
    scene.pool.idle().await;
    assert_eq!(seen.await.unwrap(), 0, "{pids:?}");
    assert_eq!(stands(&scene.frame.client, "t1").await, "dirty  janitor-failures=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_ends_the_command_first_and_counts_nothing() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", STUBBORN);
    let mut scene = Scene::new(&server, &["thing"], &script, &[]);
    scene.begin().await;
    eventually("both run", async || scripts.lines("pids").len() == 2).await;
    scene.stop.trigger(Cause::Requested);
    eventually("TERM", async || !scripts.lines("trapped").is_empty()).await;
    scene.later(Duration::from_secs(10));
    scene.pool.idle().await;
    assert!(scripts.lines("pids").iter().all(|pid| !is_alive(pid)));
    scene.frame.client.settled().await;
    assert_eq!(stands(&scene.frame.client, "t1").await, "dirty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_leaves_running_is_ended_before_its_resource_is_free() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "sleep 1000 &\necho $! >> $D/pids\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &[]);
    scene.pass().await;
    assert_eq!(stands(&scene.frame.client, "t1").await, "free");
    assert!(!is_alive(&scripts.lines("pids")[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_ends_the_command_and_frees_nothing() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $$ >> $D/pids\nexec sleep 1000\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &["--update-frequency=10s"]);
    scene.begin().await;
    eventually("it runs", async || scripts.lines("pids").len() == 1).await;
    let other = server.client("other");
    other.reset("thing", "cleaning", GoDuration::ZERO, "dirty").await.unwrap();
    other.acquire("thing", "dirty", "cleaning").await.unwrap();
    let before = other.resource("t1").await.unwrap();
    scene.later(Duration::from_secs(10));
    scene.pool.idle().await;
    assert!(!is_alive(&scripts.lines("pids")[0]));
    assert_eq!(other.resource("t1").await.unwrap(), before);
    assert!(scene.frame.client.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_go_on_while_the_command_runs() {
    let server = serve(&[dirty("thing", &["t1"])]).await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $$ >> $D/pids\nuntil test -e $D/go; do sleep 0.01; done\n");
    let mut scene = Scene::new(&server, &["thing"], &script, &["--update-frequency", "1m"]);
    scene.begin().await;
    let client = server.client("x");
    let mut last = client.resource("t1").await.unwrap().last_update;
    for _ in 0..3 {
        scene.hand.slept_on().await;
        scene.later(Duration::from_secs(60));
        eventually("a heartbeat", async || client.resource("t1").await.unwrap().last_update > last).await;
        last = client.resource("t1").await.unwrap().last_update;
    }
    std::fs::write(scripts.path("go"), "").unwrap();
    scene.pool.idle().await;
    assert_eq!(stands(&client, "t1").await, "free");
}
