//! `/acquire`: one resource of a type and state, the least recently updated.

use std::time::Duration;

use boskos_core::{
    DurationError, GoDuration, Owner, ResourceType, State,
    ranch::command::{Acquire, Command, Reply as Answered},
};

use super::{bad_request, params, refused, unexpected};
use crate::{app::App, http::Reply};

pub(crate) async fn answer(app: &App, query: &str) -> Reply {
    let [r#type, state, dest, owner, request_id, wait] =
        params::values(query, ["type", "state", "dest", "owner", "request_id", "wait"]);
    if r#type.is_empty() || state.is_empty() || dest.is_empty() || owner.is_empty() {
        return bad_request(format!(
            "Bad request: Type: {type}, state: {state}, dest: {dest}, owner: {owner}, \
             all of them must be set in the request."
        ));
    }
    let wait = match wait_of(&wait, app.max_wait) {
        Ok(wait) => wait,
        Err(error) => return bad_request(error.to_string()),
    };
    let has_request_id = !request_id.is_empty();
    let from = State::from(&*state);
    let command = Acquire {
        r#type: ResourceType::from(&*r#type),
        state: from.clone(),
        dest: State::from(&*dest),
        owner: Owner::from(&*owner),
        request_id: has_request_id.then(|| request_id.into_owned()),
        wait,
    };
    let (reply, undo) = app.steward.call(Command::Acquire(command)).await.open();
    match reply {
        Answered::Granted(granted) => {
            let resource = &granted.record.resource;
            app.instruments.granted(resource, &from, has_request_id, granted.waited);
            Reply::text(resource.to_json()).with_delivery(undo)
        }
        Answered::Refused(refusal) => refused("Acquire failed", &refusal),
        _ => unexpected("Acquire"),
    }
}

/// How long to wait; nothing said is not at all, and `most` is the most.
pub(crate) fn wait_of(text: &str, most: Duration) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    Ok(GoDuration::parse(text)?.to_std_or_zero().min(most))
}
