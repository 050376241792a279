//! What is in `deploy/` applies. That it fits the binaries is a test of theirs, end to end.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};

use crate::{
    api_server::{deploy, new_name, shared},
    replica::Replica,
    tools::tools,
};

/// Types of the Prometheus operator, which a bare API server lacks.
const OPERATOR: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "metadata":{"name":"PLURAL.monitoring.coreos.com"},
    "spec":{"group":"monitoring.coreos.com","scope":"Namespaced","names":{"kind":"KIND","plural":"PLURAL"},
    "versions":[{"name":"v1","served":true,"storage":true,
    "schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#;

fn built(folder: &str) -> (String, Vec<Value>) {
    let yaml = shared().kubectl(&["kustomize", &deploy(folder)]);
    let objects = serde_saphyr::from_multiple(&yaml).unwrap();
    (yaml, objects)
}

fn every_folder() -> Vec<(String, Vec<Value>)> {
    let daemons = ["cleaner", "janitor", "mason", "metrics", "reaper"].map(|daemon| format!("base/{daemon}"));
    ["base", "overlays/example"].into_iter().chain(daemons.iter().map(String::as_str)).map(built).collect()
}

#[test]
fn base_and_overlay_apply() {
    let api = shared();
    api.try_kubectl(&["create", "namespace", "boskos"], None);
    for (plural, kind) in [("servicemonitors", "ServiceMonitor"), ("prometheusrules", "PrometheusRule")] {
        let definition = OPERATOR.replace("PLURAL", plural).replace("KIND", kind);
        api.kubectl_with(&["apply", "-f", "-"], Some(&definition));
    }
    api.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    // As the example says, where the operator is installed.
    let folder = tempfile::Builder::new().prefix("watched-").tempdir_in(deploy("overlays")).unwrap();
    for file in std::fs::read_dir(deploy("overlays/example")).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let switched = text.replace("\n# components:\n# - ", "\ncomponents:\n- ");
        assert_eq!(switched != text, file.file_name() == "kustomization.yaml");
        std::fs::write(folder.path().join(file.file_name()), switched).unwrap();
    }
    let watched = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
    let kinds = |objects: &[Value]| -> BTreeSet<String> {
        objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
    };
    let example = built("overlays/example").1;
    let more: Vec<String> = kinds(&watched.1).difference(&kinds(&example)).cloned().collect();
    assert_eq!(more, ["PrometheusRule", "ServiceMonitor"]);
    let find = |kind: &str| watched.1.iter().find(|object| object["kind"] == kind).unwrap();
    let (label, value) = ("metrics", &find("ServiceMonitor")["spec"]["selector"]["matchLabels"]["metrics"]);
    let scraped = |object: &&Value| object["kind"] == "Service" && &object["metadata"]["labels"][label] == value;
    assert_eq!(watched.1.iter().find(scraped).unwrap()["spec"]["ports"][0]["name"], "metrics");
    for (yaml, objects) in every_folder().into_iter().chain([watched]) {
        let applied = api.kubectl_with(&["-n", "boskos", "apply", "--dry-run=server", "-f", "-"], Some(&yaml));
        assert_eq!(applied.lines().count(), objects.len(), "{applied}");
    }
}

/// Runs `make` in the repository, against the API server of these tests.
fn make(target: &str, namespace: &str, more: &[String]) -> std::process::Output {
    let mut command = Command::new("make");
    command.arg("-C").arg(deploy("..")).arg(target).arg(format!("NAMESPACE={namespace}"));
    command.arg(format!("KUBECTL={}", tools().kubectl.display())).args(more);
    command.env("KUBECONFIG", shared().kubeconfig()).env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.output().unwrap()
}

#[track_caller]
fn must_make(target: &str, namespace: &str, more: &[String]) -> String {
    let output = make(target, namespace, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn make_targets_do_what_they_say() {
    let api = shared();
    let namespace = new_name("made");
    let folder = tempfile::TempDir::new().unwrap();
    let overlay = [];

    must_make("server-deployment", &namespace, &overlay);
    let deployments = || api.objects(&namespace, "deployments").len();
    assert_eq!((deployments(), api.objects(&namespace, "rolebindings").len()), (1, 1));
    must_make("deployment", &namespace, &overlay);
    assert_eq!(deployments(), 6, "server, cleaner, janitor, mason, metrics, reaper");
    must_make("service", &namespace, &overlay);
    assert_eq!(api.object(&namespace, "service", "boskos")["spec"]["ports"][0]["port"], 80);
    let subject = api.object(&namespace, "rolebinding", "boskos")["subjects"][0]["namespace"].clone();
    assert_eq!(subject, namespace.as_str());

    let config = folder.path().join("new.yaml");
    let check = format!("CHECK_CONFIG={} check-config --config", env!("CARGO_BIN_EXE_boskos-server"));
    let update = [format!("CONFIG={}", config.display()), check];
    std::fs::write(&config, "resources:\n- {type: t, state: free, names: [UPPER]}\n").unwrap();
    let refused = make("update-config", &namespace, &update);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("UPPER"), "says what is wrong");
    let text = || api.object(&namespace, "configmap", "boskos-resources")["data"]["boskos-resources.yaml"].clone();
    assert!(text().as_str().unwrap().contains("example-project"), "a bad config replaces nothing");
    std::fs::write(&config, "resources:\n- {type: t, state: free, names: [lower]}\n").unwrap();
    let shown = must_make("update-config", &namespace, &update);
    assert!(shown.contains("lower") && shown.contains("\n-      - example-project-01\n"), "{shown}");
    assert!(text().as_str().unwrap().contains("lower"));
    let unsaid = make("update-config", &namespace, &update[1..]);
    assert!(!unsaid.status.success() && String::from_utf8_lossy(&unsaid.stderr).contains("CONFIG="));

    // What others put on it stays, and what is there is updated, whatever its one key is called.
    api.kubectl(&["-n", &namespace, "label", "configmap", "boskos-resources", "team=x"]);
    std::fs::write(&config, "resources:\n- {type: t, state: free, names: [lower, second]}\n").unwrap();
    must_make("update-config", &namespace, &update);
    let object = api.object(&namespace, "configmap", "boskos-resources");
    assert_eq!(
        (&object["metadata"]["labels"]["team"], &object["metadata"]["labels"]["app"]),
        (&"x".into(), &"boskos".into())
    );
    assert!(text().as_str().unwrap().contains("second"));

    // Nor does a deployment put the example over what serves; the rest is applied.
    api.kubectl(&["-n", &namespace, "delete", "deployments", "--all"]);
    for target in ["server-deployment", "deployment"] {
        must_make(target, &namespace, &overlay);
        assert!(text().as_str().unwrap().contains("lower"), "{target}");
    }
    assert_eq!(deployments(), 6);
}

#[test]
fn a_config_of_one_key_works_too() {
    let api = shared();
    let namespace = api.namespace("one-key");
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("cfg.yaml");
    std::fs::write(&file, "resources:\n- {type: t, state: free, names: [one-key]}\n").unwrap();
    let from_file = format!("--from-file=config={}", file.display());
    api.kubectl(&["-n", &namespace, "create", "configmap", "resources", &from_file]);
    let folder = tempfile::Builder::new().prefix("one-key-").tempdir_in(deploy("overlays")).unwrap();
    let kustomization = "resources: [../../base]\ncomponents: [../../components/one-key-config]\n";
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let (_, objects) = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
    let server = objects.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "boskos");
    let pod = &server.unwrap()["spec"]["template"]["spec"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // What the kubelet makes of the volume is what the args name.
    let (volume, container) = (&pod["volumes"][0]["configMap"], &pod["containers"][0]);
    let item = &volume["items"][0];
    let mounted = format!("{}/{}", text(&container["volumeMounts"][0]["mountPath"]), text(&item["path"]));
    assert!(container["args"].as_array().unwrap().contains(&format!("--config={mounted}").into()));
    let config = text(&api.object(&namespace, "configmap", &text(&volume["name"]))["data"][text(&item["key"])]);
    let server = Replica::serving(api.kubeconfig(), &namespace, &config, &[]);
    assert!(server.resource("one-key").is_some());
}

#[test]
fn update_config_knows_a_config_map_of_one_key_and_makes_one_where_there_is_none() {
    let api = shared();
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("cfg.yaml");
    let write = |name: &str| {
        std::fs::write(&config, format!("resources:\n- {{type: t, state: free, names: [{name}]}}\n")).unwrap();
    };
    let check = format!("CHECK_CONFIG={} check-config --config", env!("CARGO_BIN_EXE_boskos-server"));
    let update = [format!("CONFIG={}", config.display()), check];
    let data = |namespace: &str, name: &str| api.object(namespace, "configmap", name)["data"].clone();

    let namespace = api.namespace("keyed");
    write("first");
    let from_file = format!("--from-file=config={}", config.display());
    api.kubectl(&["-n", &namespace, "create", "configmap", "resources", &from_file]);
    api.kubectl(&["-n", &namespace, "label", "configmap", "resources", "team=x"]);
    write("second");
    let shown = must_make("update-config", &namespace, &update);
    assert!(shown.contains("first") && shown.contains("second"), "{shown}");
    let keys = data(&namespace, "resources");
    assert!(keys["config"].as_str().unwrap().contains("second") && keys.as_object().unwrap().len() == 1, "{keys}");
    assert_eq!(api.object(&namespace, "configmap", "resources")["metadata"]["labels"]["team"], "x");
    assert_eq!(
        api.objects(&namespace, "configmaps")
            .iter()
            .filter(|map| map["metadata"]["name"] == "boskos-resources")
            .count(),
        0
    );

    // A server that reads the one is not told by the other.
    api.kubectl(&[
        "-n",
        &namespace,
        "create",
        "configmap",
        "boskos-resources",
        "--from-literal=boskos-resources.yaml=resources: []",
    ]);
    api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(&MOUNTS.replace("MOUNTED", "resources")));
    write("third");
    must_make("update-config", &namespace, &update);
    assert!(data(&namespace, "resources")["config"].as_str().unwrap().contains("third"));
    assert_eq!(data(&namespace, "boskos-resources")["boskos-resources.yaml"], "resources: []");

    let namespace = api.namespace("keyless");
    must_make("update-config", &namespace, &update);
    let made = api.object(&namespace, "configmap", "boskos-resources");
    assert_eq!(made["metadata"]["labels"]["app"], "boskos");
    assert!(made["data"]["boskos-resources.yaml"].as_str().unwrap().contains("third"));
}

#[test]
fn update_config_updates_what_the_deployment_mounts_or_says_what_it_cannot_tell() {
    let api = shared();
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("cfg.yaml");
    std::fs::write(&config, "resources:\n- {type: t, state: free, names: [newer]}\n").unwrap();
    let check = format!("CHECK_CONFIG={} check-config --config", env!("CARGO_BIN_EXE_boskos-server"));
    let update = [format!("CONFIG={}", config.display()), check];
    let namespace = api.namespace("hashed");
    for (map, literals) in [
        ("boskos-resources", &["--from-literal=boskos-resources.yaml=older"][..]),
        ("boskos-resources-7f9k", &["--from-literal=cfg.yaml=older"]),
        ("keys", &["--from-literal=one=older", "--from-literal=two=x"]),
    ] {
        api.kubectl(&[&["-n", &namespace, "create", "configmap", map], literals].concat());
    }
    let data = |map: &str| api.object(&namespace, "configmap", map)["data"].clone();
    let mounts = |volumes: &str| {
        api.try_kubectl(&["-n", &namespace, "delete", "deployment", "boskos"], None);
        api.kubectl_with(&["-n", &namespace, "create", "-f", "-"], Some(&MOUNTS.replace("MOUNTED", volumes)));
    };
    let newer = |value: &Value| value.as_str().unwrap().contains("newer");

    mounts("boskos-resources-7f9k");
    must_make("update-config", &namespace, &update);
    assert!(newer(&data("boskos-resources-7f9k")["cfg.yaml"]));
    assert_eq!(data("boskos-resources")["boskos-resources.yaml"], "older");

    for (mounted, why) in [
        ("keys", "the ConfigMap keys has several keys: one two"),
        ("keys\"}},{\"name\":\"w\",\"configMap\":{\"name\":\"other", "mounts several ConfigMaps: keys other"),
    ] {
        mounts(mounted);
        let refused = make("update-config", &namespace, &update);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains(why) && said.contains("CONFIGMAP=NAME KEY=KEY"), "{said}");
        assert_eq!(data("keys"), json!({"one": "older", "two": "x"}), "{why}");
    }
    let told = ["CONFIGMAP=keys".to_owned(), "KEY=one".to_owned()];
    must_make("update-config", &namespace, &[&update[..], &told].concat());
    let keys = data("keys");
    assert!(newer(&keys["one"]) && keys["two"] == "x", "{keys}");
}

#[test]
fn configs_may_be_as_large_as_a_config_map() {
    let api = shared();
    let namespace = api.namespace("large");
    must_make("deployment", &namespace, &[]);
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("cfg.yaml");
    let names: Vec<String> = (0..20_000).map(|number| format!("a-project-of-some-length-{number:06}")).collect();
    std::fs::write(&config, format!("resources:\n- {{type: t, state: free, names: [{}]}}\n", names.join(", ")))
        .unwrap();
    let check = format!("CHECK_CONFIG={} check-config --config", env!("CARGO_BIN_EXE_boskos-server"));
    must_make("update-config", &namespace, &[format!("CONFIG={}", config.display()), check]);
    let text = api.object(&namespace, "configmap", "boskos-resources")["data"]["boskos-resources.yaml"].clone();
    assert!(text.as_str().unwrap().contains("019999"));
    must_make("deployment", &namespace, &[]);
}

/// A Deployment of which the volume matters.
const MOUNTS: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"boskos"},
    "spec":{"selector":{"matchLabels":{"app":"boskos"}},"template":{"metadata":{"labels":{"app":"boskos"}},
    "spec":{"containers":[{"name":"boskos","image":"none"}],
    "volumes":[{"name":"scratch","emptyDir":{}},{"name":"boskos-config","configMap":{"name":"MOUNTED"}}]}}}}"#;

