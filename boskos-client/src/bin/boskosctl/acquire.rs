//! `acquire`, `release`, `metrics`.

use std::time::Duration;

use boskos_client::{Client, Error, LeaseOptions, Resource};
use boskos_runtime::{stdout, text};

use crate::{args::Acquire, error::CtlError, signals::Signals};

/// How long a signal may be held up by giving back what was granted meanwhile.
const SETTLE: Duration = Duration::from_secs(10);

pub(crate) async fn acquire(client: &Client, asked: &Acquire) -> Result<(), CtlError> {
    let mut signals = Signals::ending()?;
    let resource = take(client, asked, &mut signals).await?;
    let json = resource.to_json();
    let line = text::printable_json(&json);
    // Untold it is nobody's: it goes back to the state that it came from, as that of a cancelled acquire does.
    let untold = client.lease(resource, LeaseOptions::dropped_into(&asked.state));
    match stdout::print_line(&line) {
        Ok(()) => {
            untold.into_resource();
            Ok(())
        }
        Err(error) => {
            drop(untold);
            tokio::time::timeout(SETTLE, client.settled()).await.ok();
            Err(error.into())
        }
    }
}

/// Takes one resource, or ends with a signal and gives back what was granted in that moment.
pub(crate) async fn take(client: &Client, asked: &Acquire, signals: &mut Signals) -> Result<Resource, CtlError> {
    let (r#type, state, dest) = (&asked.r#type, &asked.state, &asked.target_state);
    let timeout = asked.timeout.map(|timeout| timeout.to_std_or_zero()).filter(|timeout| !timeout.is_zero());
    let taking = async {
        match timeout {
            None => client.acquire(r#type, state, dest).await,
            Some(timeout) => client.acquire_wait(r#type, state, dest, Some(timeout)).await,
        }
    };
    let taken = tokio::select! {
        taken = taking => taken,
        number = signals.next() => {
            // Where that takes too long the reaper does it.
            tokio::time::timeout(SETTLE, client.settled()).await.ok();
            return Err(CtlError::Silent(Signals::code(number)));
        }
    };
    taken.map_err(|error| match error {
        Error::NotFound { .. } | Error::TypeNotFound { .. } => CtlError::NoneFound,
        error @ (Error::NotOwner { .. }
        | Error::WrongState { .. }
        | Error::Unauthorized { .. }
        | Error::BadRequest { .. }
        | Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Unavailable { .. }
        | Error::OlderServer { .. }
        | Error::NotBoskos { .. }
        | Error::LeaseLost { .. }
        | Error::Ending) => CtlError::Acquire(error),
    })
}

pub(crate) async fn release(client: &Client, name: &str, dest: &str) -> Result<(), CtlError> {
    let released = client.release(name, dest).await;
    released.map_err(|source| CtlError::Release { name: name.to_owned(), source })?;
    stdout::print_line(&format!("released resource {name:?}"))?;
    Ok(())
}

pub(crate) async fn metrics(client: &Client, r#type: &str) -> Result<(), CtlError> {
    let metric = client.metric(r#type).await.map_err(|error| CtlError::Metrics(r#type.to_owned(), error))?;
    stdout::print_line(&text::printable_json(&boskos_core::wire::metric_as_told(&metric)))?;
    Ok(())
}
