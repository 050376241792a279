//! A whole server on a store that hangs, fails, forgets, or finds that others were faster.

use std::{sync::Arc, thread, time::Duration};

use boskos_core::{Owner, Resource, WallTime, ranch::plan::Foreign};
use boskos_server::store::{MemoryStore, SqliteStore, Store, StoreError};
use serde_json::Value;

use crate::{
    doubles::{Act, Double, Script},
    harness::{Server, client::Client, eventually},
    store_support::{contents_in, options},
};

const CONFIG: &str = "resources: [{type: t, names: [a, b]}]";

/// Long enough for an answer that must not come.
const NO_ANSWER: Duration = Duration::from_millis(200);

fn on(store: impl Store) -> (Server, Arc<Script>) {
    let (double, script) = Double::new(store);
    (Server::start_on(Arc::new(double), CONFIG), script)
}

/// Runs a test on a double of a store that answers at once, and on one of a store that takes its time.
fn over_both(test: impl Fn(&Server, &Script)) {
    let (server, script) = on(MemoryStore::default());
    test(&server, &script);
    let dir = tempfile::tempdir().unwrap();
    let (server, script) = on(SqliteStore::open(options(dir.path())).unwrap().store);
    test(&server, &script);
    server.stop();
}

fn acquire(owner: &str) -> String {
    format!("/acquire?type=t&state=free&dest=busy&owner={owner}")
}

fn ask(server: &Server, owner: &str) -> Client {
    let mut client = server.connect();
    client.send_request("POST", &acquire(owner));
    client
}

fn is_silent(client: &Client) -> bool {
    client.stream().set_read_timeout(Some(NO_ANSWER)).unwrap();
    let silent = client.stream().peek(&mut [0]).is_err();
    client.stream().set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    silent
}

/// Hangs up and waits until the server has noticed.
fn hang_up(client: &mut Client) {
    client.half_close();
    assert!(client.is_at_end());
}

fn pair(state: &str, owner: &str) -> (String, String) {
    (state.to_owned(), owner.to_owned())
}

fn no_room() -> StoreError {
    boskos_server::store::sqlite::check_store(std::path::Path::new("/nowhere/at/all")).unwrap_err().into()
}

#[test]
fn hanging_store_keeps_its_caller_waiting_and_nobody_else() {
    over_both(|server, script| {
        script.next(Act::Hold);
        let mut first = ask(server, "one");
        eventually("a held write", || (script.held() == 1).then_some(()));
        assert!(is_silent(&first), "no answer before the commit");
        // Readers see what is committed, others get what is left, and nobody gets the same.
        assert_eq!(server.names("owner="), ["a", "b"]);
        server.get("/metric?type=t").expect_status(200);
        assert_eq!(server.take("t", "free", "two"), "b");
        let mut third = ask(server, "three");
        assert!(is_silent(&third), "a write on its way could still leave it something");
        assert_eq!(script.release(), 1);
        assert_eq!(first.response().expect_status(200).json()["name"], "a");
        third.response().expect_error(404, "Acquire failed: no available resource t, try again later.");
        assert_eq!((server.standing("a"), server.standing("b")), (pair("busy", "one"), pair("busy", "two")));
        ["one", "two"].into_iter().zip(["a", "b"]).for_each(|(owner, name)| server.release(name, "free", owner));
    });
}

#[test]
fn caller_that_hangs_up_while_the_store_hangs_owns_nothing_at_the_end() {
    over_both(|server, script| {
        script.next(Act::Hold);
        let mut client = ask(server, "one");
        eventually("a held write", || (script.held() == 1).then_some(()));
        hang_up(&mut client);
        assert_eq!(script.release(), 1);
        eventually("the undo", || (server.standing("a") == pair("free", "")).then_some(()));
        server.await_settled();
    });
}

