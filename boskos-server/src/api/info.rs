//! `/api/v1/info`: which server this is.

use boskos_core::GoDuration;
use serde::Serialize;

use super::json;
use crate::{app::App, http::Reply};

/// What the server tells of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The server's version.
    pub version: &'static str,
    /// The commit that it was built from.
    pub commit: &'static str,
    /// The kind of store.
    pub store: &'static str,
    /// Where that is, if it is somewhere.
    pub data_dir: Option<String>,
    /// The bounds that clients meet.
    pub limits: InfoLimits,
}

/// The bounds that clients meet.
#[derive(Clone, Debug, Serialize)]
pub struct InfoLimits {
    /// How long a queue place lasts after the last call of its id.
    #[serde(serialize_with = "as_text")]
    pub request_ttl: GoDuration,
    /// The longest wait.
    #[serde(serialize_with = "as_text")]
    pub max_wait: GoDuration,
    /// Connections at once.
    pub connections: usize,
    /// Calls parked at once.
    pub parked: usize,
    /// Queue places at once.
    pub places: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
}

fn as_text<S: serde::Serializer>(duration: &GoDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(duration)
}

pub(super) fn answer(app: &App) -> Reply {
    json(&app.info)
}
