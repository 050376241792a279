//! Servers that are away for a while, and older ones.

use std::time::Duration;

use boskos_client::frame::Progress;
use boskos_testkit::{OlderServer, Server, eventually, turning};
use parking_lot::Mutex;

use crate::scene::{Scene, Scripts, dirty, stands};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cleaned_while_the_server_was_away_is_given_back_when_it_is_there_again() {
    for code in [0, 1] {
        let mut server = Server::start_kept(&format!("resources:\n{}", dirty("thing", &["t1"]))).await;
        let scripts = Scripts::new();
        let script = scripts
            .write("clean", &format!("echo $$ >> $D/pids\nuntil test -e $D/go; do sleep 0.01; done\nexit {code}\n"));
        let mut scene = Scene::new(&server, &["thing"], &script, &[]);
        scene.begin().await;
        eventually("it runs", async || !scripts.lines("pids").is_empty()).await;
        server.stop().await;
        std::fs::write(scripts.path("go"), "").unwrap();
        let (turning, clock) = (turning(&scene.hand), scene.frame.client.clock().clone());
        let minute = clock.mono().saturating_add(Duration::from_secs(60));
        eventually("a minute", async || clock.mono() > minute).await;
        server.restart().await;
        scene.pool.idle().await;
        let (client, looker) = (&scene.frame.client, server.client("looker"));
        client.settled().await;
        assert!(client.held().is_empty());
        // What could not be noted is no failure.
        assert_eq!(stands(&looker, "t1").await, if code == 0 { "free" } else { "dirty" });
        turning.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_server_is_asked_for_one_at_a_time_and_what_rests_goes_back() {
    // One dirty resource, as such a server would keep it: whether it is there to take, and how often it failed.
    let stands = std::sync::Arc::new(Mutex::new((true, 0)));
    let kept = std::sync::Arc::clone(&stands);
    let none = "Acquire failed: no available resource thing, try again later.\n";
    let server = OlderServer::start(move |line| {
        let mut kept = kept.lock();
        if line.contains("/acquire?") {
            if !std::mem::take(&mut kept.0) {
                return (404, none.to_owned());
            }
            let data = if kept.1 > 0 { format!("{{\"janitor-failures\":\"{}\"}}", kept.1) } else { "{}".to_owned() };
            let head = r#"{"type":"thing","name":"t1","state":"cleaning","owner":"Janitor""#;
            return (200, format!("{head},\"lastupdate\":\"2006-01-02T15:04:05Z\",\"userdata\":{data}}}"));
        }
        if line.contains("/update") {
            kept.1 += 1;
        }
        if line.contains("/release") && line.contains("dest=dirty") {
            kept.0 = true;
        }
        (200, String::new())
    })
    .await;
    let scripts = Scripts::new();
    let script = scripts.write("clean", "echo $N >> $D/calls\ntest $(wc -l < $D/calls) -ge 2\n");
    let mut scene = Scene::at(&server.url(), &["thing"], &script, &[]);
    assert_eq!(scene.pass().await, Progress::Did);
    assert_eq!(scripts.lines("calls").len(), 1);
    for _ in 0..5 {
        scene.pass().await;
    }
    assert_eq!(scripts.lines("calls").len(), 1, "it rests");
    let acquires = server.with("/acquire?").len();
    assert!(acquires <= 8, "{acquires}: about one a pass");
    scene.later(Duration::from_secs(30));
    scene.pass().await;
    assert_eq!(scripts.lines("calls").len(), 2);
    assert_eq!(server.with("dest=free").len(), 1);
    assert!(scene.frame.client.held().is_empty());
}
