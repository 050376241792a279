//! A server on the objects that an older deployment left.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    api_server::shared,
    replica::{Replica, eventually},
};

const OBJECTS: &str = include_str!("fixtures/older-deployment.yaml");

const CONFIG: &str = r#"resources:
- {type: 10g-machine, state: free, names: [10.1.178.14]}
- {type: aws-account, state: free, names: [account1, account2]}
- {type: gce-project, state: dirty, names: [gce-1, gce-2, gce-3]}
- type: aws-cluster
  state: free
  min-count: 1
  max-count: 2
  lifespan: 48h
  needs: {aws-account: 1}
  config: {type: AWSClusterCreator, content: "region: us-east-1\nnodes: 3\n"}
"#;

/// That `object` has no other fields than objects of older deployments.
fn assert_shape(object: &Value) {
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    let known = |known: &[&str]| -> BTreeSet<String> { known.iter().map(|key| (*key).to_owned()).collect() };
    let (spec, status) = (keys(&object["spec"]), keys(&object["status"]));
    match object["kind"].as_str().unwrap() {
        "ResourceObject" => {
            assert_eq!(spec, known(&["type"]), "{object}");
            assert!(status.is_superset(&known(&["lastUpdate", "owner", "state"])), "{object}");
            let all = known(&["lastUpdate", "owner", "state", "expirationDate", "userData"]);
            assert!(status.is_subset(&all), "{object}");
            for key in ["lastUpdate", "expirationDate"] {
                let time = object["status"][key].as_str();
                assert!(time.is_none_or(|time| time.len() == "2026-11-23T09:31:33Z".len()), "{object}");
            }
        }
        "DRLCObject" => {
            let all = known(&["config", "lifespan", "max-count", "min-count", "needs", "state"]);
            assert!(spec.is_subset(&all), "{object}");
        }
        other => panic!("a {other}: {object}"),
    }
}

#[test]
fn objects_of_an_older_deployment_are_served_and_keep_their_shape() {
    let api = shared();
    let namespace = api.namespace("older");
    api.kubectl_with(&["-n", &namespace, "apply", "-f", "-"], Some(OBJECTS));
    let lifecycle = api.object(&namespace, "drlc", "aws-cluster");
    let server = Replica::serving(api.kubeconfig(), &namespace, CONFIG, &[]);

    let held = server.resource("account1").unwrap();
    assert_eq!((held["owner"].as_str(), held["userdata"]["region"].as_str()), (Some("job-17"), Some("us-east-1")));
    assert_eq!(api.object(&namespace, "drlc", "aws-cluster"), lifecycle, "what is as it should be is not written");

    // Acquire: the least recently updated, ties by name.
    let granted = server.post("/acquire?type=gce-project&state=dirty&dest=cleaning&owner=me");
    granted.expect_status(200);
    let granted = granted.json();
    assert_eq!(granted["name"], "gce-1");
    let time = granted["lastupdate"].as_str().unwrap();
    assert_eq!(time.len(), "2026-11-23T09:31:33Z".len(), "whole seconds: {time}");
    // Update and release.
    let mut client = crate::harness::client::Client::connect(server.http);
    client.post_body("/update?name=gce-1&owner=me&state=cleaning", r#"{"k":"v","l":"w"}"#).expect_empty();
    client.post_body("/update?name=gce-1&owner=me&state=cleaning", r#"{"k":""}"#).expect_empty();
    assert_eq!(api.object(&namespace, "bres", "gce-1")["status"]["userData"], serde_json::json!({"l": "w"}));
    server.post("/release?name=gce-1&dest=free&owner=me").expect_empty();
    // Expiry: a release under a lifecycle with a lifespan sets the date, and one that is over has it given up.
    let cluster = "46b0012e-8198-4966-bd29-8015151546c9";
    server.post(&format!("/release?name={cluster}&dest=dirty&owner=job-19")).expect_empty();
    let object = api.object(&namespace, "bres", cluster);
    assert!(object["status"]["expirationDate"].as_str().unwrap() > "2026-11-25T09:31:41Z", "{object}");
    let over = r#"{"status":{"expirationDate":"2020-01-01T00:00:00Z"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", cluster, "--type=merge", "-p", over]);
    eventually("an expired resource is given up", || {
        (server.resource(cluster)?["state"] == "toBeDeleted").then_some(())
    });
    assert_eq!(server.stop(), 0);

    for kind in ["bres", "drlc"] {
        for object in &api.objects(&namespace, kind) {
            assert_shape(object);
        }
    }
}

#[test]
fn what_others_put_on_objects_survives() {
    let api = shared();
    let namespace = api.namespace("survives");
    let object = r#"{"apiVersion":"boskos.k8s.io/v1","kind":"ResourceObject",
        "metadata":{"name":"r","labels":{"team":"x"},"annotations":{"note":"y"},"finalizers":["example.com/z"]},
        "spec":{"type":"t","rack":"7"},
        "status":{"state":"free","owner":"","lastUpdate":"2026-11-23T09:31:33Z","checked":{"by":"me"}}}"#;
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(object));
    let config = "resources:\n- {type: t, state: free, names: [r]}\n";
    let server = Replica::serving(api.kubeconfig(), &namespace, config, &[]);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    server.post("/release?name=r&dest=dirty&owner=me").expect_empty();
    let after = api.object(&namespace, "bres", "r");
    assert_eq!(after["metadata"]["labels"]["team"], "x");
    assert_eq!(after["metadata"]["annotations"]["note"], "y");
    assert_eq!(after["metadata"]["finalizers"][0], "example.com/z");
    assert_eq!((&after["spec"]["rack"], &after["status"]["checked"]["by"]), (&"7".into(), &"me".into()));
    assert_eq!(after["status"]["state"], "dirty");

    // Asked to go, it waits for its finalizer: gone for us, and never granted.
    api.kubectl(&["-n", &namespace, "delete", "bres", "r", "--wait=false"]);
    eventually("a resource on its way out is gone", || server.resource("r").is_none().then_some(()));
    server.post("/acquire?type=t&state=dirty&dest=busy&owner=me").expect_status(404);
    api.kubectl(&["-n", &namespace, "patch", "bres", "r", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    assert_eq!(server.stop(), 0);
}
