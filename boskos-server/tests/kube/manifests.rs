//! What is in `deploy/` applies, and fits the binaries.

use std::{collections::BTreeSet, ffi::OsString, path::Path, process::Command};

use boskos_runtime::flags;
use serde_json::Value;

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
    let folder = tempfile::Builder::new().prefix("watched-").tempdir_in(deploy("overlays")).unwrap();
    let watched = "resources: [../example]\ncomponents: [../../components/monitoring]\nnamespace: boskos\n";
    std::fs::write(folder.path().join("kustomization.yaml"), watched).unwrap();
    let watched = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
    assert!(watched.0.contains("kind: ServiceMonitor") && !built("overlays/example").0.contains("monitoring.coreos"));
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

    // Nor does a deployment put the example over what serves; the rest is applied.
    api.kubectl(&["-n", &namespace, "delete", "deployments", "--all"]);
    for target in ["server-deployment", "deployment"] {
        must_make(target, &namespace, &overlay);
        assert!(text().as_str().unwrap().contains("lower"), "{target}");
    }
    assert_eq!(deployments(), 6);
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

/// The args as the kubelet hands them over; what it cannot expand stays as it is.
fn expanded_args(container: &Value) -> Vec<String> {
    let env = container["env"].as_array().cloned().unwrap_or_default();
    let expand = |arg: &Value| {
        env.iter().fold(arg.as_str().unwrap().to_owned(), |arg, variable| {
            let value = if variable["valueFrom"].is_null() { variable["value"].as_str().unwrap_or("") } else { "pod" };
            arg.replace(&format!("$({})", variable["name"].as_str().unwrap()), value)
        })
    };
    container["args"].as_array().unwrap().iter().map(expand).collect()
}

#[track_caller]
fn args_are_accepted(container: &Value) {
    let args = expanded_args(container);
    assert!(!args.iter().any(|arg| arg.contains("$(")), "unknown variables: {args:?}");
    let line = || std::iter::once("app".to_owned()).chain(args.clone()).map(OsString::from);
    let (image, parsed) = (image_of(container), "parsed");
    let outcome = match image {
        "boskos" => flags::try_parse_from::<boskos_server::args::Args, _>(line()).map(|_| parsed),
        "reaper" => flags::try_parse_from::<boskos_reaper::Flags, _>(line()).map(|_| parsed),
        "janitor" => flags::try_parse_from::<boskos_janitor::Flags, _>(line()).map(|_| parsed),
        "cleaner" => flags::try_parse_from::<boskos_cleaner::Flags, _>(line()).map(|_| parsed),
        "mason" => flags::try_parse_from::<boskos_mason::flags::Flags, _>(line()).map(|_| parsed),
        "metrics" => flags::try_parse_from::<boskos_metrics::flags::Flags, _>(line()).map(|_| parsed),
        other => panic!("no such image: {other}"),
    };
    assert!(outcome.is_ok(), "{image} {args:?}: {}", outcome.err().unwrap());
    let url = args.iter().find_map(|arg| arg.strip_prefix("--boskos-url="));
    assert_eq!(url, (image != "boskos").then_some("http://boskos"), "{image}");
}

#[test]
fn args_in_manifests_are_accepted_by_the_binaries() {
    let mut looked_at = 0;
    for (_, objects) in every_folder() {
        for container in containers(&objects) {
            args_are_accepted(container);
            looked_at += 1;
        }
    }
    assert!(looked_at > 10);
}

/// As overlays of the original look: daemons beside the base, and an `env` of their own.
const FIELD: &str = r#"
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: in-the-field
bases:
- ../../base
- ../../base/cleaner
- ../../base/reaper
- numeric-janitor
configMapGenerator:
- name: boskos-resources
  files: [boskos-resources.yaml]
generatorOptions: {disableNameSuffixHash: true}
patchesJson6902:
- target: {group: apps, version: v1, kind: Deployment, name: boskos-reaper, namespace: boskos}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/env
      value:
      - name: REAPER_RESOURCE_TYPES
        value: numeric-project,phonetic-project
- target: {group: apps, version: v1, kind: Deployment, name: boskos, namespace: boskos}
  patch: '[{"op": "replace", "path": "/spec/replicas", "value": 3}]'
- target: {version: v1, kind: Service, name: boskos, namespace: boskos}
  patch: '[{"op": "add", "path": "/spec/type", "value": "NodePort"}]'
"#;

const FIELD_JANITOR: &str = r"
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
nameSuffix: -numeric
commonLabels: {app: boskos-janitor-numeric}
bases:
- ../../../base/janitor
replicas:
- {name: boskos-janitor, count: 2}
patchesJson6902:
- target: {group: apps, version: v1, kind: Deployment, name: boskos-janitor, namespace: boskos}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/env
      value:
      - {name: JANITOR_RESOURCE_TYPES, value: numeric-project}
      - {name: JANITOR_BINARY, value: /bin/echo}
";

#[test]
fn overlays_in_the_field_still_patch() {
    let folder = tempfile::Builder::new().prefix("field-").tempdir_in(deploy("overlays")).unwrap();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    write("kustomization.yaml", FIELD);
    write("boskos-resources.yaml", "resources: []\n");
    std::fs::create_dir(folder.path().join("numeric-janitor")).unwrap();
    write("numeric-janitor/kustomization.yaml", FIELD_JANITOR);
    let (_, objects) = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
    let all: Vec<Vec<String>> = containers(&objects).into_iter().map(expanded_args).collect();
    containers(&objects).into_iter().for_each(args_are_accepted);
    for arg in ["--resource-type=numeric-project,phonetic-project", "--janitor-path=/bin/echo"] {
        assert!(all.iter().flatten().any(|given| given == arg), "{arg}: {all:?}");
    }
    assert_eq!(all.len(), 4, "{all:?}");
    for (kind, path, value) in
        [("Deployment", "/spec/replicas", Value::from(3)), ("Service", "/spec/type", "NodePort".into())]
    {
        let patched = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == "boskos");
        assert_eq!(patched.unwrap().pointer(path), Some(&value));
    }
    assert!(
        objects.iter().all(|object| object["metadata"]["namespace"].as_str().is_none_or(|it| it == "in-the-field"))
    );
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
        assert_eq!(path, format!("/src/target/release/{binary}"));
        let here = Path::new(env!("CARGO_BIN_EXE_boskos-server")).with_file_name(binary);
        assert!(here.exists(), "no {}: `cargo build --workspace` comes before this", here.display());
    }
    assert!(dockerfile.matches("\nUSER 65532:65532").count() >= 2, "images run as nobody");
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
    assert!(expanded_args(container).contains(&format!("--config={mounted}")));
    let config = text(&api.object(&namespace, "configmap", &text(&volume["name"]))["data"][text(&item["key"])]);
    let server = Replica::serving(api.kubeconfig(), &namespace, &config, &[]);
    assert!(server.resource("one-key").is_some());
}

fn containers(objects: &[Value]) -> Vec<&Value> {
    let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
    deployments.map(|deployment| &deployment["spec"]["template"]["spec"]["containers"][0]).collect()
}

/// `boskos/NAME:TAG` is the target NAME.
fn image_of(container: &Value) -> &str {
    container["image"].as_str().unwrap().strip_prefix("boskos/").unwrap().split(':').next().unwrap()
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
