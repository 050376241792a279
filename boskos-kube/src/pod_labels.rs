//! The label by which traffic finds the leader.

use std::time::Duration;

use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    collection::{JSON, read, request, write, write_timeout},
    error::{ReadError, WriteError},
    lease::LeaseError,
};

const READ: Duration = Duration::from_secs(4);
const ATTEMPTS: usize = 5;

/// A label that one pod of several has.
///
/// Pods are got, listed and replaced, never patched: that is what service accounts in the field may
/// do.
#[derive(Clone)]
pub struct PodLabels {
    client: Client,
    path: String,
    /// The pod that gets it.
    own: String,
    /// The label's key.
    key: String,
    /// Which other pods it is taken off.
    selector: Option<String>,
}

#[derive(Deserialize)]
struct Pods {
    items: Vec<Value>,
}

// === impl PodLabels ===

impl PodLabels {
    /// The label `key`, for the pod `own` of `namespace`, and off all others that match `selector`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, own: String, key: String, selector: Option<String>) -> Self {
        Self { client, path: format!("/api/v1/namespaces/{namespace}/pods"), own, key, selector }
    }

    /// Takes the label off the other pods and puts it on the own one, where it is not so already.
    ///
    /// # Errors
    ///
    /// If a pod cannot be read or written, or is not there.
    pub async fn claim(&self) -> Result<(), LeaseError> {
        if let Some(selector) = &self.selector {
            let selector = percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC);
            let path = format!("{}?labelSelector={selector}", self.path);
            let pods: Pods = read(&self.client, request(Method::GET, path, None), READ).await?;
            for pod in &pods.items {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                if name != self.own && !pod["metadata"]["labels"][&self.key].is_null() {
                    self.label(name, None).await?;
                }
            }
        }
        self.label(&self.own, Some("true")).await
    }

    /// Sets the label of a pod, or takes it off.
    async fn label(&self, name: &str, text: Option<&str>) -> Result<(), LeaseError> {
        let path = format!("{}/{name}", self.path);
        for _ in 0..ATTEMPTS {
            let mut pod: Value = match read(&self.client, request(Method::GET, path.clone(), None), READ).await {
                Ok(pod) => pod,
                // A pod that has gone has no label.
                Err(ReadError::Refused(status)) if status.code == 404 && text.is_none() => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let labels = &mut pod["metadata"]["labels"];
            if labels[&self.key].as_str() == text {
                return Ok(());
            }
            match (text, labels.as_object_mut()) {
                (Some(text), _) => labels[&self.key] = text.into(),
                (None, Some(labels)) => drop(labels.remove(&self.key)),
                (None, None) => {}
            }
            let path = format!("{path}?{}", write_timeout());
            match write::<Value>(&self.client, request(Method::PUT, path, Some((JSON, &pod)))).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Missing) if text.is_none() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(WriteError::Conflict.into())
    }
}

impl std::fmt::Debug for PodLabels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodLabels").field("own", &self.own).field("key", &self.key).finish_non_exhaustive()
    }
}
