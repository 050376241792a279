//! Servers that are older than `/api/v1` and `wait`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use boskos_client::{Clock, Error, Filter};
use boskos_testkit::{Answer, Stub, eventually};

use crate::harness::builder;

const GRANT: &str =
    r#"{"type":"thing","name":"thing1","state":"busy","owner":"me","lastupdate":"2006-01-02T15:04:05Z","userdata":{}}"#;
const TEXT: &str = "text/plain; charset=utf-8";

fn none() -> Answer {
    (404, TEXT, "Acquire failed: no available resource thing, try again later.\n".to_owned())
}

/// Knows the contract alone: grants at the `n`th acquire, 200 and nothing on what it does not know.
async fn older(granted_at: usize) -> Stub {
    let acquires = AtomicUsize::new(0);
    Stub::start(move |request| match request.path() {
        "/acquire" if acquires.fetch_add(1, Ordering::SeqCst) + 1 == granted_at => (200, TEXT, GRANT.to_owned()),
        "/acquire" => none(),
        _ => (200, TEXT, String::new()),
    })
    .await
}

#[tokio::test]
async fn it_is_asked_at_most_once_in_three_seconds_per_waiter() {
    let stub = older(4).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&stub.url(), "me").poll_pace(Duration::from_secs(3)).clock(clock).build().unwrap();
    let waiter = client.clone();
    let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "free", "busy", None).await });
    for asked in 1..4 {
        hand.slept_on().await;
        assert_eq!(stub.count("/acquire"), asked);
        hand.advance(Duration::from_millis(2_999));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(stub.count("/acquire"), asked, "too soon");
        hand.advance(Duration::from_millis(1));
        eventually("the next question", async || stub.count("/acquire") > asked).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap().name.as_str(), "thing1");
    let heads: Vec<_> =
        stub.seen.lock().iter().map(|request| request.head.lines().next().unwrap().to_owned()).collect();
    assert!(heads[0].contains("request_id=") && heads.iter().all(|head| *head == heads[0]), "{heads:?}");
}

#[tokio::test]
async fn the_wait_ends_in_time() {
    let stub = older(0).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&stub.url(), "me").poll_pace(Duration::from_secs(3)).clock(clock).build().unwrap();
    let waiter = client.clone();
    let patience = Some(Duration::from_secs(4));
    let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "free", "busy", patience).await });
    hand.slept_on().await;
    hand.advance(Duration::from_secs(3));
    eventually("the second question", async || stub.count("/acquire") == 2).await;
    hand.slept_on().await;
    hand.advance(Duration::from_secs(1));
    assert!(matches!(waiting.await.unwrap(), Err(Error::NotFound { .. })));
    assert_eq!(stub.count("/acquire"), 2);
}

#[tokio::test]
async fn refused_credentials_mean_again_at_the_poll_pace() {
    let acquires = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&acquires);
    let stub = Stub::start(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => (401, TEXT, "who are you?\n".to_owned()),
        _ => (200, TEXT, GRANT.to_owned()),
    })
    .await;
    let client = builder(&stub.url(), "me").poll_pace(Duration::from_millis(10)).build().unwrap();
    client.acquire_wait("thing", "free", "busy", None).await.unwrap();
    assert_eq!(acquires.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_proxy_says_of_a_path_without_a_server_ends_no_wait_before_its_time() {
    let acquires = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&acquires);
    let lost = || (404, "text/html", "<html>404 Not Found</html>\n".to_owned());
    let stub = Stub::start(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => none(),
        1..=7 => lost(),
        _ => (200, TEXT, GRANT.to_owned()),
    })
    .await;
    let (clock, hand) = Clock::manual();
    let client = builder(&stub.url(), "me").poll_pace(Duration::from_millis(10)).clock(clock).build().unwrap();
    let waiter = client.clone();
    let patience = Some(Duration::from_secs(600));
    let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "free", "busy", patience).await });
    boskos_testkit::eventually("it is granted", async || {
        hand.advance(Duration::from_millis(500));
        waiting.is_finished()
    })
    .await;
    assert_eq!(waiting.await.unwrap().unwrap().name.as_str(), "thing1");
    // Before the server was ever there it is a wrong URL.
    let shop = Stub::start(move |_| lost()).await;
    let client = builder(&shop.url(), "me").poll_pace(Duration::from_millis(10)).build().unwrap();
    let error = client.acquire_wait("thing", "free", "busy", patience).await.unwrap_err();
    assert!(matches!(error, Error::NotBoskos { .. }), "{error}");
}

