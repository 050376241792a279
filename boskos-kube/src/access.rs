//! How the API server is reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// How the API server is reached, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A kubeconfig; without one, the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// A token to use instead of what the kubeconfig or the service account has. The file is read
    /// again when it changes.
    pub token_file: Option<PathBuf>,
}

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The kubeconfig is of no use.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KubeconfigError,
    },
    /// This is no pod.
    #[error("not inside a cluster: name a kubeconfig with --kubeconfig")]
    NotInCluster(#[from] InClusterError),
    /// The token file is of no use.
    #[error("cannot read the token file {path}")]
    TokenFile {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The client could not be made.
    #[error("cannot make a client")]
    Client(#[from] Box<kube::Error>),
}

/// Whether this process runs in a pod with a service account, whose token is mounted or, projected, in `token_file`.
#[must_use]
pub fn is_in_cluster(token_file: Option<&Path>) -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && (token_file.is_some() || Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists())
}

// === impl Access ===

impl Access {
    /// A client, which connects when it is first used.
    ///
    /// # Errors
    ///
    /// If kubeconfig, service account or token file are of no use.
    pub async fn client(&self) -> Result<Client, AccessError> {
        let mut config = match &self.kubeconfig {
            Some(path) => {
                from_kubeconfig(path).await.map_err(|source| AccessError::Kubeconfig { path: path.clone(), source })?
            }
            None => Config::incluster()?,
        };
        if let Some(path) = &self.token_file {
            let read = tokio::fs::metadata(path).await;
            read.map_err(|source| AccessError::TokenFile { path: path.clone(), source })?;
            config.auth_info = kube::config::AuthInfo {
                token_file: Some(path.display().to_string()),
                ..kube::config::AuthInfo::default()
            };
        }
        // Whoever calls knows what may be repeated.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.disable_compression = true;
        Client::try_from(config).map_err(|error| AccessError::Client(Box::new(error)))
    }
}

async fn from_kubeconfig(path: &Path) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}
