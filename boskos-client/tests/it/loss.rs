//! Nothing leaks: lost answers, cancelled calls, lost leases.

use std::time::Duration;

use boskos_client::{Clock, Error, Filter, GoDuration, LeaseOptions, Lost};
use boskos_testkit::{Loss, PATIENCE, Proxy, Server, eventually, look, turning};

use crate::harness::{CONFIG, builder, client};

async fn owned(server: &Server) -> usize {
    let all = server.client("looker").list(&Filter::default()).await.unwrap();
    all.iter().filter(|resource| resource.owner.is_some()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_whose_answer_was_lost_is_done() {
    let server = Server::start(CONFIG).await;
    let proxy = Proxy::losing(server.address, "/release", Loss::Answer, 1).await;
    let client = client(&proxy.url(), "me");
    client.acquire("thing", "free", "busy").await.unwrap();
    client.release("thing1", "dirty").await.unwrap();
    assert!(proxy.is_done());
    assert!(client.held().is_empty());
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
    // One that was never ours is still refused.
    assert!(matches!(client.release("thing2", "dirty").await, Err(Error::NotOwner { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_whose_answer_was_lost_frees_nothing_that_a_replica_was_granted_meanwhile() {
    for is_granted_here in [true, false] {
        let server = Server::start(CONFIG).await;
        let proxy = Proxy::losing(server.address, "/release", Loss::Answer, 1).await;
        let (clock, hand) = Clock::manual();
        let client = builder(&proxy.url(), "Janitor").clock(clock).build().unwrap();
        let replica = server.client("Janitor");
        let granted_to = if is_granted_here { &client } else { &replica };
        granted_to.acquire("thing", "free", "cleaning").await.unwrap();
        let releaser = client.clone();
        let releasing = tokio::spawn(async move { releaser.release("thing1", "free").await });
        eventually("done, and the answer lost", async || proxy.is_done()).await;
        hand.slept_on().await;
        replica.acquire("thing", "free", "x").await.unwrap();
        let taken = replica.acquire_by_state("free", "cleaning", &["thing1".into()]).await.unwrap();
        hand.advance(Duration::from_secs(60));
        tokio::time::timeout(PATIENCE, releasing).await.unwrap().unwrap().unwrap();
        assert_eq!(replica.resource("thing1").await.unwrap(), taken[0], "it is the replica's");
        assert!(client.held().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_outlasts_an_outage_at_its_release_and_at_its_drop() {
    for is_dropped in [false, true] {
        let mut server = Server::start_kept(CONFIG).await;
        let (clock, hand) = Clock::manual();
        let client = builder(&server.url(), "me").clock(clock.clone()).build().unwrap();
        let lease =
            client.lease(client.acquire("thing", "free", "busy").await.unwrap(), LeaseOptions::dropped_into("dirty"));
        server.stop().await;
        let turning = turning(&hand);
        let releasing = tokio::spawn(async move {
            match is_dropped {
                true => {
                    drop(lease);
                    Ok(())
                }
                false => lease.release("dirty").await,
            }
        });
        // Far more than one call tries for.
        eventually("a minute", async || clock.mono().since_start() > Duration::from_secs(60)).await;
        assert_eq!(client.held().len(), 1);
        server.restart().await;
        tokio::time::timeout(PATIENCE, releasing).await.unwrap().unwrap().unwrap();
        tokio::time::timeout(PATIENCE, client.settled()).await.unwrap();
        assert_eq!(look(&server.client("looker"), "thing1").await, ("dirty".into(), String::new()));
        assert!(client.held().is_empty());
        turning.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_given_back_is_left_to_the_reaper_in_the_end() {
    let mut server = Server::start(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&server.url(), "me").clock(clock).build().unwrap();
    let lease =
        client.lease(client.acquire("thing", "free", "busy").await.unwrap(), LeaseOptions::dropped_into("dirty"));
    server.stop().await;
    let releasing = tokio::spawn(lease.release("free"));
    let turning = turning(&hand);
    hand.advance(Duration::from_secs(19 * 60));
    let released = tokio::time::timeout(PATIENCE, releasing).await.unwrap().unwrap();
    assert!(matches!(released, Err(Error::LeaseLost { .. })), "{released:?}");
    assert!(client.held().is_empty());
    turning.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_release_goes_on_whenever_it_is_cancelled() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    for step in 0..40 {
        let resource = client.acquire("thing", "free", "busy").await.unwrap();
        let lease = client.lease(resource, LeaseOptions { dropped_into: None, ..LeaseOptions::default() });
        // From before the call is sent to after it is answered.
        tokio::time::timeout(Duration::from_micros(step * 50), lease.release("free")).await.ok();
        client.settled().await;
        assert_eq!(owned(&server).await, 0, "cancelled after {} µs", step * 50);
        assert!(client.held().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquire_that_is_cut_is_asked_again_under_its_id_and_leaks_nothing() {
    for mut server in [Server::start(CONFIG).await, Server::start_kept(CONFIG).await] {
        let proxy = Proxy::losing(server.address, "/acquire", Loss::Connection, 2).await;
        let client = client(&proxy.url(), "me");
        // Nothing matches while the calls are cut, so that no grant is on its way at that moment.
        let waiter = client.clone();
        let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "clean", "busy", None).await });
        eventually("two cuts", async || proxy.is_done()).await;
        let other = server.client("other");
        eventually("a third call", async || other.queue().await.unwrap().iter().any(|place| place.parked)).await;
        assert_eq!(other.queue().await.unwrap().len(), 1, "one id, one place");
        other.acquire("thing", "free", "busy").await.unwrap();
        other.release("thing1", "clean").await.unwrap();
        let granted = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
        assert_eq!(granted.name.as_str(), "thing1");
        assert_eq!(owned(&server).await, 1);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_acquire_gives_back_whenever_it_is_cancelled() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    for step in 0..60 {
        let call = client.acquire("thing", "free", "busy");
        // From before the call is sent to after it is answered.
        match tokio::time::timeout(Duration::from_micros(step * 50), call).await {
            Ok(granted) => client.release(granted.unwrap().name.as_str(), "free").await.unwrap(),
            Err(_) => client.settled().await,
        }
        assert_eq!(owned(&server).await, 0, "cancelled after {} µs", step * 50);
        assert!(client.held().is_empty());
    }
    let names = ["thing1".into(), "thing2".into()];
    for step in 0..40 {
        let call = client.acquire_by_state("free", "busy", &names);
        match tokio::time::timeout(Duration::from_micros(step * 50), call).await {
            Ok(granted) => {
                granted.unwrap();
                client.release_all("free").await.unwrap();
            }
            Err(_) => client.settled().await,
        }
        assert_eq!(owned(&server).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_ends_its_parked_call_at_once() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let waiter = client.clone();
    let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "clean", "busy", None).await });
    eventually("a parked call", async || client.queue().await.unwrap().iter().any(|place| place.parked)).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    tokio::time::timeout(Duration::from_secs(20), client.settled()).await.unwrap();
    assert!(client.queue().await.unwrap().iter().all(|place| !place.parked));
    assert_eq!(owned(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_survives_a_server_that_restarts() {
    let mut server = Server::start_kept(CONFIG).await;
    let client = server.client("me");
    let waiter = client.clone();
    let waiting = tokio::spawn(async move { waiter.acquire_wait("thing", "clean", "busy", None).await });
    eventually("a parked call", async || client.queue().await.unwrap().iter().any(|place| place.parked)).await;
    server.restart().await;
    client.acquire("thing", "free", "busy").await.unwrap();
    client.release("thing1", "clean").await.unwrap();
    let granted = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(granted.name.as_str(), "thing1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_lost_once_no_heartbeat_got_through_for_too_long_and_then_sends_nothing() {
    let mut server = Server::start_kept(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let client = builder(&server.url(), "me").clock(clock).build().unwrap();
    let resource = client.acquire("thing", "free", "busy").await.unwrap();
    let lease = client.lease(resource, LeaseOptions::dropped_into("dirty"));
    server.stop().await;
    hand.advance(Duration::from_secs(20 * 60 - 1));
    assert!(!lease.is_lost());
    hand.advance(Duration::from_secs(1));
    let lost = tokio::time::timeout(PATIENCE, lease.lost()).await.unwrap();
    assert!(matches!(lost, Lost::Silent { .. }), "{lost}");
    server.restart().await;
    assert!(matches!(lease.release("free").await, Err(Error::LeaseLost { .. })));
    client.settled().await;
    assert_eq!(look(&server.client("looker"), "thing1").await, ("busy".into(), "me".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_was_stopped_notices_that_a_replica_of_its_name_took_over() {
    let server = Server::start_kept(CONFIG).await;
    let (clock, hand) = Clock::manual();
    let stopped = builder(&server.url(), "Janitor").clock(clock).build().unwrap();
    let resource = stopped.acquire("other", "free", "cleaning").await.unwrap();
    let lease = stopped.lease(resource, LeaseOptions::dropped_into("dirty"));

    // Meanwhile, as if it were stopped, it is reaped and taken over by another one of the same name.
    let replica = server.client("Janitor");
    replica.reset("other", "cleaning", GoDuration::ZERO, "dirty").await.unwrap();
    replica.acquire("other", "dirty", "cleaning").await.unwrap();
    let before = replica.resource("other1").await.unwrap();

    hand.advance(Duration::from_secs(19 * 60));
    assert!(matches!(lease.release("free").await, Err(Error::LeaseLost { .. })));
    assert_eq!(replica.resource("other1").await.unwrap(), before, "nothing was sent for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_holder_gives_back() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let holder = client.clone();
    let job = tokio::spawn(async move {
        let resource = holder.acquire("thing", "free", "busy").await.unwrap();
        let _lease = holder.lease(resource, LeaseOptions::dropped_into("dirty"));
        panic!("as planned");
    });
    assert!(job.await.unwrap_err().is_panic());
    client.settled().await;
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
}
