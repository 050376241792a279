//! The pass of the cleaner.

use std::{collections::BTreeSet, time::Instant};

use boskos_client::Filter;
use boskos_testkit::{Logs, Proxy, eventually, look};

use crate::scene::{cleaner, cleaner_client, find, make, note, pass, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_deleted_and_its_accounts_are_dirty() {
    let server = server(4).await;
    let mason = server.client("mason");
    let (cluster, parts) = make(&mason, 2, "toBeDeleted").await;
    let (kept, kept_parts) = make(&mason, 1, "free").await;
    let (mut cleaner, frame) = cleaner(&cleaner_client(&server));
    pass(&mut cleaner).await;
    eventually("gone", async || find(&mason, &cluster).await.is_none()).await;
    for part in &parts {
        assert_eq!(look(&mason, part.as_str()).await, ("dirty".into(), String::new()));
    }
    assert_eq!(look(&mason, kept.as_str()).await, ("free".into(), String::new()));
    assert_eq!(look(&mason, kept_parts[0].as_str()).await, (kept.to_string(), String::new()));
    assert_eq!(look(&mason, "fixed").await, ("toBeDeleted".into(), String::new()), "its type has no lifecycle");
    assert_eq!(frame.work.done("cluster"), 1);
    assert!(frame.client.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_somebody_elses_or_elsewhere_hold_up_nothing() {
    let server = server(4).await;
    let (mason, user) = (server.client("mason"), server.client("user"));
    let (cluster, parts) = make(&mason, 3, "toBeDeleted").await;
    user.acquire_by_state(cluster.as_str(), "busy", &parts[..1]).await.unwrap();
    user.acquire_by_state(cluster.as_str(), "x", &parts[1..2]).await.unwrap();
    user.release(parts[1].as_str(), "elsewhere").await.unwrap();
    let (mut cleaner, _frame) = cleaner(&cleaner_client(&server));
    pass(&mut cleaner).await;
    eventually("gone", async || find(&mason, &cluster).await.is_none()).await;
    assert_eq!(look(&mason, parts[0].as_str()).await, ("busy".into(), "user".into()));
    assert_eq!(look(&mason, parts[1].as_str()).await, ("elsewhere".into(), String::new()));
    assert_eq!(look(&mason, parts[2].as_str()).await, ("dirty".into(), String::new()));
}

#[tokio::test]
async fn one_that_cannot_be_read_stays_untouched_is_reported_once_and_goes_once_it_is_mended() {
    let server = server(3).await;
    let mason = server.client("mason");
    let secret = "{unreadable: c4n4ry}";
    let (bad, parts) = make(&mason, 1, "aside").await;
    mason.acquire_by_state("aside", "cleaning", std::slice::from_ref(&bad)).await.unwrap();
    note(&mason, &bad, secret).await;
    mason.release(bad.as_str(), "toBeDeleted").await.unwrap();
    let (good, _) = make(&mason, 1, "toBeDeleted").await;
    let before = find(&mason, &bad).await.unwrap();

    let logs = Logs::capture();
    let (mut cleaner, _frame) = cleaner(&cleaner_client(&server));
    for _ in 0..3 {
        pass(&mut cleaner).await;
    }
    eventually("the other is gone", async || find(&mason, &good).await.is_none()).await;
    assert_eq!(find(&mason, &bad).await.unwrap(), before);
    let said = logs.with("cannot be read");
    assert!(said.len() == 1 && said[0].starts_with("ERROR") && said[0].contains(bad.as_str()), "{said:?}");
    assert!(logs.with("c4n4ry").is_empty());

    mason.acquire_by_state("toBeDeleted", "cleaning", std::slice::from_ref(&bad)).await.unwrap();
    note(&mason, &bad, &format!("[{}]", parts[0])).await;
    mason.release(bad.as_str(), "toBeDeleted").await.unwrap();
    pass(&mut cleaner).await;
    eventually("gone", async || find(&mason, &bad).await.is_none()).await;
    assert_eq!(look(&mason, parts[0].as_str()).await.0, "dirty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_are_gone_with_a_handful_of_calls_each() {
    const COUNT: usize = 2_000;
    let server = server(COUNT).await;
    let mason = server.client("mason");
    let mut clusters = BTreeSet::new();
    for _ in 0..COUNT {
        clusters.insert(make(&mason, 1, "toBeDeleted").await.0);
    }
    let (mut cleaner, frame) = cleaner(&cleaner_client(&server));
    let began = Instant::now();
    pass(&mut cleaner).await;
    let took = began.elapsed();
    eventually("all gone", async || {
        let left = mason.list(&Filter { types: vec!["cluster".into()], ..Filter::default() }).await.unwrap();
        left.iter().all(|resource| !clusters.contains(&resource.name))
    })
    .await;
    assert_eq!(frame.work.done("cluster"), COUNT as u64);
    let dirty = Filter { types: vec!["account".into()], states: vec!["dirty".into()], owners: vec![None] };
    assert_eq!(mason.list(&dirty).await.unwrap().len(), COUNT);
    // 5 s is the bound of an optimized build on an idle machine.
    println!("{COUNT} took {took:?}");
    assert!(took.as_secs() < 60, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_grow_with_the_clusters_and_not_with_their_square() {
    for count in [1, 40] {
        let server = server(count).await;
        let mason = server.client("mason");
        for _ in 0..count {
            make(&mason, 1, "toBeDeleted").await;
        }
        let proxy = Proxy::start(server.address).await;
        let client = boskos_client::Client::builder(proxy.url(), "cleaner").without_proxies().build().unwrap();
        let (mut cleaner, _frame) = cleaner(&client);
        pass(&mut cleaner).await;
        // Take it, take its part, give that back, forget it, give itself back.
        assert_eq!(proxy.posts(), 5 * count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cleaners_share_the_work_and_disturb_nothing() {
    let server = server(100).await;
    let mason = server.client("mason");
    for _ in 0..100 {
        make(&mason, 1, "toBeDeleted").await;
    }
    let (mut one, frame_one) = cleaner(&cleaner_client(&server));
    let (mut two, frame_two) = cleaner(&cleaner_client(&server));
    let logs = Logs::capture();
    tokio::join!(pass(&mut one), pass(&mut two));
    assert_eq!(frame_one.work.done("cluster") + frame_two.work.done("cluster"), 100);
    let dirty = Filter { types: vec!["account".into()], states: vec!["dirty".into()], owners: vec![None] };
    assert_eq!(mason.list(&dirty).await.unwrap().len(), 100);
    assert_eq!(logs.with("WARN"), Vec::<String>::new());
}