#[tokio::test]
async fn it_is_told_from_something_else_at_that_url() {
    let older = older(0).await;
    let client = builder(&older.url(), "me").build().unwrap();
    for error in [
        client.list(&Filter::default()).await.unwrap_err(),
        client.watch(&Filter::default(), Duration::from_secs(1)).await.unwrap_err(),
        client.types().await.unwrap_err(),
        client.lifecycles().await.unwrap_err(),
        client.queue().await.unwrap_err(),
        client.info().await.unwrap_err(),
        client.resource("thing1").await.unwrap_err(),
        client.history("thing1", 1).await.unwrap_err(),
        client.config_diff(Vec::new()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::OlderServer { .. }), "{error}");
    }
    let shop = Stub::start(|_| (200, "text/html", "<h1>Welcome</h1>".to_owned())).await;
    let client = builder(&shop.url(), "me").build().unwrap();
    let errors = [client.types().await.unwrap_err(), client.acquire("t", "free", "busy").await.unwrap_err()];
    assert!(errors.iter().all(|error| matches!(error, Error::NotBoskos { .. })), "{errors:?}");
}

#[tokio::test]
async fn calls_are_tried_again_while_the_server_is_out_of_order_but_not_for_ever() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let stub = Stub::start(move |request| match request.path() {
        "/release" if counter.fetch_add(1, Ordering::SeqCst) < 2 => {
            (503, TEXT, "the store cannot be reached\n".to_owned())
        }
        _ => (200, TEXT, String::new()),
    })
    .await;
    let client = builder(&stub.url(), "me").build().unwrap();
    client.release("thing1", "free").await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);

    // It has no history that could tell what became of a release: that is sent again.
    let broken = Stub::start(|request| match request.path() {
        "/release" | "/acquire" => (500, TEXT, "no".to_owned()),
        _ => (200, TEXT, String::new()),
    })
    .await;
    let client = builder(&broken.url(), "me").build().unwrap();
    assert!(matches!(client.release("thing1", "free").await, Err(Error::Unavailable { status: 500, .. })));
    assert_eq!(broken.count("/release"), usize::try_from(boskos_client::retry::ATTEMPTS).unwrap());
    // A grant may be behind a 500: asked once more it could be two.
    assert!(client.acquire("thing", "free", "busy").await.is_err());
    assert_eq!(broken.count("/acquire"), 1);
}

#[tokio::test]
async fn a_server_that_cannot_decide_for_a_while_ends_no_wait_before_its_time() {
    let calls = AtomicUsize::new(0);
    // A change of leader, or a full disk, for a minute and more.
    let stub = Stub::start(move |request| match request.path() {
        "/acquire" if calls.fetch_add(1, Ordering::SeqCst) < 60 => (503, TEXT, "not the leader\n".to_owned()),
        "/acquire" => (200, TEXT, GRANT.to_owned()),
        _ => (200, TEXT, String::new()),
    })
    .await;
    let (clock, hand) = Clock::manual();
    let client = builder(&stub.url(), "me").poll_pace(Duration::from_secs(3)).clock(clock).build().unwrap();
    let turning = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            hand.advance(Duration::from_millis(100));
        }
    });
    let patience = Some(Duration::from_secs(600));
    assert_eq!(client.acquire_wait("thing", "free", "busy", patience).await.unwrap().name.as_str(), "thing1");

    let halted = Stub::start(|_| (503, TEXT, "not the leader\n".to_owned())).await;
    let client = builder(&halted.url(), "me").clock(client.clock().clone()).build().unwrap();
    let short = client.acquire_wait("thing", "free", "busy", Some(Duration::from_secs(30))).await;
    assert!(matches!(short, Err(Error::Unavailable { status: 503, .. })), "{short:?}");
    turning.abort();
}

#[tokio::test]
async fn a_redirect_to_tls_is_refused_in_clear_words() {
    let stub = Stub::start(|_| (307, "text/plain\r\nLocation: https://127.0.0.1:1/x", String::new())).await;
    let client = builder(&stub.url(), "me").build().unwrap();
    let error = client.acquire("thing", "free", "busy").await.unwrap_err();
    assert!(matches!(error, Error::NotBoskos { .. }), "{error:?}");
    assert!(error.to_string().contains("redirects to https://127.0.0.1: name an https URL"), "{error}");
}
