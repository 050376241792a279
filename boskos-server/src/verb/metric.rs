//! `/metric`: counts of one type.

use ::http::StatusCode;

use super::{bad_request, params};
use crate::{app::App, http::Reply};

pub(crate) fn answer(app: &App, query: &str) -> Reply {
    let [r#type] = params::values(query, ["type"]);
    if r#type.is_empty() {
        return bad_request("Type must be set in the request.");
    }
    match app.steward.read(|ranch, _| ranch.counts(&r#type)) {
        Some(counts) => Reply::json(boskos_core::wire::metric(&counts.into())),
        None => Reply::error(StatusCode::NOT_FOUND, format!("no available resource {type}, try again later.")),
    }
}
