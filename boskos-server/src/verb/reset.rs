//! `/reset`: stale resources are taken from their owners.

use boskos_core::{
    GoDuration, ResourceType, State,
    ranch::command::{Command, Reply as Answered, Reset},
};

use super::{bad_request, params, refused, unexpected};
use crate::{app::App, http::Reply};

pub(crate) async fn answer(app: &App, query: &str) -> Reply {
    let [r#type, state, expire, dest] = params::values(query, ["type", "state", "expire", "dest"]);
    if r#type.is_empty() || state.is_empty() || expire.is_empty() || dest.is_empty() {
        return bad_request(format!(
            "Type: {type}, state: {state}, expire: {expire}, dest: {dest}, all of them must be set in the request."
        ));
    }
    let expire = match GoDuration::parse(&expire) {
        Ok(expire) => expire,
        Err(error) => return bad_request(error.to_string()),
    };
    let command =
        Reset { r#type: ResourceType::from(&*r#type), state: State::from(&*state), expire, dest: State::from(&*dest) };
    match app.steward.call(Command::Reset(command)).await.open().0 {
        Answered::Reset(taken) => Reply::text(boskos_core::wire::names_to_owners(&taken)),
        Answered::Refused(refusal) => refused("Reset failed", &refusal),
        _ => unexpected("Reset"),
    }
}
