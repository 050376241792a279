//! All objects of one type in one namespace.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use futures_util::Stream;
use http::{
    HeaderValue, Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use kube::{Client, core::WatchEvent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    error::{ReadError, WriteError},
    object::{Meta, Object, Version, integer},
};

/// How long one write may take; the API server is told, and gives it up then as well.
pub const WRITE: Duration = Duration::from_secs(4);

/// How long reading one object may take.
pub(crate) const READ: Duration = Duration::from_secs(4);

/// How often a change is tried again on a form that someone else wrote meanwhile.
pub(crate) const ATTEMPTS: usize = 5;

/// How long reading one page of a list may take.
const LIST: Duration = Duration::from_secs(30);

/// Objects in one page of a list.
const PAGE: usize = 5_000;

/// How long the API server keeps a watch open.
const WATCH_SECONDS: u64 = 290;

/// What stands in a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All objects of one type in one namespace.
pub struct Collection<K> {
    client: Client,
    namespace: Arc<str>,
    path: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

/// All objects at one moment.
#[derive(Clone, Debug)]
pub struct Listing<K> {
    /// The objects.
    pub items: Vec<K>,
    /// The version of the moment: where a watch goes on.
    pub version: Version,
}

#[derive(Deserialize)]
struct Page<K> {
    metadata: PageMeta,
    items: Vec<K>,
}

/// An object of which nothing else is looked at.
#[derive(Deserialize)]
struct Head {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(deserialize_with = "integer")]
    resource_version: Version,
    #[serde(default, rename = "continue")]
    next: String,
}

// === impl Collection ===

impl<K> Clone for Collection<K> {
    fn clone(&self) -> Self {
        let Self { client, namespace, path, kind } = self;
        Self { client: client.clone(), namespace: namespace.clone(), path: path.clone(), kind: *kind }
    }
}

impl<K: Object> Collection<K> {
    /// The objects in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.into(), path: K::DEFINITION.path(namespace).into(), kind: PhantomData }
    }

    /// Reads one object as it is now; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub async fn get(&self, name: &str) -> Result<Option<K>, ReadError> {
        let request = request(Method::GET, self.path_of(name, ""), None);
        match read::<K>(&self.client, request, READ).await {
            Ok(object) => Ok(Some(object)),
            Err(ReadError::Refused(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects as they are now. What was written before the call is in it.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub async fn list(&self) -> Result<Listing<K>, ReadError> {
        self.list_as(JSON).await
    }

    /// The same of their metadata alone.
    pub(crate) async fn list_metas(&self) -> Result<Listing<Meta>, ReadError> {
        let Listing { items, version } = self.list_as::<Head>(METADATA).await?;
        Ok(Listing { items: items.into_iter().map(|head| head.metadata).collect(), version })
    }

    async fn list_as<T: DeserializeOwned>(&self, form: &'static str) -> Result<Listing<T>, ReadError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let next_page = utf8_percent_encode(&next, SEGMENT);
            let path = format!("{}?limit={PAGE}&continue={next_page}", self.path);
            let mut request = request(Method::GET, path, None);
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static(form));
            let page: Page<T> = read(&self.client, request, LIST).await?;
            items.extend(page.items);
            if page.metadata.next.is_empty() {
                return Ok(Listing { items, version: page.metadata.resource_version });
            }
            next = page.metadata.next;
        }
    }

    /// Reads at most one object, to see whether the API server answers.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no.
    pub async fn probe(&self) -> Result<(), ReadError> {
        let path = format!("{}?limit=1", self.path);
        read::<Page<K>>(&self.client, request(Method::GET, path, None), READ).await.map(drop)
    }

    /// Creates an object. `body` has everything but `apiVersion`, `kind`, name and namespace.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; it is a conflict if the name is taken.
    pub async fn create(&self, name: &str, mut body: Value) -> Result<K, WriteError> {
        body["apiVersion"] = K::DEFINITION.api_version().into();
        body["kind"] = K::DEFINITION.kind.into();
        body["metadata"]["name"] = name.into();
        body["metadata"]["namespace"] = (*self.namespace).into();
        let path = format!("{}?{}", self.path, write_timeout());
        match write(&self.client, request(Method::POST, path, Some((JSON, &body)))).await {
            Err(WriteError::Missing) => Err(no_place(&self.namespace, K::DEFINITION.plural)),
            written => written,
        }
    }

    /// Merges `patch` into the object, if it is of `version` still.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub async fn patch(&self, name: &str, version: Version, mut patch: Value) -> Result<K, WriteError> {
        patch["metadata"]["resourceVersion"] = version.to_string().into();
        let path = self.path_of(name, &write_timeout());
        write(&self.client, request(Method::PATCH, path, Some((MERGE_PATCH, &patch)))).await
    }

    /// Deletes the object, if it is that one and of `version` still. It may stay until its
    /// finalizers are gone.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub async fn delete(&self, name: &str, uid: &str, version: Version) -> Result<(), WriteError> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": uid, "resourceVersion": version.to_string() },
        });
        let path = self.path_of(name, &write_timeout());
        write::<Value>(&self.client, request(Method::DELETE, path, Some((JSON, &options)))).await.map(drop)
    }

    /// Watches for changes after `version`.
    pub(crate) async fn watch(
        &self,
        version: Version,
    ) -> Result<impl Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send + use<K>, ReadError> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
            self.path
        );
        let events = self.client.request_events::<K>(request(Method::GET, path, None));
        let events = tokio::time::timeout(READ, events).await.map_err(|_| ReadError::TimedOut(READ))?;
        events.map_err(ReadError::of)
    }

    fn path_of(&self, name: &str, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/{}{mark}{query}", self.path, utf8_percent_encode(name, SEGMENT))
    }
}

impl<K> std::fmt::Debug for Collection<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection").field("path", &self.path).finish_non_exhaustive()
    }
}

// === requests ===

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// Objects without spec and status; whoever does not know that form answers with whole ones.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Why something cannot be created that nothing is the matter with.
pub(crate) fn no_place(namespace: &str, plural: &str) -> WriteError {
    let why = format!("there is no namespace {namespace:?}, or the type of {plural} is not installed");
    WriteError::Refused(Box::new(kube::core::Status::failure(&why, "NotFound").with_code(404)))
}

pub(crate) fn write_timeout() -> String {
    format!("timeout={}s", WRITE.as_secs())
}

pub(crate) fn request(method: Method, path: String, body: Option<(&'static str, &Value)>) -> Request<Vec<u8>> {
    let builder = Request::builder().method(method).uri(path);
    let request = match body {
        Some((kind, body)) => {
            builder.header(CONTENT_TYPE, kind).body(serde_json::to_vec(body).expect("JSON is written as JSON"))
        }
        None => builder.body(Vec::new()),
    };
    request.expect("paths are made of encoded parts")
}

pub(crate) async fn read<T: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
    within: Duration,
) -> Result<T, ReadError> {
    let text = tokio::time::timeout(within, client.request_text(request)).await;
    let text = text.map_err(|_| ReadError::TimedOut(within))?.map_err(ReadError::of)?;
    serde_json::from_str(&text).map_err(ReadError::Unreadable)
}

pub(crate) async fn write<T: DeserializeOwned>(client: &Client, request: Request<Vec<u8>>) -> Result<T, WriteError> {
    let text = tokio::time::timeout(WRITE, client.request_text(request)).await;
    let text = text.map_err(|_| WriteError::Unknown(format!("no answer within {WRITE:?}")))?;
    let text = text.map_err(WriteError::of)?;
    serde_json::from_str(&text).map_err(|error| WriteError::Unknown(format!("its answer cannot be read: {error}")))
}
