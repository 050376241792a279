//! `requeue`: gives quarantined resources another chance.

use std::time::Duration;

use boskos_client::{Client, Error, Filter, LeaseOptions, Resource, ResourceName, UserDataPatch};
use boskos_core::state;
use boskos_runtime::stdout;

use crate::{error::CtlError, signals::Signals};

/// The state that the janitor gives to what it cannot clean.
const QUARANTINED: &str = "quarantined";

/// What the janitor noted on it: counts and reasons that must not outlive the quarantine.
const NOTES: &str = "janitor-";

/// How long a signal may be held up by giving back what was taken.
const SETTLE: Duration = Duration::from_secs(10);

pub(crate) async fn one(client: &Client, name: &str) -> Result<(), CtlError> {
    let only = async {
        match requeue(client, &name.into()).await {
            Ok(()) => {}
            Err(Error::NotFound { text }) => return Err(why_not(client, name, text).await),
            Err(error) => return Err(error.into()),
        }
        stdout::print_line(&format!("requeued resource {name:?}"))?;
        Ok(())
    };
    unless_interrupted(client, only).await
}

pub(crate) async fn all(client: &Client, r#type: &str) -> Result<(), CtlError> {
    let filter = Filter { types: vec![r#type.into()], states: vec![QUARANTINED.into()], owners: vec![None] };
    let each = async {
        let quarantined = client.list(&filter).await?;
        if quarantined.is_empty() {
            let known: Vec<String> = client.types().await?.into_iter().map(|metric| metric.r#type).collect();
            if !known.iter().any(|known| known == r#type) {
                return Err(CtlError::UnknownType { unknown: r#type.to_owned(), known });
            }
            stdout::print_line(&format!("no resource of type {type:?} is quarantined"))?;
        }
        let mut failed = 0;
        for resource in quarantined {
            match requeue(client, &resource.name).await {
                Ok(()) => stdout::print_line(&format!("requeued resource {:?}", resource.name.as_str()))?,
                Err(error) => {
                    failed += 1;
                    stdout::eprint_lines([format!("failed to requeue resource {:?}: {error}", resource.name.as_str())]);
                }
            }
        }
        if failed > 0 { Err(CtlError::Requeue(failed)) } else { Ok(()) }
    };
    unless_interrupted(client, each).await
}

/// What is the case with `name`, which a server refused to give out as quarantined with `text`.
async fn why_not(client: &Client, name: &str, text: String) -> CtlError {
    let name = name.to_owned();
    match client.resource(&name).await {
        Err(Error::NotFound { .. }) => CtlError::UnknownResource(name),
        Ok(Resource { state, .. }) if state.as_str() != QUARANTINED => {
            CtlError::NotQuarantined { name, state: state.as_str().to_owned() }
        }
        Ok(Resource { owner: Some(owner), .. }) => {
            CtlError::OwnedQuarantined { name, owner: owner.as_str().to_owned() }
        }
        // It changed meanwhile, or the server is an older one.
        Ok(_) | Err(_) => Error::NotFound { text }.into(),
    }
}

/// Ends `work` at a signal; what it has in hand then goes back dirty.
async fn unless_interrupted(client: &Client, work: impl Future<Output = Result<(), CtlError>>) -> Result<(), CtlError> {
    let mut signals = Signals::ending()?;
    let done = tokio::select! {
        done = work => done,
        number = signals.next() => Err(CtlError::Silent(Signals::code(number))),
    };
    // Where that takes too long the reaper does it: it looks after what is in cleaning.
    tokio::time::timeout(SETTLE, client.settled()).await.ok();
    done
}

/// Takes it, wipes the janitor's notes, and gives it back dirty.
async fn requeue(client: &Client, name: &ResourceName) -> Result<(), Error> {
    let taken = client.acquire_by_state(QUARANTINED, state::CLEANING, std::slice::from_ref(name)).await?;
    for resource in taken {
        let lease = client.lease(resource, LeaseOptions::dropped_into(state::DIRTY));
        let user_data = lease.resource().user_data;
        let notes = user_data.to_map().into_keys().filter(|key| key.starts_with(NOTES));
        let wiped: UserDataPatch = notes.map(|key| (key, None)).collect();
        if !wiped.is_empty() {
            lease.update(&wiped).await?;
        }
        lease.release(state::DIRTY).await?;
    }
    Ok(())
}
