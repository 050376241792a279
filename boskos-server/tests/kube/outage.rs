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
