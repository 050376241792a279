//! What the server's account may do is enough.

use std::path::PathBuf;

use crate::{
    api_server::{ApiServer, deploy, shared},
    replica::{Replica, eventually},
};

const CONFIG: &str =
    "resources:\n- {type: t, state: free, names: [a, b]}\n- {type: d, state: free, min-count: 1, max-count: 2}\n";

/// What the wire contract says that clusters grant already.
const FIELD: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: boskos}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: boskos}
rules:
- {apiGroups: [boskos.k8s.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, update]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [boskos-server], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: boskos}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: boskos}
subjects: [{kind: ServiceAccount, name: boskos, namespace: NAMESPACE}]
"#;

fn account(api: &ApiServer, namespace: &str, rights: &str) -> PathBuf {
    api.kubectl_with(&["-n", namespace, "apply", "-f", "-"], Some(rights));
    api.kubeconfig_of(namespace, "boskos")
}

/// A pod as the Deployment would make it; nothing runs it.
pub(crate) fn make_pod(api: &ApiServer, namespace: &str, name: &str, more_labels: &str) {
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","labels":{{"app":"boskos"{more_labels}}}}},
            "spec":{{"containers":[{{"name":"c","image":"none"}}]}}}}"#
    );
    api.kubectl_with(&["-n", namespace, "create", "-f", "-"], Some(&pod));
}

