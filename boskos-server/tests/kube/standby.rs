//! Replicas that stand by know the objects before they come to lead.

use std::sync::Arc;

use crate::{
    api_server::shared,
    in_process::Server,
    replica::{Replica, eventually},
    wire::{Fate, Wire},
};

const CONFIG: &str =
    "resources:\n- {type: t, state: free, names: [a, b, c]}\n- {type: d, state: free, min-count: 1, max-count: 2}\n";

#[test]
fn a_standby_that_comes_to_lead_reads_only_what_it_has_not_heard_of_and_serves_all_of_it() {
    let api = shared();
    let namespace = api.namespace("standby");
    let first = Replica::serving(api.kubeconfig(), &namespace, CONFIG, &["--enable-leader-election"]);
    assert_eq!(first.standby_objects(), 0, "it leads");
    let wire = Arc::new(Wire::default());
    let standby = Server::begin(&namespace, CONFIG, Some("pod-1"), wire.clone());
    eventually("it holds four resources and a lifecycle", || (standby.standby_objects() == 5).then_some(()));
    standby.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(503);

    // What happens is heard of while it stands by, ...
    let state = r#"{"status":{"state":"noSchedule"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", "a", "--type=merge", "-p", state]);
    let object = |name: &str| {
        format!(
            r#"{{"apiVersion":"boskos.k8s.io/v1","kind":"ResourceObject","metadata":{{"name":"{name}"}},
            "spec":{{"type":"t"}},"status":{{"state":"busy","owner":"other","lastUpdate":"2026-11-23T09:31:33Z"}}}}"#
        )
    };
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(&object("heard")));
    eventually("it hears of one more", || (standby.standby_objects() == 6).then_some(()));

    // ... until no watch tells of it.
    wire.rule("watch=true", 0, Fate::Lost);
    wire.cut_watches();
    eventually("it is deaf", || (wire.watches() == 0).then_some(()));
    let state = r#"{"status":{"state":"unheard"}}"#;
    api.kubectl(&["-n", &namespace, "patch", "bres", "b", "--type=merge", "-p", state]);
    let old = api.object(&namespace, "bres", "c")["metadata"]["uid"].clone();
    api.kubectl(&["-n", &namespace, "delete", "bres", "c"]);
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(&object("unheard")));

    wire.forget_reads();
    assert_eq!(first.stop(), 0);
    standby.serves();
    let state = |name: &str| standby.resource(name).map(|resource| resource["state"].as_str().unwrap().to_owned());
    let states = ["a", "b", "c", "heard", "unheard"].map(|name| state(name).unwrap_or_default());
    assert_eq!(states, ["noSchedule", "unheard", "free", "busy", "busy"]);
    assert_ne!(api.object(&namespace, "bres", "c")["metadata"]["uid"], old, "deleted, and made anew by the config");
    assert_eq!(standby.standby_objects(), 0, "it leads");

    let reads = wire.reads();
    let whole = reads.iter().filter(|read| read.contains("limit=5000") && !read.contains("PartialObjectMetadata"));
    assert_eq!(whole.count(), 0, "{reads:#?}");
    let of_one = |read: &String| Some(read.split_once("/resources/")?.1.split(' ').next()?.to_owned());
    let mut one_by_one: Vec<String> = reads.iter().filter_map(of_one).collect();
    one_by_one.sort();
    assert_eq!(one_by_one, ["b", "unheard"], "{reads:#?}");
}
