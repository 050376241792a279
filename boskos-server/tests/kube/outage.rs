//! An API server that is killed and comes back.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    api_server::ApiServer,
    leaders::quick_call,
    ledger::Ledger,
    load::{self, Load},
    replica::{Replica, eventually},
};

#[test]
fn an_api_server_that_is_killed_under_load_costs_nothing_acknowledged() {
    let mut api = ApiServer::start();
    let namespace = api.namespace("outage");
    let server = Replica::serving(api.kubeconfig(), &namespace, &load::config(), &["--request-ttl=1h"]);
    let ledger = Arc::new(Ledger::of(server.http));
    for round in 1..=3 {
        let load = Load::start(server.http, &ledger, round);
        load.await_acks(&ledger, 150);
        api.kill_api();
        // Calls whose write was on its way wait until it is known what became of it; others do not.
        let nothing = "/acquire?type=nothing&state=free&dest=busy&owner=probe";
        eventually("503 meanwhile", || matches!(quick_call(server.http, nothing), Some((503, _))).then_some(()));
        // Reads go on.
        server.call("GET", "/metric?type=thing").expect_status(200);
        std::thread::sleep(Duration::from_millis(200 * round));
        api.start_api();
        load.await_acks(&ledger, 100);
        load.stop();
        ledger.check(server.http);
    }
    // What the server says is what the objects say.
    let listed = server.call("GET", "/api/v1/resources").json();
    let told = |resource: &Value| ["name", "state", "owner"].map(|key| resource[key].as_str().unwrap().to_owned());
    let mut told: Vec<_> = listed.as_array().unwrap().iter().map(told).collect();
    told.sort();
    let mut kept: Vec<_> = api
        .objects(&namespace, "bres")
        .iter()
        .map(|object| {
            let status = |key: &str| object["status"][key].as_str().unwrap().to_owned();
            [object["metadata"]["name"].as_str().unwrap().to_owned(), status("state"), status("owner")]
        })
        .collect();
    kept.sort();
    assert_eq!(told, kept);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_server_that_starts_without_an_api_server_waits_for_it() {
    let mut api = ApiServer::start();
    let namespace = api.namespace("early");
    api.kill_api();
    let config = "resources:\n- {type: t, state: free, names: [a]}\n";
    let server = Replica::spawn(api.kubeconfig(), &namespace, config, &[]);
    server.logged("waiting for the API server");
    api.start_api();
    server.logged("serving");
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_history_that_goes_back_is_taken_as_it_is() {
    let mut api = ApiServer::start();
    let namespace = api.namespace("restored");
    let config = "resources:\n- {type: t, state: free, names: [a, b, c]}\n";
    let server = Replica::serving(api.kubeconfig(), &namespace, config, &[]);
    let acquire = |owner: &str| server.post(&format!("/acquire?type=t&state=free&dest=busy&owner={owner}"));
    assert_eq!(acquire("kept").expect_status(200).json()["name"], "a");
    api.back_up();
    let granted =
        eventually("it serves after the backup", || Some(acquire("lost")).filter(|answer| answer.status == 200));
    assert_eq!(granted.json()["name"], "b");
    for _ in 0..20 {
        server.post("/update?name=b&owner=lost&state=busy").expect_status(200);
        acquire("short").expect_status(200);
        server.post("/release?name=c&dest=free&owner=short").expect_empty();
    }
    api.kubectl(&["-n", &namespace, "delete", "bres", "c"]);
    eventually("the deletion is heard", || server.resource("c").is_none().then_some(()));
    api.restore();
    // What was written since is not there any more. The first conflict tells, and has all listed.
    eventually("the owner since then is none", || {
        (server.post("/release?name=b&dest=free&owner=lost").status == 401).then_some(())
    });
    eventually("what was deleted since is there again", || server.resource("c"));
    for name in ["a", "b", "c"] {
        let owner = server.resource(name).unwrap()["owner"].clone();
        assert_eq!(owner, api.object(&namespace, "bres", name)["status"]["owner"], "{name}");
    }
    assert_eq!(server.resource("a").unwrap()["owner"], "kept");
    // And it goes on from there.
    server.post("/release?name=a&dest=free&owner=kept").expect_empty();
    for _ in 0..3 {
        acquire("next").expect_status(200);
    }
    let patch = r#"{"status":{"owner":"","state":"told"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", "b", "--type=merge", "-p", patch]);
    eventually("changes are heard", || (server.resource("b")?["state"] == "told").then_some(()));
    assert_eq!(server.stop(), 0);
}