#[test]
fn failing_store_is_503_for_writers_until_it_recovers() {
    over_both(|server, script| {
        server.take("t", "free", "one");
        script.halt(&no_room());
        for target in
            [acquire("x").as_str(), "/release?name=a&dest=free&owner=one", "/update?name=a&owner=one&state=busy"]
        {
            let refused = server.post(target);
            refused.expect_status(503);
            let after: u64 = refused.header("retry-after").expect("when to come again").parse().unwrap();
            assert!(after > 0);
        }
        let refused = server.post("/reset?type=t&state=busy&expire=0s&dest=dirty");
        assert!(refused.expect_status(503).header("retry-after").is_some());
        assert_eq!(server.names("owner=one"), ["a"], "reads go on");
        script.resume();
        eventually("a recovery", || (server.post("/update?name=a&owner=one&state=busy").status == 200).then_some(()));
        server.release("a", "free", "one");
        assert_eq!((server.standing("a"), server.standing("b")), (pair("free", ""), pair("free", "")));
    });
}

#[test]
fn forgotten_grant_that_was_written_is_its_callers_if_it_is_still_there() {
    over_both(|server, script| {
        for (stays, owner) in [(true, "stays"), (false, "goes")] {
            script.next(Act::ForgetWritten);
            let mut client = ask(server, owner);
            eventually("a write in doubt", || script.is_in_doubt().then_some(()));
            assert!(is_silent(&client), "nobody knows yet");
            assert_eq!(server.names("owner="), ["a", "b"]);
            if stays {
                script.remember();
                assert_eq!(client.response().expect_status(200).json()["owner"], owner);
                let name = server.names(&format!("owner={owner}")).remove(0);
                server.release(&name, "free", owner);
            } else {
                hang_up(&mut client);
                script.remember();
                eventually("the undo", || server.names("owner=goes").is_empty().then_some(()));
            }
            server.await_settled();
            assert_eq!(server.names("owner=&state=free"), ["a", "b"]);
        }
    });
}

#[test]
fn forgotten_grant_that_was_not_written_is_refused_and_free_again() {
    over_both(|server, script| {
        script.next(Act::ForgetLost);
        let mut client = ask(server, "one");
        eventually("a write in doubt", || script.is_in_doubt().then_some(()));
        assert!(is_silent(&client), "nobody knows yet");
        // What is in doubt is nobody's.
        assert_eq!(server.take("t", "free", "two"), "b");
        script.remember();
        assert!(client.response().expect_status(503).header("retry-after").is_some());
        assert_eq!(server.take("t", "free", "three"), "a");
        server.release("a", "free", "three");
        server.release("b", "free", "two");
    });
}

#[test]
fn conflict_shows_what_others_made_of_it_and_grants_the_next() {
    over_both(|server, script| {
        let mut theirs = Resource::new("a".into(), "t".into(), "busy".into(), WallTime::from_nanos(1));
        theirs.owner = Some(Owner::from("them"));
        script.next(Act::Conflict(vec![Foreign { name: "a".into(), now: Some(theirs), version: 1 }]));
        assert_eq!(server.take("t", "free", "me"), "b");
        assert_eq!(server.standing("a"), pair("busy", "them"));
        server.post("/release?name=a&dest=free&owner=me").expect_status(401);
        assert_eq!(server.resource("a").map(|found| found["owner"].clone()), Some(Value::from("them")));
    });
}

#[test]
fn stop_waits_for_the_undo_of_a_grant_whose_caller_hung_up() {
    let dir = tempfile::tempdir().unwrap();
    let (server, script) = on(SqliteStore::open(options(dir.path())).unwrap().store);
    script.next(Act::Hold);
    let mut client = ask(&server, "one");
    eventually("a held write", || (script.held() == 1).then_some(()));
    hang_up(&mut client);
    let stopping = thread::spawn(move || server.stop());
    // Everything else is done by then.
    thread::sleep(NO_ANSWER);
    assert_eq!(script.release(), 1);
    stopping.join().unwrap();
    let owned = contents_in(dir.path()).resources.into_values().filter(|record| record.resource.owner.is_some());
    assert_eq!(owned.map(|record| record.resource).collect::<Vec<_>>(), []);
}
