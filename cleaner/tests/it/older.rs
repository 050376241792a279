//! An older server, which cannot tell what there is.

use std::sync::Arc;

use boskos_cleaner::{Cleaner, OWNER};
use boskos_client::{
    Client, Clock, Hand,
    frame::{Frame, Pass as _, Pool},
    types::TypeSelection,
};
use boskos_runtime::signal::Shutdown;
use boskos_testkit::OlderServer;
use parking_lot::Mutex;

/// A server with one cluster that is to be deleted and was made of `a1`. Whether it can be taken apart is the test's.
async fn server(is_well: Arc<Mutex<bool>>) -> OlderServer {
    let is_there = Mutex::new(true);
    let stamps = r#""lastupdate":"2006-01-02T15:04:05Z""#;
    let none = "no available resource, try again later.\n";
    OlderServer::start(move |line| {
        let mut is_there = is_there.lock();
        if line.contains("/acquire?") {
            let head = r#"{"type":"cluster","name":"c1","state":"cleaning","owner":"cleaner""#;
            return match std::mem::take(&mut *is_there) {
                true => (200, format!(r#"{head},{stamps},"userdata":{{"leasedResources":"- a1\n"}}}}"#)),
                false => (404, none.to_owned()),
            };
        }
        if line.contains("/acquirebystate") {
            let head = r#"[{"type":"account","name":"a1","state":"cleaning","owner":"cleaner""#;
            return match *is_well.lock() {
                true => (200, format!(r#"{head},{stamps},"userdata":{{}}}}]"#)),
                false => (400, "not today\n".to_owned()),
            };
        }
        *is_there |= line.contains("dest=toBeDeleted");
        (200, String::new())
    })
    .await
}

fn cleaner(server: &OlderServer) -> (Cleaner, Frame, Hand) {
    let (clock, hand) = Clock::manual();
    let client = Client::builder(server.url(), OWNER).without_proxies().clock(clock).build().unwrap();
    let frame = Frame::assemble("boskos-cleaner", client.clone(), Shutdown::new()).unwrap();
    let cleaner = Cleaner::new(client, frame.work.clone(), TypeSelection::fixed(["cluster".into()]));
    (cleaner, frame, hand)
}

async fn pass(cleaner: &mut Cleaner, frame: &Frame) {
    let mut pool = Pool::new(15, Shutdown::new());
    cleaner.pass(&mut pool).await.unwrap();
    pool.idle().await;
    frame.client.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_asked_for_one_after_the_other() {
    let server = server(Arc::new(Mutex::new(true))).await;
    let (mut cleaner, frame, _hand) = cleaner(&server);
    pass(&mut cleaner, &frame).await;
    pass(&mut cleaner, &frame).await;
    let order = ["name=a1&dest=dirty", "name=c1&dest=tombstone"];
    let released = server.with("/release");
    assert!(released.len() == 2 && order.iter().zip(&released).all(|(what, line)| line.contains(what)), "{released:?}");
    assert_eq!((frame.work.done("cluster"), server.with("/acquire?").len()), (1, 3));
    assert!(frame.client.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_again_and_again_is_left_alone_for_a_while() {
    let is_well = Arc::new(Mutex::new(false));
    let server = server(Arc::clone(&is_well)).await;
    let (mut cleaner, frame, hand) = cleaner(&server);
    for _ in 0..5 {
        pass(&mut cleaner, &frame).await;
    }
    assert_eq!(server.with("/acquirebystate").len(), 1, "one try");
    assert!(server.with("/acquire?").len() <= 10, "{:?}", server.with("/acquire?"));
    *is_well.lock() = true;
    hand.advance(std::time::Duration::from_secs(1));
    pass(&mut cleaner, &frame).await;
    assert_eq!(frame.work.done("cluster"), 1);
    assert!(frame.client.held().is_empty());
}
