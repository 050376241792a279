//! What commands may do, and what becomes of it.

use std::{fs, path::Path, time::Duration};

use boskos_client::{Client, Clock};
use boskos_mason::ConfigSource;

use crate::harness::{Daemon, GOOD, Server, eventually, is, listed, look};

const ONE: &str = "resources:
- {type: account, state: free, names: [a1]}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 1}, config: {type: Creator}}
";

/// Everything is dirty, and nothing is said to belong to anything.
async fn is_all_dirty(client: &Client) -> bool {
    is(client, "a1", "dirty").await && is(client, "c1", "dirty").await
}

fn failures(daemon: &Daemon) -> u64 {
    daemon.work.failures("cluster", "construct")
}

/// The processes whose number a script wrote into `file` are gone, but for a zombie perhaps.
fn is_gone(file: &Path) -> bool {
    let pid = fs::read_to_string(file).unwrap();
    match fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        Ok(stat) => stat.rsplit(')').next().unwrap().trim().starts_with('Z'),
        Err(_) => true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_ones_leave_everything_dirty() {
    let scripts = [
        "cat > /dev/null; exit 3",
        "kill -9 $$",
        "sleep 1000",
        "echo garbage",
        "true",
        "echo '[1]'",
        "echo '{\"a\":1}'",
        "echo '{\"a\":\"1\"} {}'",
        "head -c 3000000 /dev/zero | tr '\\0' x",
        "echo '{\"a\":\"1\"}'; exit 1",
    ];
    for script in scripts {
        let server = Server::start(ONE).await;
        let user = server.client("me");
        let path = crate::harness::script(&server, "make", script);
        // Its pause does not end: the clock stands still for all but the command.
        let client = Client::builder(server.url(), "mason").without_proxies().clock(Clock::manual().0).build().unwrap();
        let daemon = Daemon::start_with(&client, ConfigSource::Server, &path, "1s");
        eventually("it failed", async || failures(&daemon) == 1).await;
        assert!(is_all_dirty(&user).await, "{script}");
        assert!(listed(&user, "c1").await.is_empty(), "{script}");
        assert!(user.resource("c1").await.unwrap().user_data.is_empty(), "{script}");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leased_resources_are_not_theirs_to_set() {
    let server = Server::start(ONE).await;
    let user = server.client("me");
    for text in ["\"- other\\n\"", "\"\"", "null"] {
        let script = crate::harness::script(
            &server,
            "make",
            &format!("printf '%s' '{{\"leasedResources\":{text},\"a\":\"1\"}}'"),
        );
        let daemon = Daemon::start(&server.client("mason"), &script);
        eventually("made", async || is(&user, "c1", "free").await).await;
        assert_eq!(listed(&user, "c1").await, ["a1".into()], "{text}");
        assert_eq!(user.resource("c1").await.unwrap().user_data.get("a").as_deref(), Some("1"));
        daemon.stop().await;
        for (name, from, to) in [("a1", "c1", "free"), ("c1", "free", "dirty")] {
            crate::harness::shift(&user, name, from, to).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_group_has_ended_before_anything_turns_dirty() {
    let server = Server::start(ONE).await;
    let (user, dir) = (server.client("me"), server.dir.path().display().to_string());
    // The child does not heed TERM, and its parent needs a while.
    let body = format!(
        "sh -c 'trap \"\" TERM; echo $$ > {dir}/child; while :; do sleep 0.1; done' &
trap 'sleep 0.3; echo ended > {dir}/parent; exit 0' TERM
while [ ! -s {dir}/child ]; do sleep 0.01; done
touch {dir}/ready
while :; do sleep 0.1; done"
    );
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", &body));
    eventually("it runs", async || Path::new(&format!("{dir}/ready")).exists()).await;
    let stop = tokio::spawn(daemon.stop());
    let mut dirty = false;
    while !dirty {
        let child_is_gone = is_gone(Path::new(&format!("{dir}/child")));
        dirty = is(&user, "a1", "dirty").await || is(&user, "c1", "dirty").await;
        // What was looked at first is the older news.
        assert!(!dirty || child_is_gone || is_gone(Path::new(&format!("{dir}/child"))));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Path::new(&format!("{dir}/parent")).exists(), "TERM came before KILL");
    stop.await.unwrap();
    assert!(is_all_dirty(&user).await);
    assert!(listed(&user, "c1").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_they_leave_running_is_ended() {
    let server = Server::start(ONE).await;
    let (user, child) = (server.client("me"), server.dir.path().join("child"));
    let body = format!("sleep 1000 & echo $! > {}; echo '{{}}'", child.display());
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", &body));
    eventually("made", async || is(&user, "c1", "free").await).await;
    assert!(is_gone(&child));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_holds_up_no_other_of_its_type() {
    let server = Server::start(
        "resources:
- {type: account, state: free, names: [a1, a2, a3]}
- {type: cluster, state: dirty, names: [bad, c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 1}, config: {type: Creator}}
",
    )
    .await;
    let user = server.client("me");
    let runs = server.dir.path().join("runs");
    // The resource comes first in what it is told.
    let body = format!("case $(cut -c 1-80) in *'\"bad\"'*) echo x >> {}; exit 1;; esac; echo '{{}}'", runs.display());
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", &body));
    eventually("the other one made", async || is(&user, "c1", "free").await).await;
    eventually("the bad one failed", async || failures(&daemon) >= 1).await;
    // A new one comes while the bad one is paused.
    crate::harness::shift(&user, "c1", "free", "dirty").await;
    eventually("made again", async || daemon.work.done("cluster") == 2).await;
    let runs = fs::read_to_string(runs).unwrap().lines().count();
    assert!(runs < 10, "{runs} runs: no pause");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_leases_end_the_work_and_are_left_alone() {
    let server = Server::start(ONE).await;
    let user = server.client("me");
    let started = server.dir.path().join("started");
    let script = crate::harness::script(&server, "make", &format!("echo $$ > {}; sleep 1000", started.display()));
    let (clock, hand) = Clock::manual();
    let client = Client::builder(server.url(), "mason").without_proxies().clock(clock).build().unwrap();
    let daemon = Daemon::start(&client, &script);
    eventually("it runs", async || fs::read(&started).is_ok_and(|pid| !pid.is_empty())).await;
    // The reaper takes the whole, and somebody else has it by now.
    let (zero, moved) = (boskos_client::GoDuration::from_std(Duration::ZERO), "elsewhere");
    assert_eq!(user.reset("cluster", "cleaning", zero, moved).await.unwrap().len(), 1);
    user.acquire("cluster", moved, "busy").await.unwrap();
    // The next heartbeat tells.
    hand.advance(Duration::from_secs(60));
    eventually("the work has ended", async || daemon.work.failures("cluster", "lost") == 1).await;
    assert_eq!(look(&user, "c1").await, ("busy".to_owned(), "me".to_owned()));
    assert!(is(&user, "a1", "dirty").await);
    assert!(is_gone(&started));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_one_may_print_nothing_to_note() {
    let server = Server::start(ONE).await;
    let user = server.client("me");
    for (n, body) in [GOOD, "echo '{}'", "echo null >&2; echo ' {} '"].into_iter().enumerate() {
        let daemon =
            Daemon::start(&server.client("mason"), &crate::harness::script(&server, &format!("make{n}"), body));
        eventually("made", async || is(&user, "c1", "free").await).await;
        daemon.stop().await;
        for (name, from, to) in [("a1", "c1", "free"), ("c1", "free", "dirty")] {
            crate::harness::shift(&user, name, from, to).await;
        }
    }
}
