//! What is in `deploy/` applies, and fits the binaries.

use std::{collections::BTreeSet, path::Path, process::Command};

use clap::CommandFactory as _;
use serde_json::Value;

use crate::{
    api_server::{deploy, new_name, shared},
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
    ["base", "base/mason", "base/metrics", "overlays/example"].map(built).into()
}

fn dockerfile() -> String {
    std::fs::read_to_string(deploy("Dockerfile")).unwrap()
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
    for (yaml, objects) in every_folder() {
        // A daemon's folder alone says nothing of the namespace.
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
    // Without what only the Prometheus operator has.
    let folder = tempfile::Builder::new().prefix("made-").tempdir_in(deploy("overlays")).unwrap();
    let yaml = "resources: [../../base]\nconfigMapGenerator:\n- name: boskos-resources\n  files: [boskos-resources.yaml]\n\
                generatorOptions: {disableNameSuffixHash: true, labels: {app: boskos}}\n";
    std::fs::write(folder.path().join("kustomization.yaml"), yaml).unwrap();
    std::fs::copy(deploy("overlays/example/boskos-resources.yaml"), folder.path().join("boskos-resources.yaml"))
        .unwrap();
    let overlay = [format!("OVERLAY={}", folder.path().display())];

    must_make("server-deployment", &namespace, &overlay);
    let deployments = || api.objects(&namespace, "deployments").len();
    assert_eq!((deployments(), api.objects(&namespace, "rolebindings").len()), (1, 1));
    must_make("deployment", &namespace, &overlay);
    assert_eq!(deployments(), 4);
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
}

#[test]
fn names_are_those_that_overlays_in_the_field_patch() {
    let (_, objects) = built("overlays/example");
    let names: BTreeSet<String> = objects
        .iter()
        .map(|object| format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap()))
        .collect();
    for name in [
        "Deployment/boskos",
        "Deployment/boskos-janitor",
        "Deployment/boskos-reaper",
        "Deployment/boskos-cleaner",
        "Service/boskos",
        "Service/boskos-metrics",
        "ConfigMap/boskos-resources",
    ] {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    for deployment in objects.iter().filter(|object| object["kind"] == "Deployment") {
        assert_eq!(deployment["metadata"]["labels"]["app"], deployment["metadata"]["name"]);
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["app"], deployment["metadata"]["name"]);
    }
    let config = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let text = config["data"]["boskos-resources.yaml"].as_str().unwrap();
    boskos_core::Config::parse(text.as_bytes()).unwrap();
}

#[test]
fn flags_in_manifests_are_ones_that_the_binaries_accept() {
    let mut looked_at = 0;
    for (_, objects) in every_folder() {
        for container in containers(&objects) {
            let image = image_of(container);
            let command = match image {
                "boskos" => boskos_server::args::Args::command(),
                "reaper" => boskos_reaper::Flags::command(),
                "janitor" => boskos_janitor::Flags::command(),
                "cleaner" => boskos_cleaner::Flags::command(),
                "mason" => boskos_mason::flags::Flags::command(),
                "metrics" => boskos_metrics::flags::Flags::command(),
                other => panic!("no such image: {other}"),
            };
            let flags: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
            for arg in container["args"].as_array().unwrap() {
                let flag = arg.as_str().unwrap().trim_start_matches('-').split('=').next().unwrap();
                assert!(flags.contains(&flag), "{image} does not know --{flag}");
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 10);
}

#[test]
fn images_are_built_of_what_is_there() {
    let dockerfile = dockerfile();
    let targets: BTreeSet<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM ")?.split_once(" AS ").map(|(_, target)| target))
        .collect();
    for (_, objects) in every_folder() {
        for container in containers(&objects) {
            assert!(targets.contains(image_of(container)), "no target for {}", container["image"]);
        }
    }
    let metadata =
        Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--offline", "--format-version=1"]).output();
    let metadata: Value = serde_json::from_slice(&metadata.unwrap().stdout).unwrap();
    let targets_of = |package: &Value| package["targets"].as_array().unwrap().clone();
    let built: BTreeSet<String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(targets_of)
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| target["name"].as_str().unwrap().to_owned())
        .collect();
    for path in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY --from=build ")?.split(' ').next()) {
        let binary = Path::new(path).file_name().unwrap().to_str().unwrap();
        assert!(built.contains(binary), "nothing builds {binary}");
    }
    assert!(dockerfile.matches("\nUSER 65532:65532").count() >= 2, "images run as nobody");
}

#[test]
fn a_config_of_one_key_works_too() {
    let folder = tempfile::Builder::new().prefix("one-key-").tempdir_in(deploy("overlays")).unwrap();
    let kustomization = "resources: [../../base]\ncomponents: [../../components/one-key-config]\n";
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let (_, objects) = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
    let server = objects.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "boskos");
    let volume = &server.unwrap()["spec"]["template"]["spec"]["volumes"][0]["configMap"];
    assert_eq!((&volume["name"], &volume["items"][0]["key"]), (&"resources".into(), &"config".into()));
}

fn containers(objects: &[Value]) -> Vec<&Value> {
    let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
    deployments.map(|deployment| &deployment["spec"]["template"]["spec"]["containers"][0]).collect()
}

/// `boskos/NAME:TAG` is the target NAME.
fn image_of(container: &Value) -> &str {
    container["image"].as_str().unwrap().strip_prefix("boskos/").unwrap().split(':').next().unwrap()
}
