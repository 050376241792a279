//! Times of leading: how they begin, what they leave behind, and that there is a next one.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    api_server::{ApiServer, shared},
    in_process::Server,
    leaders::{self, Load},
    replica::{Replica, eventually},
    rights::make_pod,
    wire::{Fate, Wire},
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a, b]}\n";
const BAD: &str = "resources:\n- {type: t, state: free, names: [UPPER]}\n";

fn holder(namespace: &str) -> String {
    let lease = shared().object(namespace, "lease", "boskos-server");
    lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

#[test]
fn a_lease_that_is_lost_is_won_again_and_leaves_no_watch_behind() {
    let namespace = shared().namespace("again");
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), Arc::new(Wire::default()));
    server.serves();
    for _ in 0..2 {
        server.wire.rule("PUT /apis/coordination.k8s.io", 0, Fate::Lost);
        eventually("it leads no more", || (server.post("/nothing").status == 503).then_some(()));
        server.wire.clear_rules();
        server.serves();
        server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    }
    eventually("the watches of earlier terms end", || (server.wire.watches() == 2).then_some(()));
}

#[test]
fn a_beginning_that_fails_leaves_nothing_behind() {
    let namespace = shared().namespace("failing");
    let wire = Arc::new(Wire::default());
    wire.rule("dynamicresourcelifecycles", 0, Fate::Refused);
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), wire);
    sleep(Duration::from_secs(5));
    assert_eq!((server.post("/nothing").status, server.wire.watches()), (503, 0));
    server.wire.clear_rules();
    server.serves();
    eventually("it watches resources and lifecycles once", || (server.wire.watches() == 2).then_some(()));
}

#[test]
fn the_lease_is_held_until_what_a_beginning_writes_is_written() {
    let namespace = shared().namespace("beginning");
    let wire = Arc::new(Wire::default());
    wire.rule(r#""kind":"ResourceObject""#, 0, Fate::Held);
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), wire.clone());
    eventually("creations are on their way", || (wire.held() == 2).then_some(()));
    let stopping = std::thread::spawn(move || server.stop());
    sleep(Duration::from_millis(1_000));
    assert_ne!(holder(&namespace), "", "given up while objects are written");
    wire.clear_rules();
    wire.release();
    stopping.join().unwrap();
    assert_eq!(holder(&namespace), "");
    assert_eq!(shared().objects(&namespace, "bres").len(), 2);
}

#[test]
fn a_name_that_the_api_server_will_not_have_keeps_no_other_from_being_served() {
    let namespace = shared().namespace("cursed");
    let wire = Arc::new(Wire::default());
    wire.rule(r#""name":"cursed""#, 0, Fate::Refused);
    let config = "resources:\n- {type: t, state: free, names: [cursed]}\n- {type: u, state: free, names: [z]}\n";
    let server = Server::begin(&namespace, config, None, wire);
    server.serves();
    server.post("/acquire?type=u&state=free&dest=busy&owner=me").expect_status(200);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(404);
    server.wire.clear_rules();
    eventually("it is tried again", || server.resource("cursed"));
}

#[test]
fn a_standby_leads_by_the_last_config_that_was_good() {
    let api = shared();
    let namespace = api.namespace("good");
    let lease = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"boskos-server"},
        "spec":{"holderIdentity":"older_1","leaseDurationSeconds":60,"renewTime":"2026-11-23T09:31:33.000000Z"}}"#;
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(lease));
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), Arc::new(Wire::default()));
    server.write_config("resources:\n- {type: t, state: free, names: [a, later]}\n");
    sleep(Duration::from_secs(3));
    server.write_config(BAD);
    sleep(Duration::from_secs(2));
    let given_up = r#"{"spec":{"holderIdentity":"","leaseDurationSeconds":1}}"#;
    api.kubectl(&["-n", &namespace, "patch", "lease", "boskos-server", "--type=merge", "-p", given_up]);
    server.serves();
    assert!(server.resource("later").is_some() && server.resource("b").is_none());
    server.write_config(CONFIG);
    eventually("the next good one", || server.resource("b"));
}

#[test]
fn a_pod_that_cannot_be_written_keeps_the_label_from_no_other() {
    let api = shared();
    let namespace = api.namespace("pods");
    make_pod(api, &namespace, "pod-0", "");
    for other in ["pod-1", "pod-2"] {
        make_pod(api, &namespace, other, r#","boskos-leader":"true""#);
    }
    let wire = Arc::new(Wire::default());
    wire.rule(&format!("PUT /api/v1/namespaces/{namespace}/pods/pod-1"), 0, Fate::Refused);
    let server = Server::begin(&namespace, CONFIG, Some("pod-0"), wire);
    server.serves();
    let label = |pod: &str| api.object(&namespace, "pod", pod)["metadata"]["labels"]["boskos-leader"].clone();
    eventually("the label is moved", || (label("pod-0") == "true" && label("pod-2").is_null()).then_some(()));
    assert_eq!(label("pod-1"), "true");
    server.wire.clear_rules();
    eventually("it is tried again", || label("pod-1").is_null().then_some(()));
}

#[test]
fn a_leader_serves_again_when_the_api_server_was_away_for_longer_than_its_lease() {
    let mut api = ApiServer::start();
    let namespace = api.namespace("away");
    let server = Replica::serving(api.kubeconfig(), &namespace, leaders::CONFIG, &["--enable-leader-election"]);
    let load = Load::start(&[server.http]);
    load.next_grant_after(Instant::now());
    let away = Instant::now();
    api.kill_api();
    let line = server.logged("leading no more");
    let why = line["why"].as_str().unwrap();
    assert!(why.contains("cannot write the lease") || why.contains("cannot read the lease"), "says why: {line}");
    sleep(Duration::from_secs(5));
    api.start_api();
    let begun = Instant::now();
    println!("served again {:?} after the API server came back", load.next_grant_after(begun));
    load.stop();
    let mut told = BTreeMap::new();
    for line in server.log().iter().filter(|line| line["level"] == "warning" || line["level"] == "error") {
        *told.entry(line["msg"].to_string()).or_insert(0) += 1;
    }
    assert!(told.contains_key(r#""the API server is away; trying again""#), "{told:#?}");
    let minutes = away.elapsed().as_secs() / 60;
    assert!(told.values().all(|times| *times <= 1 + minutes), "trouble is told of once a minute: {told:#?}");
    assert_eq!(server.stop(), 0);
}
