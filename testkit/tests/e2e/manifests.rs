//! What is in `deploy/` fits the binaries.

use std::{collections::BTreeSet, ffi::OsString, fs, path::Path, process::Command};

use boskos_runtime::flags;
use serde_json::Value;

use crate::tools::tools;

fn deploy(path: &str) -> String {
    format!("{}/../deploy/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The objects that a folder makes.
fn built(folder: &str) -> Vec<Value> {
    let output = Command::new(&tools().kubectl).args(["kustomize", &deploy(folder)]).output().unwrap();
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(std::str::from_utf8(&output.stdout).unwrap()).unwrap()
}

fn every_folder() -> Vec<Vec<Value>> {
    let daemons = ["cleaner", "janitor", "mason", "metrics", "reaper"].map(|daemon| format!("base/{daemon}"));
    ["base", "overlays/example"].into_iter().chain(daemons.iter().map(String::as_str)).map(built).collect()
}

fn dockerfile() -> String {
    fs::read_to_string(deploy("Dockerfile")).unwrap()
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
fn names_are_those_that_overlays_in_the_field_patch() {
    let objects = built("overlays/example");
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
    for objects in every_folder() {
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
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
    write("kustomization.yaml", FIELD);
    write("boskos-resources.yaml", "resources: []\n");
    fs::create_dir(folder.path().join("numeric-janitor")).unwrap();
    write("numeric-janitor/kustomization.yaml", FIELD_JANITOR);
    let objects = built(&format!("overlays/{}", folder.path().file_name().unwrap().to_str().unwrap()));
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
    for objects in every_folder() {
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
        crate::fleet::binary(binary);
    }
    // All that are for users; what only tests run is in testkit.
    let shipped = metadata["packages"].as_array().unwrap().iter().filter(|package| package["name"] != "boskos-testkit");
    for binary in shipped.flat_map(targets_of).filter(|target| target["kind"][0] == "bin") {
        let binary = binary["name"].as_str().unwrap().to_owned();
        assert!(dockerfile.contains(&format!("/src/target/release/{binary} ")), "no image has {binary}");
        assert!(targets.contains(if binary == "boskos-server" {
            "boskos"
        } else {
            binary.trim_start_matches("boskos-")
        }));
    }
    assert!(dockerfile.matches("\nUSER 65532:65532").count() >= 2, "images run as nobody");
}
