//! What is not there yet.

use std::time::Duration;

use crate::harness::{Daemon, GOOD, Server, eventually, is, listed, look, shift};

const TWO_NEEDS: &str = "resources:
- {type: account, state: free, names: [a1]}
- {type: project, state: used, names: [p1]}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 1, project: 1}, config: {type: Creator}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_held_while_something_is_missing() {
    let server = Server::start(TWO_NEEDS).await;
    let user = server.client("me");
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
    let waits = async |r#type: &str| {
        user.queue().await.unwrap().iter().any(|place| place.r#type.as_str() == r#type && place.parked)
    };
    eventually("it waits for a project", async || waits("project").await).await;
    assert!(is(&user, "a1", "free").await, "the account is anybody's");
    // Somebody takes it; then the project turns up, which alone is of no use.
    let account = user.acquire("account", "free", "busy").await.unwrap();
    shift(&user, "p1", "used", "free").await;
    eventually("it waits for an account", async || waits("account").await).await;
    eventually("the project is anybody's", async || is(&user, "p1", "free").await).await;
    assert_eq!(look(&user, "c1").await, ("cleaning".to_owned(), "mason".to_owned()));
    user.release(account.name.as_str(), "free").await.unwrap();
    eventually("made", async || is(&user, "c1", "free").await).await;
    assert_eq!(listed(&user, "c1").await, ["a1".into(), "p1".into()]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_holds_up_nobody_else() {
    // More that wait than may work at a time.
    let starving: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let config = format!(
        "resources:
- {{type: account, state: free, names: [a1]}}
- {{type: project, state: used, names: [p1]}}
- {{type: starving, state: dirty, names: [{}]}}
- {{type: starving, state: dirty, min-count: 0, max-count: 1, needs: {{project: 1}}, config: {{type: Creator}}}}
- {{type: cluster, state: dirty, names: [c1]}}
- {{type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {{account: 1}}, config: {{type: Creator}}}}
",
        starving.join(",")
    );
    let server = Server::start(&config).await;
    let user = server.client("me");
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
    eventually("made", async || is(&user, "c1", "free").await).await;
    eventually("all others wait", async || user.queue().await.unwrap().len() == 30).await;
    // A stop lets go of all of them.
    daemon.stop().await;
    for name in starving {
        assert!(is(&user, &name, "dirty").await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_of_a_dynamic_type_are_made_on_demand() {
    let server = Server::start(
        "resources:
- {type: slice, state: free, min-count: 0, max-count: 4}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {slice: 2}, config: {type: Creator}}
",
    )
    .await;
    let user = server.client("me");
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
    eventually("made", async || is(&user, "c1", "free").await).await;
    assert_eq!(listed(&user, "c1").await.len(), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_of_one_type_are_waited_for_without_holding_one() {
    let server = Server::start(
        "resources:
- {type: account, state: free, names: [a1]}
- {type: account, state: used, names: [a2]}
- {type: cluster, state: dirty, names: [c1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, needs: {account: 2}, config: {type: Creator}}
",
    )
    .await;
    let user = server.client("me");
    let daemon = Daemon::start(&server.client("mason"), &crate::harness::script(&server, "make", GOOD));
    eventually("it has what it makes", async || look(&user, "c1").await.0 == "cleaning").await;
    // Somebody who wants the one that is there gets it, though mason looks again and again.
    let account = user.acquire_wait("account", "free", "busy", Some(Duration::from_secs(30))).await.unwrap();
    user.release(account.name.as_str(), "free").await.unwrap();
    shift(&user, "a2", "used", "free").await;
    eventually("made", async || is(&user, "c1", "free").await).await;
    daemon.stop().await;
}
