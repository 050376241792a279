//! Putting definitions of custom resources in place.

use std::time::Duration;

use http::Method;
use kube::Client;
use serde_json::{Value, json};

use crate::{
    collection::{JSON, MERGE_PATCH, read, request, write},
    error::{ReadError, WriteError},
};

const READ: Duration = Duration::from_secs(10);
const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// What [`install`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It was not there.
    Created,
    /// It was there, and is now as given.
    Updated,
}

/// Why a definition was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It has no name.
    #[error("a definition without a name")]
    Nameless,
    /// It cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// It cannot be written.
    #[error("cannot write {name}")]
    Write {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: WriteError,
    },
}

/// Creates a `CustomResourceDefinition`, or brings the one that is there to the given spec, labels
/// and annotations.
///
/// # Errors
///
/// If the API server cannot be reached or says no.
pub async fn install(client: &Client, definition: &Value) -> Result<Installed, InstallError> {
    let name = definition["metadata"]["name"].as_str().ok_or(InstallError::Nameless)?.to_owned();
    let path = format!("{PATH}/{name}");
    let (done, request) = match read::<Value>(client, request(Method::GET, path.clone(), None), READ).await {
        Ok(there) => {
            let patch = json!({
                "metadata": {
                    "resourceVersion": there["metadata"]["resourceVersion"],
                    "labels": definition["metadata"]["labels"],
                    "annotations": definition["metadata"]["annotations"],
                },
                "spec": definition["spec"],
            });
            (Installed::Updated, request(Method::PATCH, path, Some((MERGE_PATCH, &patch))))
        }
        Err(ReadError::Refused(status)) if status.code == 404 => {
            (Installed::Created, request(Method::POST, PATH.to_owned(), Some((JSON, definition))))
        }
        Err(source) => return Err(InstallError::Read { name, source }),
    };
    match write::<Value>(client, request).await {
        Ok(_) => Ok(done),
        Err(source) => Err(InstallError::Write { name, source }),
    }
}
