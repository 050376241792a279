//! Every verb, on every store.

use std::time::Duration;

use boskos_client::{Filter, GoDuration, LeaseOptions, Lost, UserDataPatch};
use boskos_testkit::{PATIENCE, Server, eventually, look};

use crate::harness::{CONFIG, kind};

async fn on_each_store(test: impl AsyncFn(&Server)) {
    for mut server in [Server::start(CONFIG).await, Server::start_kept(CONFIG).await] {
        println!("on {}", server.client("me").info().await.unwrap().store);
        test(&server).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_goes_through_its_life() {
    on_each_store(async |server| {
        let client = server.client("me");
        let resource = client.acquire("thing", "free", "busy").await.unwrap();
        assert_eq!((resource.name.as_str(), resource.state.as_str()), ("thing1", "busy"));
        assert_eq!(client.held(), [resource]);

        let patch: UserDataPatch = [("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)].into();
        client.update("thing1", "busy", &patch).await.unwrap();
        let user_data = client.resource("thing1").await.unwrap().user_data;
        assert_eq!(user_data.as_json(), r#"{"a":"1"}"#);
        assert_eq!(client.held()[0].user_data, user_data);
        client.update("thing1", "busy", &[("a".to_owned(), None)].into()).await.unwrap();
        assert!(client.resource("thing1").await.unwrap().user_data.is_empty());

        client.release("thing1", "dirty").await.unwrap();
        assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
        assert!(client.held().is_empty());
    })
    .await;
}

#[tokio::test]
async fn refusals_have_types() {
    on_each_store(async |server| {
        let (me, other) = (server.client("me"), server.client("other"));
        me.acquire("other", "free", "busy").await.unwrap();
        let none = UserDataPatch::new();
        for (error, expected) in [
            (me.acquire("other", "free", "busy").await.unwrap_err(), "NotFound"),
            (me.acquire("nothing", "free", "busy").await.unwrap_err(), "TypeNotFound"),
            (me.acquire("", "free", "busy").await.unwrap_err(), "BadRequest"),
            (me.acquire_by_state("free", "busy", &["other1".into()]).await.unwrap_err(), "NotFound"),
            (me.release("nothing", "free").await.unwrap_err(), "NotFound"),
            (other.release("other1", "free").await.unwrap_err(), "NotOwner"),
            (other.update("other1", "busy", &none).await.unwrap_err(), "NotOwner"),
            (me.update("other1", "cleaning", &none).await.unwrap_err(), "WrongState"),
            (me.metric("nothing").await.unwrap_err(), "NotFound"),
            (me.resource("nothing").await.unwrap_err(), "NotFound"),
            (me.history("nothing", 1).await.unwrap_err(), "NotFound"),
            (me.config_diff(b"resources: 1".to_vec()).await.unwrap_err(), "BadRequest"),
        ] {
            assert_eq!(kind(&error), expected, "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn several_are_taken_by_name_and_all_go_back() {
    on_each_store(async |server| {
        let client = server.client("me");
        let names = ["thing3".into(), "thing1".into()];
        let taken = client.acquire_by_state("free", "busy", &names).await.unwrap();
        assert_eq!(taken.iter().map(|resource| resource.name.as_str()).collect::<Vec<_>>(), ["thing3", "thing1"]);
        client.update_all("busy").await.unwrap();
        client.sync_all().await.unwrap();
        client.release_all("dirty").await.unwrap();
        assert!(client.held().is_empty());
        let dirty = Filter { states: vec!["dirty".into()], ..Filter::default() };
        assert_eq!(client.list(&dirty).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn reset_tells_whose_they_were() {
    on_each_store(async |server| {
        let client = server.client("me");
        client.acquire("thing", "free", "busy").await.unwrap();
        let taken = client.reset("thing", "busy", GoDuration::ZERO, "dirty").await.unwrap();
        assert_eq!(taken, [("thing1".into(), "me".into())].into());
        assert_eq!(look(&client, "thing1").await.0, "dirty");
        assert!(client.reset("nothing", "busy", GoDuration::ZERO, "dirty").await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    on_each_store(async |server| {
        let client = server.client("me");
        client.acquire("thing", "free", "busy").await.unwrap();
        assert_eq!(client.metric("thing").await.unwrap().current["free"], 2);
        let types: Vec<_> = client.types().await.unwrap().into_iter().map(|metric| metric.r#type).collect();
        assert_eq!(types, ["other", "thing"]);
        assert!(client.lifecycles().await.unwrap().is_empty());
        assert!(client.queue().await.unwrap().is_empty());
        assert_eq!(client.info().await.unwrap().version, env!("CARGO_PKG_VERSION"));
        let newest = client.history("thing1", 5).await.unwrap().remove(0);
        assert_eq!(newest.to.unwrap().owner, "me");
        let difference = client.config_diff(b"resources: [{type: new, names: [new1]}]".to_vec()).await.unwrap();
        assert_eq!((difference.add.names, difference.delete.count), (vec!["new1".to_owned()], 4));
    })
    .await;
}

#[tokio::test]
async fn a_watch_answers_when_something_turns_up() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let resource = client.acquire("thing", "free", "busy").await.unwrap();
    let dirty = Filter { types: vec!["thing".into()], states: vec!["dirty".into()], owners: vec![None] };
    assert!(client.watch(&dirty, Duration::from_millis(10)).await.unwrap().is_empty());
    let (watcher, filter) = (client.clone(), dirty.clone());
    let watch = tokio::spawn(async move { watcher.watch(&filter, Duration::from_secs(50)).await });
    client.release(resource.name.as_str(), "dirty").await.unwrap();
    let found = watch.await.unwrap().unwrap();
    assert_eq!(found[0].name, resource.name);
}

#[tokio::test]
async fn a_lease_beats_and_goes_back_when_dropped() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let options = LeaseOptions { period: Duration::from_millis(5), ..LeaseOptions::dropped_into("dirty") };
    let lease = client.lease(client.acquire("thing", "free", "busy").await.unwrap(), options.clone());
    let before = lease.resource().last_update;
    eventually("a heartbeat", || async { client.resource("thing1").await.unwrap().last_update > before }).await;
    drop(lease);
    client.settled().await;
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));

    // A heartbeat later than two periods would look at the history first.
    let options = LeaseOptions { period: Duration::from_secs(1), ..options };
    let lease = client.lease(client.acquire("thing", "free", "busy").await.unwrap(), options);
    client.reset("thing", "busy", GoDuration::ZERO, "dirty").await.unwrap();
    let lost = tokio::time::timeout(PATIENCE, lease.lost()).await.unwrap();
    assert!(matches!(lost, Lost::Refused(_)), "{lost}");
    let name = lease.name();
    let error = lease.release("free").await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert_eq!(look(&client, name.as_str()).await.0, "dirty");
}
