//! How the API server is reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{
    HeaderValue,
    header::{InvalidHeaderValue, USER_AGENT},
};
use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// Where pods find their service account.
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Set in every container of a pod.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";

/// What proves the API server to be the cluster's, beside a token.
const AUTHORITY: &str = "ca.crt";

/// How the API server is reached, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A kubeconfig; without one, the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// A token to use instead of what the kubeconfig or the service account has. The file is read
    /// again when it changes.
    pub token_file: Option<PathBuf>,
    /// What the program calls itself, as `name/version`. The API server has the name as the manager of the
    /// fields that it writes. Visible ASCII and blanks; empty for what the `kube` crate says.
    pub user_agent: &'static str,
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
    /// There is a token file, and nothing that proves the API server.
    #[error(
        "no {AUTHORITY} in {MOUNTED}, nor at {beside}: mount that of the ConfigMap kube-root-ca.crt beside the token"
    )]
    NoAuthority {
        /// Where it could be, too.
        beside: PathBuf,
    },
    /// The token file is of no use.
    #[error("cannot read the token file {path}")]
    TokenFile {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// What the program calls itself is no header.
    #[error("{text:?} cannot be sent as the name of a program: visible ASCII and blanks can")]
    UserAgent {
        /// What it calls itself.
        text: &'static str,
        /// What is wrong with it.
        #[source]
        source: InvalidHeaderValue,
    },
    /// The client could not be made.
    #[error("cannot make a client")]
    Client(#[from] Box<kube::Error>),
}

/// Whether this process runs in a pod with a service account, whose token is mounted or, projected, in `token_file`.
#[must_use]
pub fn is_in_cluster(token_file: Option<&Path>) -> bool {
    std::env::var_os(SERVICE_HOST).is_some() && (token_file.is_some() || Path::new(MOUNTED).join("token").exists())
}

// === impl Access ===

impl Access {
    async fn in_cluster(&self) -> Result<Config, AccessError> {
        let mounted = Path::new(MOUNTED).join(AUTHORITY).exists();
        let Some(token) = self.token_file.as_deref().filter(|_| !mounted) else { return Ok(Config::incluster()?) };
        let (Ok(host), Ok(port)) = (std::env::var(SERVICE_HOST), std::env::var("KUBERNETES_SERVICE_PORT")) else {
            return Ok(Config::incluster()?);
        };
        let beside = token.with_file_name(AUTHORITY);
        if !beside.exists() {
            return Err(AccessError::NoAuthority { beside });
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let kubeconfig = serde_json::json!({
            "clusters": [{"name": "c", "cluster": {"server": format!("https://{host}:{port}"), "certificate-authority": beside}}],
            "users": [{"name": "u", "user": {"tokenFile": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig).expect("it is of that shape");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        config.map_err(|source| AccessError::Kubeconfig { path: beside, source })
    }

    /// A client, which connects when it is first used.
    ///
    /// # Errors
    ///
    /// If kubeconfig, service account, token file or the program's name are of no use.
    pub async fn client(&self) -> Result<Client, AccessError> {
        let user_agent = HeaderValue::from_str(self.user_agent)
            .map_err(|source| AccessError::UserAgent { text: self.user_agent, source })?;
        let mut config = match &self.kubeconfig {
            Some(path) => {
                from_kubeconfig(path).await.map_err(|source| AccessError::Kubeconfig { path: path.clone(), source })?
            }
            None => self.in_cluster().await?,
        };
        if let Some(path) = &self.token_file {
            let read = tokio::fs::metadata(path).await;
            read.map_err(|source| AccessError::TokenFile { path: path.clone(), source })?;
            config.auth_info = kube::config::AuthInfo {
                token_file: Some(path.display().to_string()),
                ..kube::config::AuthInfo::default()
            };
        }
        if !user_agent.is_empty() {
            config.headers.push((USER_AGENT, user_agent));
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_program_whose_name_is_no_header_is_told_so() {
        let access = Access { user_agent: "boskos\n/1", ..Access::default() };
        let refused = access.client().now_or_never().expect("before anything is read").map(drop).unwrap_err();
        assert!(matches!(refused, AccessError::UserAgent { .. }), "{refused:?}");
        assert!(refused.to_string().starts_with(r#""boskos\n/1" cannot be sent"#), "{refused}");
    }
}
