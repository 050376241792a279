//! A server that is away for a while amid work.

use std::{collections::BTreeSet, time::Duration};

use boskos_cleaner::OWNER;
use boskos_client::{
    Clock, Filter,
    frame::{Pass as _, Pool, Progress},
};
use boskos_runtime::signal::Shutdown;
use boskos_testkit::{Server, eventually, turning};

use crate::scene::{cleaner, config, make};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_hand_is_given_back_and_taken_apart_when_it_is_there_again() {
    const COUNT: usize = 60;
    let mut server = Server::start_kept(&config(COUNT)).await;
    let mason = server.client("mason");
    let mut clusters = BTreeSet::new();
    for _ in 0..COUNT {
        clusters.insert(make(&mason, 1, "toBeDeleted").await.0);
    }
    let (clock, hand) = Clock::manual();
    let client = server.builder(OWNER).clock(clock.clone()).build().unwrap();
    let (mut cleaner, frame) = cleaner(&client);
    let mut pool = Pool::new(15, Shutdown::new());
    cleaner.pass(&mut pool).await.unwrap();
    eventually("amid it", async || frame.work.done("cluster") >= 5).await;
    server.stop().await;
    let turning = turning(&hand);
    let minute = clock.mono().saturating_add(Duration::from_secs(60));
    eventually("a minute", async || clock.mono() > minute).await;
    server.restart().await;
    pool.idle().await;
    client.settled().await;
    assert!(client.held().is_empty(), "{:?}", client.held());
    // What failed is left alone for a while; it may be all that there is.
    hand.advance(Duration::from_secs(300));
    while cleaner.pass(&mut pool).await.unwrap() == Progress::Did {
        pool.idle().await;
        hand.advance(Duration::from_secs(300));
    }
    let clusters_left = async || {
        let all = mason.list(&Filter::default()).await.unwrap();
        all.into_iter().filter(|resource| clusters.contains(&resource.name)).collect::<Vec<_>>()
    };
    let left = clusters_left().await;
    assert!(left.iter().all(|resource| resource.state.as_str() == "tombstone"), "{left:?}");
    eventually("deleted by the server", async || clusters_left().await.is_empty()).await;
    let all = mason.list(&Filter::default()).await.unwrap();
    assert!(all.iter().all(|resource| resource.owner.is_none()), "{all:?}");
    let dirty = all.iter().filter(|resource| resource.state.as_str() == "dirty").count();
    assert_eq!(dirty, COUNT, "all parts");
    turning.abort();
}
