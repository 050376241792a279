//! What flags say of the cluster.

use boskos_kube::{Access, AccessError, Client, InstallError, Installed, PodLabels};

use crate::{args::Serve, replica::Shared};

/// What the API server knows us by: the part before the slash is the manager of the fields that we write.
const USER_AGENT: &str = concat!("boskos/", env!("CARGO_PKG_VERSION"));

/// The definitions of our types, which `--install-crds` puts in place.
const DEFINITIONS: &str = include_str!("../../deploy/base/crd.yaml");

/// Why our types were not put in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallCrdsError {
    /// There is no way to the API server.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The API server says no.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// How this replica reaches the cluster, and who it is there.
///
/// # Errors
///
/// If kubeconfig, service account or token file are of no use.
pub async fn shared(flags: &Serve) -> Result<Shared, AccessError> {
    let client = client(flags).await?;
    let namespace = flags.namespace.clone();
    let pod = flags.pod_name.clone().filter(|name| !name.is_empty());
    let identity = flags.enable_leader_election.then(|| {
        let host = pod.clone().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
        format!("{}_{}", host.as_deref().map_or("boskos", str::trim), uuid::Uuid::new_v4())
    });
    if identity.is_some() && pod.is_none() {
        tracing::warn!(
            label = flags.leader_label_key,
            "--pod-name is not given: no pod gets the label by which a Service finds the leader"
        );
    }
    let labels = pod.filter(|_| identity.is_some()).map(|pod| {
        let selector = flags.boskos_label_selector.clone().filter(|selector| !selector.is_empty());
        PodLabels::new(client.clone(), &namespace, pod, flags.leader_label_key.clone(), selector)
    });
    Ok(Shared { client, namespace, identity, labels })
}

/// Puts our types in place: what was done, by name.
///
/// # Errors
///
/// If there is no way to the API server, or it says no.
pub async fn install_crds(flags: &Serve) -> Result<Vec<String>, InstallCrdsError> {
    let client = client(flags).await?;
    let mut done = Vec::new();
    for definition in definitions() {
        let verb = match boskos_kube::install(&client, &definition).await? {
            Installed::Created => "created",
            Installed::Updated => "updated",
        };
        done.push(format!("{} {verb}", definition["metadata"]["name"].as_str().unwrap_or_default()));
    }
    Ok(done)
}

fn definitions() -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(DEFINITIONS).expect("the definitions in deploy/ are YAML")
}

async fn client(flags: &Serve) -> Result<Client, AccessError> {
    let access = Access {
        kubeconfig: flags.kubeconfig.clone().filter(|path| !path.as_os_str().is_empty()),
        token_file: flags.token_file().map(Into::into),
        user_agent: USER_AGENT,
    };
    access.client().await
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_two_definitions() {
        let names: Vec<_> = super::definitions().iter().map(|one| one["metadata"]["name"].to_string()).collect();
        assert_eq!(names, ["\"resources.boskos.k8s.io\"", "\"dynamicresourcelifecycles.boskos.k8s.io\""]);
    }
}
