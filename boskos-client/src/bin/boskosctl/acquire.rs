//! `acquire`, `release`, `metrics`.

use std::time::Duration;

use boskos_client::{Client, Error, Resource};
use boskos_runtime::{stdout, text};

use crate::{args::Acquire, error::CtlError, signals::Signals};

/// How long a signal may be held up by giving back what was granted meanwhile.
const SETTLE: Duration = Duration::from_secs(10);

pub(crate) async fn acquire(client: &Client, asked: &Acquire) -> Result<(), CtlError> {
    let mut signals = Signals::ending()?;
    let resource = take(client, asked, &mut signals).await?;
    stdout::print_line(&text::printable_json(&resource.to_json()))?;
    Ok(())
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
    let json = boskos_core::wire::metric(&metric);
    // An older server has no totals.
    let json = if metric.total.is_empty() { json.replace(",\"total\":{}", "") } else { json };
    stdout::print_line(&text::printable_json(&json))?;
    Ok(())
}
