//! `/release`: an owner gives a resource back.

use boskos_core::{
    Owner, ResourceName, State,
    ranch::command::{Command, Release, Reply as Answered},
};

use super::{bad_request, params, refused, unexpected};
use crate::{app::App, http::Reply};

pub(crate) async fn answer(app: &App, query: &str) -> Reply {
    let [name, dest, owner] = params::values(query, ["name", "dest", "owner"]);
    if name.is_empty() || dest.is_empty() || owner.is_empty() {
        return bad_request(format!(
            "Name: {name}, dest: {dest}, owner: {owner}, all of them must be set in the request."
        ));
    }
    let command = Release { name: ResourceName::from(&*name), dest: State::from(&*dest), owner: Owner::from(&*owner) };
    match app.steward.call(Command::Release(command)).await.open().0 {
        Answered::Done => Reply::empty(),
        Answered::Refused(refusal) => refused(&format!("Done failed: {name} - {dest} (from {owner})"), &refusal),
        _ => unexpected("Done"),
    }
}