#[test]
fn jobs_in_any_namespace_may_call_and_nobody_else() {
    let (_, objects) = built("overlays/example");
    let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").unwrap();
    let mut open = BTreeSet::new();
    for rule in policy["spec"]["ingress"].as_array().unwrap() {
        let peers = rule["from"].as_array().expect("a rule without peers lets everybody in");
        assert!(!peers.is_empty(), "as does one of none: {rule}");
        for peer in peers {
            let selectors = peer.as_object().unwrap();
            let any_pod = selectors.iter().all(|(key, selected)| {
                ["namespaceSelector", "podSelector"].contains(&key.as_str()) && *selected == serde_json::json!({})
            });
            assert!(any_pod && selectors.contains_key("namespaceSelector"), "pods, of any namespace: {rule}");
        }
        open.extend(rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()));
    }
    assert_eq!(open, BTreeSet::from([8080, 9090]), "calls and metrics");
    let service = objects.iter().find(|object| object["kind"] == "Service" && object["metadata"]["name"] == "boskos");
    assert_eq!(service.unwrap()["spec"]["ports"][0]["targetPort"], 8080);
}

#[test]
fn lifecycles_that_make_no_sense_are_refused() {
    let api = shared();
    let namespace = api.namespace("sense");
    let lifecycle = |min: u32, max: u32| {
        format!(
            r#"{{"apiVersion":"boskos.k8s.io/v1","kind":"DRLCObject","metadata":{{"name":"t"}},
            "spec":{{"min-count":{min},"max-count":{max}}}}}"#
        )
    };
    let create = |text: &str| api.try_kubectl(&["-n", &namespace, "create", "-f", "-"], Some(text));
    let refused = create(&lifecycle(3, 2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("min-count must not be more"), "{refused:?}");
    assert!(create(&lifecycle(2, 2)).status.success());
    // Short names, and the names that the field has.
    for kind in ["bres", "resource", "drlc", "dynamicresourcelifecycle"] {
        api.kubectl(&["-n", &namespace, "get", kind]);
    }
}
