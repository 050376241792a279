//! One Lease, changed by one writer at a time.

use std::sync::Arc;

use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    collection::{ATTEMPTS, JSON, READ, no_place, read, request, write, write_timeout},
    error::{ReadError, WriteError},
};

/// One Lease of `coordination.k8s.io`: who holds it, and annotations beside that.
///
/// It is got, created and replaced, never patched, listed or watched. Fields, labels and annotations
/// of others survive.
#[derive(Debug)]
pub struct Lease {
    client: LeaseClient,
    /// The last form known. The lock is held over requests: changes are made one after the other.
    known: Mutex<Option<Value>>,
}

struct LeaseClient {
    client: Client,
    namespace: Arc<str>,
    name: Arc<str>,
    all: String,
    one: String,
}

/// Why a Lease was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It cannot be read.
    #[error("cannot read the lease")]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error("cannot write the lease")]
    Write(#[from] WriteError),
    /// Whoever asked for the change does not want it any more.
    #[error("the lease is not as it must be for this change")]
    Refused,
}

// === impl LeaseError ===

impl LeaseError {
    /// Whether the API server is at fault and not the Lease.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Read(error) => error.is_away(),
            Self::Write(error) => error.is_away(),
            Self::Refused => false,
        }
    }
}

// === impl Lease ===

impl Lease {
    /// The Lease called `name` in `namespace`, which need not be there.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let all = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let one = format!("{all}/{name}");
        let client = LeaseClient { client, namespace: namespace.into(), name: name.into(), all, one };
        Self { client, known: Mutex::new(None) }
    }

    /// Reads it as it is now; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub async fn get(&self) -> Result<Option<Value>, ReadError> {
        let mut known = self.known.lock().await;
        known.clone_from(&self.client.get().await?);
        Ok(known.clone())
    }

    /// The text of an annotation as it is now.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub async fn annotation(&self, key: &str) -> Result<Option<String>, ReadError> {
        let lease = self.get().await?;
        Ok(lease.and_then(|lease| lease["metadata"]["annotations"][key].as_str().map(str::to_owned)))
    }

    /// Changes it, creating it if it is not there. `change` may be called again on a newer form;
    /// `false` leaves it as it is.
    ///
    /// An unknown outcome of one attempt is found out by the next. Only when the last attempt's is
    /// unknown is that returned.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written, or `change` refuses.
    pub async fn change(&self, mut change: impl FnMut(&mut Value) -> bool) -> Result<(), LeaseError> {
        let mut known = self.known.lock().await;
        let mut last = WriteError::Conflict;
        for _ in 0..ATTEMPTS {
            if known.is_none() {
                known.clone_from(&self.client.get().await?);
            }
            let mut next = known.clone().unwrap_or_else(|| self.client.blank());
            if !change(&mut next) {
                return Err(LeaseError::Refused);
            }
            match self.client.put(&next, known.is_some()).await {
                Ok(written) => {
                    *known = Some(written);
                    return Ok(());
                }
                Err(error @ (WriteError::Conflict | WriteError::Missing)) => last = error,
                Err(error) => {
                    *known = None;
                    return Err(error.into());
                }
            }
            *known = None;
        }
        Err(last.into())
    }

    /// Sets an annotation, or takes it off.
    ///
    /// # Errors
    ///
    /// See [`Self::change`]; refused if `allowed` says no of the form that would be changed.
    pub async fn annotate(
        &self,
        key: &str,
        text: Option<&str>,
        allowed: impl Fn(&Value) -> bool,
    ) -> Result<(), LeaseError> {
        self.change(|lease| {
            if !allowed(lease) {
                return false;
            }
            let annotations = &mut lease["metadata"]["annotations"];
            match (text, annotations.as_object_mut()) {
                (Some(text), _) => annotations[key] = text.into(),
                (None, Some(annotations)) => drop(annotations.remove(key)),
                (None, None) => {}
            }
            true
        })
        .await
    }
}

// === impl LeaseClient ===

impl LeaseClient {
    fn blank(&self) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": &*self.name, "namespace": &*self.namespace },
            "spec": {},
        })
    }

    async fn get(&self) -> Result<Option<Value>, ReadError> {
        match read(&self.client, request(Method::GET, self.one.clone(), None), READ).await {
            Ok(lease) => Ok(Some(lease)),
            Err(ReadError::Refused(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, lease: &Value, exists: bool) -> Result<Value, WriteError> {
        let (method, path) = if exists { (Method::PUT, &self.one) } else { (Method::POST, &self.all) };
        let path = format!("{path}?{}", write_timeout());
        match write(&self.client, request(method, path, Some((JSON, lease)))).await {
            Err(WriteError::Missing) if !exists => Err(no_place(&self.namespace, "leases")),
            written => written,
        }
    }
}

impl std::fmt::Debug for LeaseClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseClient").field("path", &self.one).finish_non_exhaustive()
    }
}
