//! Objects that others change, delete and create.

use crate::{
    api_server::shared,
    replica::{Replica, eventually},
};

const CONFIG: &str =
    "resources:\n- {type: t, state: free, names: [a, b]}\n- {type: d, state: free, min-count: 1, max-count: 2}\n";

#[test]
fn what_others_change_delete_and_create_is_taken_in() {
    let api = shared();
    let namespace = api.namespace("foreign");
    let server = Replica::serving(api.kubeconfig(), &namespace, CONFIG, &[]);
    let patch = |name: &str, text: &str| {
        api.kubectl(&["-n", &namespace, "patch", "bres", name, "--type=merge", "-p", text]);
    };
    patch("a", r#"{"status":{"state":"noSchedule","userData":{"why":"broken"}}}"#);
    let seen = eventually("a change by others", || server.resource("a").filter(|a| a["state"] == "noSchedule"));
    assert_eq!(seen["userdata"]["why"], "broken");
    // What is changed at once after is decided on that.
    let granted = server.post("/acquire?type=t&state=noSchedule&dest=busy&owner=me");
    granted.expect_status(200);
    assert_eq!(granted.json()["userdata"]["why"], "broken");

    // A waiting call gets what an administrator frees.
    let http = server.http;
    let waits = std::thread::spawn(move || {
        crate::harness::client::Client::connect(http)
            .request("POST", "/acquire?type=t&state=fixed&dest=busy&owner=waits&wait=50s")
    });
    eventually("the call waits", || {
        (server.call("GET", "/api/v1/queue").json().as_array().unwrap().len() == 1).then_some(())
    });
    patch("b", r#"{"status":{"state":"fixed"}}"#);
    let granted = waits.join().unwrap();
    granted.expect_status(200);
    assert_eq!(granted.json()["name"], "b");

    api.kubectl(&["-n", &namespace, "delete", "bres", "b"]);
    eventually("a deletion by others", || server.resource("b").is_none().then_some(()));
    server.post("/release?name=b&dest=free&owner=waits").expect_status(404);

    let object = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"ResourceObject","metadata":{"name":"new"},
        "spec":{"type":"t"},"status":{"state":"free","owner":"","lastUpdate":"2026-11-23T09:31:33Z"}}"#;
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(object));
    eventually("a creation by others", || server.resource("new"));
    let granted = server.post("/acquire?type=t&state=free&dest=busy&owner=me");
    assert_eq!(granted.json()["name"], "new");

    // A controller marks a dynamic one `tombstone`: it goes, and another comes.
    let dynamic = server.call("GET", "/api/v1/resources?type=d").json()[0]["name"].as_str().unwrap().to_owned();
    patch(&dynamic, r#"{"status":{"state":"tombstone"}}"#);
    eventually("a tombstone goes and min is kept", || {
        let now = api.objects(&namespace, "bres");
        let of_type = |object: &&serde_json::Value| object["spec"]["type"] == "d";
        let names: Vec<_> = now.iter().filter(of_type).map(|object| object["metadata"]["name"].clone()).collect();
        (names.len() == 1 && names[0] != dynamic.as_str()).then_some(())
    });
    assert_eq!(server.stop(), 0);
}
