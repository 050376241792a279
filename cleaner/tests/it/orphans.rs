//! Parts whose composite is gone.

use boskos_client::{ResourceName, ResourceType};
use boskos_testkit::{Server, look};

use crate::scene::{cleaner, cleaner_client, make, pass, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_what_is_gone_are_dirty_and_all_other_states_stay() {
    let server = server(6).await;
    let mason = server.client("mason");
    // Deleted by somebody who knows nothing of parts.
    let (gone, orphans) = make(&mason, 2, "free").await;
    mason.acquire_by_state("free", "x", std::slice::from_ref(&gone)).await.unwrap();
    mason.release(gone.as_str(), "tombstone").await.unwrap();
    let (alive, parts) = make(&mason, 1, "free").await;
    // Of a composite that had a name of its own.
    let named = mason.acquire("account", "free", "leased").await.unwrap().name;
    mason.release(named.as_str(), "my-cluster").await.unwrap();
    // A state of the user's.
    let user = server.client("user");
    let aside = user.acquire("account", "free", "leased").await.unwrap().name;
    user.release(aside.as_str(), "noSchedule").await.unwrap();
    boskos_testkit::eventually("gone", async || mason.resource(gone.as_str()).await.is_err()).await;

    let (mut cleaner, frame) = cleaner(&cleaner_client(&server));
    pass(&mut cleaner).await;
    let stands = async |name: &ResourceName| look(&mason, name.as_str()).await;
    for orphan in orphans.iter().chain([&named]) {
        assert_eq!(stands(orphan).await, ("dirty".into(), String::new()), "{orphan}");
    }
    assert_eq!(stands(&parts[0]).await, (alive.to_string(), String::new()));
    assert_eq!(stands(&aside).await, ("noSchedule".into(), String::new()));
    assert_eq!(stands(&alive).await, ("free".into(), String::new()));
    assert!(frame.client.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_states_are_no_names_even_if_they_look_like_one() {
    let state = "0b8a3e52-5a63-4e2f-9f0f-0d8a3c1a2b3c";
    let config = format!("resources: [{{type: odd, state: {state}, min-count: 1, max-count: 1}}]");
    let server = Server::start(&config).await;
    let client = cleaner_client(&server);
    let first = async || client.list(&Default::default()).await.unwrap();
    boskos_testkit::eventually("made", async || first().await.len() == 1).await;
    let (mut cleaner, _frame) = cleaner(&client);
    pass(&mut cleaner).await;
    let all = first().await;
    assert_eq!((all[0].r#type.clone(), all[0].state.as_str()), (ResourceType::from("odd"), state));
}
