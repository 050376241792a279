//! The verbs of the wire: each reads its parameters, has the ranch decide, and words the answer.

#[expect(clippy::wildcard_enum_match_arm, reason = "replies of other verbs are never given")]
pub mod acquire;
#[expect(clippy::wildcard_enum_match_arm, reason = "replies of other verbs are never given")]
pub mod acquire_by_state;
pub mod metric;
#[expect(clippy::wildcard_enum_match_arm, reason = "replies of other verbs are never given")]
pub mod release;
#[expect(clippy::wildcard_enum_match_arm, reason = "replies of other verbs are never given")]
pub mod reset;
#[expect(clippy::wildcard_enum_match_arm, reason = "replies of other verbs are never given")]
pub mod update;

mod escapes;
mod params;

use ::http::{HeaderValue, Method, StatusCode, header::ALLOW};
use boskos_core::ranch::command::Refusal;

use crate::http::Reply;

/// Seconds after which a client may come back to a store that was out of reach.
const RETRY_AFTER_SECONDS: u64 = 3;

pub(crate) fn only_post(method: &Method, path: &str) -> Reply {
    wrong_method(format!("Method {method}, {path} only accepts POST."), "POST")
}

pub(crate) fn wrong_method(text: String, allowed: &'static str) -> Reply {
    Reply::error(StatusCode::METHOD_NOT_ALLOWED, text).with_header(ALLOW, HeaderValue::from_static(allowed))
}

fn bad_request(text: impl Into<String>) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, text)
}

/// The one place where a refusal becomes a status; `what` is what was refused.
fn refused(what: &str, refusal: &Refusal) -> Reply {
    let status = match refusal {
        Refusal::NoneAvailable(_) | Refusal::UnknownType(_) | Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::NotOwner { .. } => StatusCode::UNAUTHORIZED,
        Refusal::WrongState { .. } => StatusCode::CONFLICT,
        Refusal::Unavailable | Refusal::Crowded(_) | Refusal::TooManyWatches => StatusCode::SERVICE_UNAVAILABLE,
    };
    let reply = Reply::error(status, format!("{what}: {refusal}"));
    if status == StatusCode::SERVICE_UNAVAILABLE { reply.with_retry_after(RETRY_AFTER_SECONDS) } else { reply }
}

/// The answer to a command that got another command's reply, which the ranch never gives.
fn unexpected(verb: &str) -> Reply {
    tracing::error!(verb, "the ranch gave a reply of another verb");
    Reply::error(StatusCode::INTERNAL_SERVER_ERROR, format!("{verb} failed: internal error"))
}
