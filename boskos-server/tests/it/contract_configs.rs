//! Configs of the field, served and walked through; configs that are refused.

use std::collections::BTreeMap;

use boskos_runtime::text;
use serde_json::{Value, json};

use crate::harness::{Server, StoreKind, for_each_store, shipped_config, with_server};

/// How many resources a config makes of each type in each state.
type Counts = BTreeMap<String, BTreeMap<String, usize>>;

fn counts_of(config: &str) -> Counts {
    let (config, _) = boskos_core::Config::parse(config.as_bytes()).unwrap();
    let mut counts = Counts::new();
    let mut add = |r#type: &str, state: &str, count: usize| {
        *counts.entry(r#type.to_owned()).or_default().entry(state.to_owned()).or_insert(0) += count;
    };
    for (_, r#type, state) in config.names() {
        add(r#type.as_str(), state.as_str(), 1);
    }
    for lifecycle in &config.lifecycles {
        add(lifecycle.r#type.as_str(), lifecycle.state.as_str(), lifecycle.min_count.try_into().unwrap());
    }
    counts
}

/// Checks every count, and acquires and releases one resource of every type and state.
fn walk_through(server: &Server, expected: &Counts) {
    let types = server.get("/api/v1/types").expect_status(200).json();
    assert_eq!(types.as_array().unwrap().len(), expected.len());
    for (r#type, states) in expected {
        let total: usize = states.values().sum();
        let metric = server.get(&format!("/metric?type={type}")).expect_status(200).json();
        assert_eq!((&metric["current"], &metric["owner"]), (&json!(states), &json!({"": total})), "{type}");
        for state in states.keys() {
            let name = server.take(r#type, state, "me");
            let metric = server.get(&format!("/metric?type={type}")).json();
            assert_eq!(metric["current"]["busy"], 1);
            let owners = if total > 1 { json!({"": total - 1, "me": 1}) } else { json!({"me": 1}) };
            assert_eq!(metric["owner"], owners);
            server.post(&format!("/update?name={name}&owner=me&state=busy")).expect_empty();
            server.release(&name, state, "me");
        }
        let metric = server.get(&format!("/metric?type={type}")).json();
        assert_eq!(metric["current"], json!(states), "{type}");
    }
    let all: usize = expected.values().flat_map(BTreeMap::values).sum();
    assert_eq!(server.names("").len(), all);
}

fn serve_and_walk_through(name: &str, types: usize, resources: usize) {
    let config = shipped_config(name);
    let expected = counts_of(&config);
    let all: usize = expected.values().flat_map(BTreeMap::values).sum();
    assert_eq!((expected.len(), all), (types, resources));
    with_server(&config, |server| walk_through(server, &expected));
}

#[test]
fn example_with_a_dynamic_type_is_served() {
    serve_and_walk_through("dynamic.yaml", 2, 3);
    let config = shipped_config("dynamic.yaml");
    with_server(&config, |server| {
        let lifecycles = server.get("/api/v1/lifecycles").json();
        let lifecycle = &lifecycles[0];
        assert_eq!((&lifecycle["type"], &lifecycle["state"]), (&json!("aws-cluster"), &json!("dirty")));
        assert_eq!((&lifecycle["min-count"], &lifecycle["max-count"]), (&json!(1), &json!(2)));
        assert_eq!(server.names("state=free&type=aws-account"), ["account1", "account2"]);
    });
}

#[test]
fn kubernetes_infra_is_served() {
    serve_and_walk_through("k8s-infra.yaml", K8S_INFRA.0, K8S_INFRA.1);
}

#[test]
fn old_array_is_served() {
    serve_and_walk_through("legacy-array.json", LEGACY_ARRAY.0, LEGACY_ARRAY.1);
}

#[test]
fn old_lines_are_served() {
    serve_and_walk_through("legacy-lines.json", 2, 3);
    with_server(&shipped_config("legacy-lines.json"), |server| {
        assert_eq!(server.names("type=project&state=dirty"), ["k8s-jkns-bar"]);
        assert_eq!(server.names("type=cluster"), ["dota2-eu-1"]);
    });
}

#[test]
fn openshift_ci_is_served() {
    serve_and_walk_through("openshift-ci.yaml", OPENSHIFT_CI.0, OPENSHIFT_CI.1);
}

/// Types and resources.
const K8S_INFRA: (usize, usize) = (5, 240);
const LEGACY_ARRAY: (usize, usize) = (2, 72);
const OPENSHIFT_CI: (usize, usize) = (33, 7494);

#[test]
fn odd_spellings_mean_what_they_always_meant() {
    let config = "
Resources:
- Type: 42
  NAMES: [123456789012, 10.1.178.14, 1e3, yes, 'no']
  state: 007
- type: gone
  type: quota
  State: ''
  names: [q]
  unknown: {key: [1]}
";
    with_server(config, |server| {
        assert_eq!(server.names("type=quota&state=free"), ["q"]);
        let names: Vec<Value> = server.resources("type=42").iter().map(|found| found["name"].clone()).collect();
        assert!(names.contains(&json!("123456789012")) && names.contains(&json!("10.1.178.14")), "{names:?}");
        assert_eq!(names.len(), 5);
    });
}

#[test]
fn bad_config_at_start_is_fatal_with_every_reason() {
    let config = "
resources:
- {type: t, names: [ok, 'Not_ok', ok]}
- {names: [x]}
- {type: d, min-count: 3, max-count: 2}
- {type: n, max-count: 2, needs: {nope: 1}}
";
    for_each_store(|store| {
        let error = refusal(store, config);
        for reason in [".0.names.1(Not_ok)", ".0.names.2(ok)", ".1", ".2", ".3", "nope", "config.yaml"] {
            assert!(error.contains(reason), "{reason} is missing: {error}");
        }
        assert!(!error.contains('\n'), "one line: {error}");
        for empty in ["", "resources: []", "{}", "[]", "null"] {
            assert!(refusal(store, empty).contains("config.yaml"));
        }
        assert!(refusal(store, "resources: [").contains("config.yaml"));
    });
}

/// Why a server does not start.
fn refusal(store: StoreKind, config: &str) -> String {
    match Server::try_start(store, config, |_| {}) {
        Ok(_) => panic!("it must not start: {config:?}"),
        Err(error) => text::chain(&error),
    }
}

#[test]
fn missing_config_at_start_is_fatal() {
    for_each_store(|store| {
        let error = Server::try_start(store, "", |options| options.config = "/nowhere/config.yaml".into());
        let error = text::chain(&error.err().unwrap());
        assert!(error.contains("/nowhere/config.yaml") && error.contains("--config"), "{error}");
    });
}
