//! The label by which traffic finds the leader.

use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    collection::{ATTEMPTS, JSON, READ, read, request, write, write_timeout},
    error::{ReadError, WriteError},
    fence::Fence,
};

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

/// Why a label is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum PodLabelError {
    /// It is not known which pods have it.
    #[error("cannot list the pods")]
    List(#[source] ReadError),
    /// A pod cannot be read.
    #[error("cannot read the pod {pod}")]
    Read {
        /// Its name.
        pod: String,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// A pod cannot be written.
    #[error("cannot write the pod {pod}")]
    Write {
        /// Its name.
        pod: String,
        /// Why not.
        #[source]
        source: WriteError,
    },
    /// Another may lead by now.
    #[error("no longer leading, so that the pod {pod} stays as it is")]
    NotLeading {
        /// Its name.
        pod: String,
    },
}

// === impl PodLabelError ===

impl PodLabelError {
    /// The pod that it is about; `None` if it is about all.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        match self {
            Self::List(_) => None,
            Self::Read { pod, .. } | Self::Write { pod, .. } | Self::NotLeading { pod } => Some(pod),
        }
    }

    /// Whether the API server is at fault and not the pod.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::List(error) | Self::Read { source: error, .. } => error.is_away(),
            Self::Write { source, .. } => source.is_away(),
            Self::NotLeading { .. } => false,
        }
    }
}

// === impl PodLabels ===

impl PodLabels {
    /// The label `key`, for the pod `own` of `namespace`, and off all others that match `selector`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, own: String, key: String, selector: Option<String>) -> Self {
        Self { client, path: format!("/api/v1/namespaces/{namespace}/pods"), own, key, selector }
    }

    /// Puts the label on the own pod and takes it off the other ones, where it is not so already. Nothing
    /// is written once `fence` is shut: the label is another leader's by then.
    ///
    /// # Errors
    ///
    /// All pods that could not be read or written; the others are as they should be.
    pub async fn claim(&self, fence: &Fence) -> Result<(), Vec<PodLabelError>> {
        let mut errors = Vec::new();
        // Traffic that comes here is worth more than none that goes elsewhere.
        errors.extend(self.label(&self.own, Some("true"), fence).await.err());
        match self.others().await {
            Ok(others) => {
                for name in &others {
                    errors.extend(self.label(name, None, fence).await.err());
                }
            }
            Err(error) => errors.push(PodLabelError::List(error)),
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The other pods that have the label.
    async fn others(&self) -> Result<Vec<String>, ReadError> {
        let Some(selector) = &self.selector else { return Ok(Vec::new()) };
        let selector = percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("{}?labelSelector={selector}", self.path);
        let pods: Pods = read(&self.client, request(Method::GET, path, None), READ).await?;
        let labelled = pods.items.iter().filter(|pod| !pod["metadata"]["labels"][&self.key].is_null());
        let names = labelled.filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.filter(|name| *name != self.own).map(str::to_owned).collect())
    }

    /// Sets the label of a pod, or takes it off.
    async fn label(&self, name: &str, text: Option<&str>, fence: &Fence) -> Result<(), PodLabelError> {
        let (pod, path) = (|| name.to_owned(), format!("{}/{name}", self.path));
        for _ in 0..ATTEMPTS {
            let mut object: Value = match read(&self.client, request(Method::GET, path.clone(), None), READ).await {
                Ok(object) => object,
                // A pod that has gone has no label.
                Err(ReadError::Refused(status)) if status.code == 404 && text.is_none() => return Ok(()),
                Err(source) => return Err(PodLabelError::Read { pod: pod(), source }),
            };
            let labels = &mut object["metadata"]["labels"];
            if labels[&self.key].as_str() == text {
                return Ok(());
            }
            match (text, labels.as_object_mut()) {
                (Some(text), _) => labels[&self.key] = text.into(),
                (None, Some(labels)) => drop(labels.remove(&self.key)),
                (None, None) => {}
            }
            if !fence.is_open() {
                return Err(PodLabelError::NotLeading { pod: pod() });
            }
            let path = format!("{path}?{}", write_timeout());
            match write::<Value>(&self.client, request(Method::PUT, path, Some((JSON, &object)))).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Missing) if text.is_none() => return Ok(()),
                Err(source) => return Err(PodLabelError::Write { pod: pod(), source }),
            }
        }
        Err(PodLabelError::Write { pod: pod(), source: WriteError::Conflict })
    }
}

impl std::fmt::Debug for PodLabels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodLabels").field("own", &self.own).field("key", &self.key).finish_non_exhaustive()
    }
}
