//! `requeue`: gives quarantined resources another chance.

use boskos_client::{Client, Error, Filter, ResourceName, UserDataPatch};
use boskos_core::state;
use boskos_runtime::stdout;

use crate::error::CtlError;

/// The state that the janitor gives to what it cannot clean.
const QUARANTINED: &str = "quarantined";

/// What the janitor noted on it: counts and reasons that must not outlive the quarantine.
const NOTES: &str = "janitor-";

pub(crate) async fn one(client: &Client, name: &str) -> Result<(), CtlError> {
    requeue(client, &name.into()).await?;
    stdout::print_line(&format!("requeued resource {name:?}"))?;
    Ok(())
}

pub(crate) async fn all(client: &Client, r#type: &str) -> Result<(), CtlError> {
    let filter = Filter { types: vec![r#type.into()], states: vec![QUARANTINED.into()], owners: vec![None] };
    let mut failed = 0;
    for resource in client.list(&filter).await? {
        match requeue(client, &resource.name).await {
            Ok(()) => stdout::print_line(&format!("requeued resource {:?}", resource.name.as_str()))?,
            Err(error) => {
                failed += 1;
                stdout::eprint_lines([format!("failed to requeue resource {:?}: {error}", resource.name.as_str())]);
            }
        }
    }
    if failed > 0 { Err(CtlError::Requeue(failed)) } else { Ok(()) }
}

/// Takes it as it is, wipes the janitor's notes, and gives it back dirty.
async fn requeue(client: &Client, name: &ResourceName) -> Result<(), Error> {
    let taken = client.acquire_by_state(QUARANTINED, QUARANTINED, std::slice::from_ref(name)).await?;
    let notes = taken.iter().flat_map(|resource| resource.user_data.to_map().into_keys());
    let wiped: UserDataPatch = notes.filter(|key| key.starts_with(NOTES)).map(|key| (key, None)).collect();
    if !wiped.is_empty() {
        client.update(name.as_str(), QUARANTINED, &wiped).await?;
    }
    client.release(name.as_str(), state::DIRTY).await
}
