//! What is shown, and what is not when it is not known.

use std::time::Duration;

use boskos_client::{
    Clock, State,
    frame::{Frame, Pass as _, Pool},
    types::{TypeFlags, TypeSelection},
};
use boskos_core::state::KNOWN;
use boskos_metrics::{Board, Collector, Watcher};
use boskos_runtime::signal::Shutdown;
use boskos_testkit::{Brake, OlderServer, turning};
use prometheus::core::Collector as _;

use crate::harness::{Daemon, PATIENCE, Server, builder, call, eventually};

const CONFIG: &str = "resources:
- {type: thing, state: free, names: [thing1, thing2]}
- {type: thing, state: clean, names: [thing3]}
- {type: 'a<b>&', state: dirty, names: [odd]}
- {type: made, min-count: 0, max-count: 3}
";

fn all() -> TypeSelection {
    TypeSelection::all()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_shown_to_prometheus_programs_and_browsers() {
    let server = Server::start(CONFIG).await;
    let client = builder(&server.url()).build().unwrap();
    let user = boskos_client::Client::builder(server.url(), "alice").without_proxies().build().unwrap();
    user.acquire("thing", "free", "busy").await.unwrap();
    let daemon = Daemon::start(client, all(), &KNOWN).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    let lines = daemon.lines("boskos_resources");
    for line in [
        "boskos_resources{state=\"busy\",type=\"thing\"} 1",
        "boskos_resources{state=\"free\",type=\"thing\"} 1",
        "boskos_resources{state=\"tombstone\",type=\"thing\"} 0",
        "boskos_resources{state=\"other\",type=\"thing\"} 1",
        "boskos_resources{state=\"dirty\",type=\"a<b>&\"} 1",
        "boskos_resources{state=\"free\",type=\"made\"} 0",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
    }
    // Seven states each, and one other.
    assert_eq!(lines.len(), 3 * 7 + 1);
    assert_eq!(
        daemon.lines("boskos_metrics_stale"),
        ["a<b>&", "made", "thing"].map(|t| format!("boskos_metrics_stale{{type=\"{t}\"}} 0"))
    );
    assert_eq!(daemon.lines("boskos_metrics_last_success_timestamp_seconds").len(), 3);

    let (status, head, body) = call(daemon.web, "GET", "/?type=thing", "").await;
    assert_eq!((status, head.contains("content-type: application/json\r")), (200, true), "{head}");
    let (_, _, expected) = call(server.address, "GET", "/metric?type=thing", "Connection: close\r\n").await;
    assert_eq!(body, expected);
    assert!(body.starts_with(r#"{"type":"thing","current":{"busy":1,"clean":1,"free":1},"owner":{"":2,"alice":1}"#));
    // It is asked for now, not every 30 s.
    user.release("thing1", "dirty").await.unwrap();
    assert!(
        call(daemon.web, "GET", "/any/path?x=1&type=%74hing", "Accept: text/html\r\n").await.2.contains(r#""dirty":1"#)
    );

    let page = daemon.page().await;
    assert!(page.contains("<tr><td>thing</td><td>1</td><td>0</td><td>0</td><td>1</td><td>0</td><td>0</td><td>0</td><td>1</td><td>3</td></tr>"), "{page}");
    assert!(page.contains("<td>a&lt;b&gt;&amp;</td>") && !page.contains("<b>"), "{page}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_in_the_known_words() {
    let server = Server::start(CONFIG).await;
    let daemon = Daemon::start(builder(&server.url()).build().unwrap(), all(), &KNOWN).await;
    for (method, path, headers, status, text) in [
        ("POST", "/?type=thing", "", 405, "only accepts GET request\n"),
        ("DELETE", "/", "Accept: text/html\r\n", 405, "only accepts GET request\n"),
        ("GET", "/", "", 400, "type must be set in the request.\n"),
        ("GET", "/?type=", "Accept: application/json\r\n", 400, "type must be set in the request.\n"),
        ("GET", "/?type=nothing", "", 404, "no available resource nothing, try again later.\n"),
    ] {
        let (found, head, body) = call(daemon.web, method, path, headers).await;
        assert_eq!((found, body.as_str()), (status, text), "{method} {path}");
        assert!(head.contains("content-type: text/plain; charset=utf-8") && head.contains("nosniff"), "{head}");
    }
    assert_eq!(call(daemon.web, "HEAD", "/", "").await.0, 405);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_counts_are_said_to_be_stale_and_not_repeated() {
    let mut server = Server::start(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&server.url()).clock(clock.clone()).build().unwrap();
    let daemon = Daemon::start(client, all(), &KNOWN).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    assert_eq!(daemon.lines("boskos_resources").len(), 3 * 7 + 1);
    let before = daemon.lines("boskos_metrics_last_success_timestamp_seconds");

    server.stop().await;
    // Its retries sleep on the clock too.
    let turning = tokio::spawn(async move {
        loop {
            hand.advance(Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    eventually("it is away", async || !daemon.readiness.is_ready()).await;
    assert_eq!(daemon.lines("boskos_resources"), Vec::<String>::new());
    assert!(daemon.lines("boskos_metrics_stale").iter().all(|line| line.ends_with(" 1")));
    assert!(daemon.lines("boskos_metrics_last_success_timestamp_seconds").len() == before.len());
    let page = daemon.page().await;
    assert!(page.contains("not up to date: the server is away: cannot reach http://"), "{page}");
    assert_eq!(page.matches("stale: last known at ").count(), 3, "{page}");
    assert!(!page.contains("<td>1</td>") && !page.contains("<td>0</td>"), "{page}");
    let (status, head, _) = call(daemon.web, "GET", "/?type=thing", "").await;
    assert_eq!((status, head.contains("retry-after")), (503, true));

    server.restart_with("resources: [{type: thing, state: dirty, names: [thing9]}]").await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    turning.abort();
    assert_eq!(daemon.lines("boskos_metrics_stale"), ["boskos_metrics_stale{type=\"thing\"} 0"]);
    assert!(
        daemon.lines("boskos_resources").contains(&"boskos_resources{state=\"dirty\",type=\"thing\"} 1".to_owned())
    );
    assert_eq!(daemon.lines("boskos_resources").len(), 7, "types that are gone are gone");
    assert_ne!(daemon.lines("boskos_metrics_last_success_timestamp_seconds"), before);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_stale_as_soon_as_the_server_is_found_to_be_away_though_no_refresh_is_due() {
    let server = Server::start(CONFIG).await;
    let brake = Brake::start(server.address).await;
    // It stands: nothing is refreshed, and nothing is too old.
    let (clock, hand) = Clock::manual();
    let client = builder(&brake.url()).clock(clock).timeout(Duration::from_secs(2)).build().unwrap();
    let daemon = Daemon::start(client, all(), &KNOWN).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    assert_eq!(daemon.lines("boskos_resources").len(), 3 * 7 + 1);
    let refreshes = brake.count("/api/v1/types");

    brake.stop();
    eventually("it is away", async || !daemon.readiness.is_ready()).await;
    assert_eq!(daemon.lines("boskos_resources"), Vec::<String>::new());
    assert_eq!(
        daemon.lines("boskos_metrics_stale"),
        ["a<b>&", "made", "thing"].map(|t| format!("boskos_metrics_stale{{type=\"{t}\"}} 1"))
    );
    assert_eq!(daemon.page().await.matches("stale: last known at ").count(), 3);
    assert_eq!(brake.count("/api/v1/types"), refreshes);

    brake.go_on();
    let turning = turning(&hand);
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    assert_eq!(daemon.lines("boskos_resources").len(), 3 * 7 + 1);
    turning.abort();
    daemon.stop().await;
}

#[tokio::test]
async fn counts_grow_stale_while_a_refresh_hangs() {
    let server = Server::start(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&server.url()).clock(clock.clone()).build().unwrap();
    let frame = Frame::assemble("boskos-metrics", client.clone(), Shutdown::new()).unwrap();
    frame.readiness.set_ready();
    let board = Board::new(KNOWN.map(State::from).to_vec(), clock, frame.readiness);
    let mut watcher = Watcher::new(client, frame.work, all(), board.clone());
    watcher.pass(&mut Pool::new(1, Shutdown::new())).await.unwrap();
    let collector = Collector::new(board).unwrap();
    let resources = || {
        collector
            .collect()
            .iter()
            .find(|family| family.name() == "boskos_resources")
            .map_or(0, |family| family.get_metric().len())
    };
    // Nobody passes any more: the scrape itself looks at the clock.
    hand.advance(Duration::from_secs(75));
    assert_eq!(resources(), 3 * 7 + 1);
    hand.advance(Duration::from_secs(1));
    assert_eq!(resources(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_every_thirty_seconds() {
    let server = Server::start(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&server.url()).clock(clock).build().unwrap();
    let daemon = Daemon::start(client, all(), &KNOWN).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    let user = boskos_client::Client::builder(server.url(), "alice").without_proxies().build().unwrap();
    user.acquire("thing", "free", "busy").await.unwrap();
    let busy = "boskos_resources{state=\"busy\",type=\"thing\"} 1".to_owned();
    hand.slept_on().await;
    hand.advance(Duration::from_secs(29));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!daemon.lines("boskos_resources").contains(&busy));
    hand.advance(Duration::from_secs(1));
    eventually("asked again", async || daemon.lines("boskos_resources").contains(&busy)).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_and_types_are_what_the_flags_say() {
    let server = Server::start(CONFIG).await;
    let client = builder(&server.url()).build().unwrap();
    let flags = TypeFlags { resource_type: Some("thing,nothing".to_owned()), ..TypeFlags::default() };
    let types = flags.select(client.clock()).unwrap();
    let daemon = Daemon::start(client, types, &["clean", "noSchedule"]).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    let mut lines = daemon.lines("boskos_resources");
    lines.sort();
    assert_eq!(
        lines,
        [
            "boskos_resources{state=\"clean\",type=\"nothing\"} 0",
            "boskos_resources{state=\"clean\",type=\"thing\"} 1",
            "boskos_resources{state=\"noSchedule\",type=\"nothing\"} 0",
            "boskos_resources{state=\"noSchedule\",type=\"thing\"} 0",
            "boskos_resources{state=\"other\",type=\"thing\"} 2",
        ]
    );
    assert!(daemon.page().await.contains("<th>clean</th><th>noSchedule</th><th>other</th><th>all</th>"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_servers_tell_of_the_types_they_are_asked_for() {
    let old = OlderServer::start(|line| match line.contains("/metric?type=thing") {
        true => (200, r#"{"type":"thing","current":{"free":2},"owner":{"":2}}"#.to_owned()),
        false => (200, String::new()),
    })
    .await;
    let client = builder(&old.url()).build().unwrap();
    let daemon = Daemon::start(client.clone(), TypeSelection::fixed(["thing".into()]), &KNOWN).await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    assert!(daemon.lines("boskos_resources").contains(&"boskos_resources{state=\"free\",type=\"thing\"} 2".to_owned()));
    let (status, _, body) = call(daemon.web, "GET", "/?type=thing", "").await;
    assert_eq!((status, body.as_str()), (200, r#"{"type":"thing","current":{"free":2},"owner":{"":2}}"#));
    daemon.stop().await;
    // Without types it cannot know them; the answer of such a server is empty and no JSON.
    let daemon = Daemon::start(client, all(), &KNOWN).await;
    eventually("it says so", async || daemon.readiness.reason().is_some_and(|reason| reason.contains("/api/v1/types")))
        .await;
    daemon.stop().await;
}
