//! The parts of a composite resource on their way back.

use boskos_client::{Client, Error, Lease, LeaseOptions, Resource, ResourceName, State};
use boskos_core::{
    leased::{LEASED_RESOURCES, LeasedError, leased_resources},
    state,
};

/// Names in one acquire: a request line has a bound.
const AT_ONCE: usize = 50;

/// The parts that `composite` names.
///
/// # Errors
///
/// What is wrong with its text, in words without anything of it: user data may be secret.
pub(crate) fn named(composite: &Resource) -> Result<Vec<ResourceName>, &'static str> {
    let text = composite.user_data.get(LEASED_RESOURCES);
    let names = leased_resources(text.as_deref()).map_err(|error| match error {
        LeasedError::Yaml => "not YAML",
        LeasedError::NotAList => "not a list",
        LeasedError::NotAName { .. } => "a list with something in it that is no name",
    })?;
    // The calls separate names by commas, and no resource has one in its name.
    if names.iter().any(|name| name.as_str().contains(',')) {
        return Err("a list with something in it that is no name");
    }
    Ok(names)
}

/// Takes those of `names` that are unowned and in `from`, and gives them back dirty; tells how many.
///
/// Cancelled, what was taken goes back dirty too.
///
/// # Errors
///
/// The first that went wrong, after all were tried. What is not there, not free to take or lost is left alone.
pub(crate) async fn give_back(client: &Client, from: &State, names: &[ResourceName]) -> Result<usize, Error> {
    let (mut count, mut first) = (0, Ok(()));
    for names in names.chunks(AT_ONCE) {
        let parts = take(client, from, names).await?;
        for part in parts {
            match part.release(state::DIRTY).await {
                Ok(()) => count += 1,
                Err(error) if error.is_lost() => tracing::debug!(%error, "a part is somebody else's"),
                Err(error) => first = first.and(Err(error)),
            }
        }
    }
    first.map(|()| count)
}

async fn take(client: &Client, from: &State, names: &[ResourceName]) -> Result<Vec<Lease>, Error> {
    let lease = |part| client.lease(part, LeaseOptions::dropped_into(state::DIRTY));
    match client.acquire_by_state(from.as_str(), state::CLEANING, names).await {
        Ok(parts) => return Ok(parts.into_iter().map(lease).collect()),
        Err(error) if !error.is_none_now() => return Err(error),
        Err(_) if names.len() < 2 => return Ok(Vec::new()),
        // Not all of them can be had.
        Err(_) => {}
    }
    let mut leases = Vec::new();
    for name in names {
        match client.acquire_by_state(from.as_str(), state::CLEANING, std::slice::from_ref(name)).await {
            Ok(parts) => leases.extend(parts.into_iter().map(lease)),
            Err(error) if error.is_none_now() => tracing::debug!(%name, state = %from, "not there to be taken"),
            Err(error) => return Err(error),
        }
    }
    Ok(leases)
}
