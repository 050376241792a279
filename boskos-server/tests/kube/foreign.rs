//! Objects that others change, delete and create.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    api_server::{ApiServer, shared},
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

const LIFECYCLES: &str = "resources:\n- {type: d, state: free, min-count: 1, max-count: 2, lifespan: 1h}\n- {type: e, state: free, min-count: 0, max-count: 4, lifespan: 0s}\n";

#[test]
fn lifecycle_objects_that_others_change_delete_or_create_are_put_back_to_what_the_config_says() {
    let api = shared();
    let namespace = api.namespace("kept");
    let server = Replica::serving(api.kubeconfig(), &namespace, LIFECYCLES, &[]);
    let spec = |name: &str| api.object(&namespace, "drlc", name)["spec"].clone();
    let patch = |name: &str, text: &str| {
        api.kubectl(&["-n", &namespace, "patch", "drlc", name, "--type=merge", "-p", text]);
    };
    let said = spec("d");
    let begun = Instant::now();
    api.kubectl(&["-n", &namespace, "label", "drlc", "d", "team=x"]);
    patch("d", r#"{"spec":{"min-count":5,"max-count":7,"lifespan":null}}"#);
    eventually("it is put back", || (spec("d") == said).then_some(()));
    let line = server.logged("a lifecycle object was changed by others: it is as the config says again");
    assert_eq!(line["type"], "d");
    assert_eq!(api.object(&namespace, "drlc", "d")["metadata"]["labels"]["team"], "x", "labels of others stay");

    let old = api.object(&namespace, "drlc", "e")["metadata"]["uid"].clone();
    api.kubectl(&["-n", &namespace, "delete", "drlc", "e"]);
    server.logged("a lifecycle object was deleted by others: it is created again, as the config says");
    let again = api.object(&namespace, "drlc", "e");
    assert_eq!(again["spec"]["max-count"], 4);
    assert_ne!(again["metadata"]["uid"], old);

    let stranger = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"DRLCObject","metadata":{"name":"stranger"},
        "spec":{"state":"free","min-count":3,"max-count":3}}"#;
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(stranger));
    server.logged("a lifecycle object that the config knows nothing of was deleted");
    assert_eq!(api.objects(&namespace, "drlc").len(), 2);

    // The config still changes them, and that is no change by others.
    server.configure(&LIFECYCLES.replace("max-count: 4", "max-count: 3"));
    eventually("the config is followed", || (spec("e")["max-count"] == 3).then_some(()));
    // Again and again: what was put back is not given up on.
    for max in [8, 9] {
        patch("d", &format!(r#"{{"spec":{{"max-count":{max}}}}}"#));
        eventually("it is put back again", || (spec("d") == said).then_some(()));
    }
    server.post("/acquire?type=d&state=free&dest=busy&owner=me").expect_status(200);
    let counts: Vec<_> =
        ["d", "stranger"].map(|r#type| server.call("GET", &format!("/metric?type={type}")).status).into();
    assert_eq!(counts, [200, 404]);
    let minutes = begun.elapsed().as_secs() / 60;
    let lines = server.log();
    assert_eq!(server.stop(), 0);
    let mut told = BTreeMap::new();
    for line in lines.iter().filter(|line| line["level"] == "warning" && !line["type"].is_null()) {
        *told.entry((line["type"].to_string(), line["msg"].to_string())).or_insert(0) += 1;
    }
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.values().all(|times| *times <= 1 + minutes), "each once a minute, however often: {told:#?}");
}

#[test]
fn what_an_older_definition_does_not_keep_of_a_lifecycle_is_told_of_once_and_not_written_for_ever() {
    let api = ApiServer::start();
    let namespace = api.namespace("older");
    let name = "dynamicresourcelifecycles.boskos.k8s.io";
    let mut definition = api.object("default", "crd", name);
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = definition.pointer_mut(spec).unwrap().as_object_mut().unwrap();
    spec.remove("x-kubernetes-preserve-unknown-fields");
    spec["properties"].as_object_mut().unwrap().remove("needs");
    api.kubectl_with(&["replace", "-f", "-"], Some(&definition.to_string()));
    eventually("the older definition is in force", || {
        let odd = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"DRLCObject","metadata":{"name":"odd"},"spec":{"needs":{"a":1}}}"#;
        let created = api.kubectl_with(
            &["-n", &namespace, "create", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"],
            Some(odd),
        );
        (!created.contains("needs")).then_some(())
    });
    let config = "resources:\n- {type: a, state: free, names: [x, y]}\n- {type: d, state: free, min-count: 0, max-count: 2, needs: {a: 1}}\n";
    let server = Replica::serving(api.kubeconfig(), &namespace, config, &[]);
    let told = "the installed definition does not keep all of a lifecycle: apply deploy/base/crd.yaml";
    server.logged(told);
    let version = || api.object(&namespace, "drlc", "d")["metadata"]["resourceVersion"].clone();
    let before = version();
    // What others change is put back all the same, as far as it is kept.
    api.kubectl(&["-n", &namespace, "patch", "drlc", "d", "--type=merge", "-p", r#"{"spec":{"max-count":7}}"#]);
    server.logged("a lifecycle object was changed by others: it is as the config says again");
    assert_eq!(api.object(&namespace, "drlc", "d")["spec"]["max-count"], 2);
    let after = version();
    assert_ne!(before, after);
    server.post("/acquire?type=a&state=free&dest=busy&owner=me").expect_status(200);
    assert_eq!(version(), after);
    assert_eq!(server.log().iter().filter(|line| line["msg"] == told).count(), 1, "{:#?}", server.log());
    assert_eq!(server.stop(), 0);
}
