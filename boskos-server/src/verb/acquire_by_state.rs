//! `/acquirebystate`: all the named resources or none.

use boskos_core::{
    Owner, Resource, ResourceName, State,
    ranch::command::{AcquireByState, Command, Reply as Answered},
};

use super::{bad_request, params, refused, unexpected};
use crate::{app::App, http::Reply};

pub(crate) async fn answer(app: &App, query: &str) -> Reply {
    let [state, dest, owner, names] = params::values(query, ["state", "dest", "owner", "names"]);
    if state.is_empty() || dest.is_empty() || owner.is_empty() || names.is_empty() {
        return bad_request(format!(
            "state: {state}, dest: {dest}, owner: {owner}, names: {names} - all of them must be set in the request."
        ));
    }
    let mut seen = hashbrown::HashSet::new();
    let command = AcquireByState {
        state: State::from(&*state),
        dest: State::from(&*dest),
        owner: Owner::from(&*owner),
        names: names.split(',').filter(|name| seen.insert(*name)).map(ResourceName::from).collect(),
    };
    let (reply, undo) = app.steward.call(Command::AcquireByState(command)).await.open();
    match reply {
        Answered::GrantedAll(resources, _) => Reply::text(list_json(&resources)).with_delivery(undo),
        Answered::Refused(refusal) => refused("AcquireByState", &refusal),
        _ => unexpected("AcquireByState"),
    }
}

/// The resources as a JSON array and one newline.
fn list_json(resources: &[Resource]) -> String {
    let mut json = String::from("[");
    for resource in resources {
        if json.len() > 1 {
            json.push(',');
        }
        resource.write_json(&mut json);
    }
    json.push_str("]\n");
    json
}
