//! `requeue`.

use boskos_testkit::{Loss, Proxy, Server, eventually, look};

use super::{ctl, end, kill, run};

const QUARANTINE: &str = "resources:
- {type: thing, state: quarantined, names: [thing1, thing2]}
- {type: other, state: quarantined, names: [other1]}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requeue_makes_quarantined_ones_dirty_and_wipes_the_janitors_notes() {
    let server = Server::start(QUARANTINE).await;
    let client = server.client("Janitor");
    client.acquire_by_state("quarantined", "quarantined", &["thing1".into()]).await.unwrap();
    let note = [("janitor-failures".to_owned(), Some("5".to_owned())), ("mine".to_owned(), Some("1".to_owned()))];
    client.update("thing1", "quarantined", &note.into()).await.unwrap();
    client.release("thing1", "quarantined").await.unwrap();

    assert_eq!(run(&server, "requeue thing1").await, (0, "requeued resource \"thing1\"\n".into(), String::new()));
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
    assert_eq!(client.resource("thing1").await.unwrap().user_data.as_json(), r#"{"mine":"1"}"#);
    assert_eq!(run(&server, "requeue --type thing").await.1, "requeued resource \"thing2\"\n");
    assert_eq!(look(&client, "other1").await.0, "quarantined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requeue_that_is_interrupted_strands_nothing() {
    let server = Server::start(QUARANTINE).await;
    let client = server.client("Janitor");
    client.acquire_by_state("quarantined", "x", &["thing1".into()]).await.unwrap();
    client.update("thing1", "x", &[("janitor-failures".to_owned(), Some("5".to_owned()))].into()).await.unwrap();
    client.release("thing1", "quarantined").await.unwrap();
    let proxy = Proxy::losing(server.address, "/update", Loss::Hang, 1).await;
    let child = ctl(&["requeue", "thing1", "--server-url", &proxy.url(), "--owner-name", "me"]).spawn().unwrap();
    eventually("amid it", async || proxy.is_done()).await;
    // Killed for good, the reaper would look after it.
    assert_eq!(look(&client, "thing1").await, ("cleaning".into(), "me".into()));
    kill(&child, rustix::process::Signal::INT);
    assert_eq!(end(child).await.0, 130);
    assert_eq!(look(&client, "thing1").await, ("dirty".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requeue_of_what_is_not_quarantined_says_what_is_the_case() {
    let server = Server::start(QUARANTINE).await;
    let client = server.client("Janitor");
    client.acquire_by_state("quarantined", "dirty", &["thing1".into()]).await.unwrap();
    client.release("thing1", "dirty").await.unwrap();
    client.acquire_by_state("quarantined", "quarantined", &["thing2".into()]).await.unwrap();
    let lists = "`boskosctl get --state quarantined` lists";
    for (line, said) in [
        (
            "requeue thing1",
            format!("resource \"thing1\" is \"dirty\", and only quarantined ones are requeued; {lists} them\n"),
        ),
        (
            "requeue thing2",
            "resource \"thing2\" is quarantined, but \"Janitor\" owns it: requeue it when that one has released it\n"
                .to_owned(),
        ),
        ("requeue thing9", format!("no resource is called \"thing9\"; {lists} those that can be requeued\n")),
        ("requeue --type typo", "no resource is of type \"typo\"; the server has other, thing\n".to_owned()),
    ] {
        assert_eq!(run(&server, line).await, (1, String::new(), said), "{line}");
    }
    let none = (0, "no resource of type \"thing\" is quarantined\n".to_owned(), String::new());
    assert_eq!(run(&server, "requeue --type thing").await, none);
    assert_eq!(look(&client, "thing2").await, ("quarantined".into(), "Janitor".into()), "left alone");
}