/// Everything that a server does, with these rights.
fn nothing_is_refused(prefix: &str, rights: impl Fn(&str) -> String) {
    let api = shared();
    let namespace = api.namespace(prefix);
    let kubeconfig = account(api, &namespace, &rights(&namespace));
    make_pod(api, &namespace, "pod-0", "");
    make_pod(api, &namespace, "pod-1", r#","boskos-leader":"true""#);
    let args = ["--enable-leader-election", "--pod-name=pod-0", "--boskos-label-selector=app=boskos"];
    let server = Replica::serving(&kubeconfig, &namespace, CONFIG, &args);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=r").expect_status(404);
    server.post("/release?name=a&dest=free&owner=me").expect_empty();
    server.post("/release?name=b&dest=free&owner=me").expect_empty();
    server.post("/acquirebystate?state=free&dest=leased&owner=me&names=a,b").expect_status(200);
    server.post("/reset?type=t&state=leased&expire=0s&dest=free").expect_status(200);
    // On demand, and deleted again.
    server.post("/acquire?type=d&state=free&dest=busy&owner=me").expect_status(200);
    let granted = server.post("/acquire?type=d&state=free&dest=busy&owner=me&request_id=new");
    granted.expect_status(200);
    let name = granted.json()["name"].as_str().unwrap().to_owned();
    server.post(&format!("/release?name={name}&dest=tombstone&owner=me")).expect_empty();
    eventually("the tombstone is deleted", || server.resource(&name).is_none().then_some(()));
    eventually("the label is moved", || {
        let label = |pod: &str| api.object(&namespace, "pod", pod)["metadata"]["labels"]["boskos-leader"].clone();
        (label("pod-0") == "true" && label("pod-1").is_null()).then_some(())
    });
    let standby = Replica::start(&kubeconfig, &namespace, CONFIG, &["--enable-leader-election"]);
    let all = api.objects(&namespace, "bres").len() + api.objects(&namespace, "drlc").len();
    eventually("a standby may read everything, too", || (standby.standby_objects() == all as u64).then_some(()));
    let log = server.log().into_iter().chain(standby.log());
    assert_eq!(standby.stop(), 0);
    let refused: Vec<_> = log.filter(|line| line.to_string().contains("forbidden")).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(server.stop(), 0);
    let lease = api.object(&namespace, "lease", "boskos-server");
    assert_eq!(lease["spec"]["holderIdentity"], "", "given up");
}

#[test]
fn rights_in_deploy_are_enough() {
    nothing_is_refused("rights", |namespace| {
        let rights = std::fs::read_to_string(deploy("base/rbac.yaml")).unwrap();
        // As kustomize does it.
        rights.trim_end().to_owned() + &format!("\n  namespace: {namespace}\n")
    });
}

#[test]
fn rights_that_clusters_in_the_field_grant_are_enough() {
    nothing_is_refused("field", |namespace| FIELD.replace("NAMESPACE", namespace));
}

#[test]
fn a_projected_token_counts_instead_of_the_kubeconfigs() {
    let api = shared();
    let namespace = api.namespace("token");
    account(api, &namespace, &FIELD.replace("NAMESPACE", &namespace));
    let (kubeconfig, token) = api.token_file_of(&namespace, "boskos");
    let token = format!("--projected-token-file={}", token.display());
    let server = Replica::serving(&kubeconfig, &namespace, CONFIG, &[&token]);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_pod_with_a_projected_token_alone_keeps_its_resources_in_its_cluster() {
    let api = shared();
    let namespace = api.namespace("pod");
    account(api, &namespace, &FIELD.replace("NAMESPACE", &namespace));
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("config.yaml"), CONFIG).unwrap();
    std::fs::create_dir(dir.path().join("projected")).unwrap();
    let token = dir.path().join("projected/token");
    std::fs::copy(api.token_file_of(&namespace, "boskos").1, &token).unwrap();
    let env = api.env_of_pods();
    let args = [format!("--projected-token-file={}", token.display())];
    let args = args.each_ref().map(String::as_str);

    // Without what proves the API server it says what is missing, rather than keep them elsewhere.
    let bare = tempfile::TempDir::new().unwrap();
    std::fs::write(bare.path().join("config.yaml"), CONFIG).unwrap();
    let mut server = Replica::spawn_in(bare, &namespace, &args, &env);
    assert_eq!(server.ended(), 1);
    let last = server.log().pop().unwrap();
    assert!(last["msg"].as_str().unwrap().contains("kube-root-ca.crt"), "{last}");

    api.write_authority(&dir.path().join("projected/ca.crt"));
    let server = Replica::spawn_in(dir, &namespace, &args, &env).standing_by();
    assert_eq!(server.logged("serving")["store"], "kubernetes");
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    let managers = api.kubectl(&[
        "-n",
        &namespace,
        "get",
        "bres",
        "a",
        "-o",
        "jsonpath={.metadata.managedFields[*].manager}",
        "--show-managed-fields",
    ]);
    assert_eq!(managers, "boskos", "who wrote it");
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let api = shared();
    let server = Replica::start(api.kubeconfig(), "no-such-place", CONFIG, &["--enable-leader-election"]);
    let line = server.logged("cannot look at the lease");
    assert!(line["error"].as_str().unwrap().contains(r#"there is no namespace "no-such-place""#), "{line}");
}

#[test]
fn missing_rights_end_the_start_with_the_way_out() {
    let api = shared();
    let namespace = api.namespace("bare");
    api.kubectl(&["-n", &namespace, "create", "serviceaccount", "boskos"]);
    let kubeconfig = api.kubeconfig_of(&namespace, "boskos");
    let mut server = Replica::spawn(&kubeconfig, &namespace, CONFIG, &[]);
    assert_eq!(server.ended(), 1);
    let last = server.log().pop().unwrap();
    assert!(last["msg"].as_str().unwrap().contains("deploy/base/rbac.yaml"), "{last}");
}

#[test]
fn types_are_installed_by_an_administrator_in_one_shot() {
    let api = shared();
    for _ in 0..2 {
        let namespace = "default";
        let mut server = Replica::spawn(api.kubeconfig(), namespace, CONFIG, &["--install-crds"]);
        assert_eq!(server.ended(), 0, "{:?}", server.log());
    }
    let crd = api.object("default", "crd", "resources.boskos.k8s.io");
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Type", "State", "Owner", "Last-Updated"]);
}
