//! `heartbeat`: says again and again that a resource is still in use.

use boskos_client::{Client, Resource, UserDataPatch};
use boskos_runtime::stdout;

use crate::{args::Heartbeat, error::CtlError, signals::Signals};

pub(crate) async fn heartbeat(client: &Client, asked: &Heartbeat) -> Result<(), CtlError> {
    let resource = resource(&asked.resource)?;
    let name = resource.name.as_str();
    let period = asked.period.to_std().filter(|period| !period.is_zero()).ok_or(CtlError::NotPositive("period"))?;
    let mut signals = Signals::ending()?;
    let clock = client.clock();
    let end = clock.mono().saturating_add(asked.timeout.to_std_or_zero());
    let mut next = clock.mono().saturating_add(period);
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            number = signals.next() => {
                if !Signals::is_interrupt(number) {
                    return Err(CtlError::Silent(Signals::code(number)));
                }
                stdout::print_line(&format!("received interrupt, stopping heartbeats for resource {name:?}"))?;
                return Ok(());
            }
            () = clock.sleep_until(end) => {
                stdout::print_line(&format!("reached timeout, stopping heartbeats for resource {name:?}"))?;
                return Ok(());
            }
            beaten = async {
                clock.sleep_until(next).await;
                client.update(name, resource.state.as_str(), &UserDataPatch::new()).await
            } => match beaten {
                Ok(()) => {
                    failures = 0;
                    stdout::print_line(&format!("heartbeat sent for resource {name:?}"))?;
                }
                Err(source) => {
                    failures += 1;
                    if failures > asked.retries {
                        return Err(CtlError::Heartbeat { name: name.to_owned(), times: failures, source });
                    }
                    stdout::eprint_lines([format!("failed to send heartbeat for resource {name:?}: {source}")]);
                }
            }
        }
        // As a ticker has it: beats that took too long are not made up for.
        next = next.saturating_add(period).max(clock.mono());
    }
}

/// The resource in a text that `acquire` printed. What is wrong is said without quoting it: user data is in there.
fn resource(text: &str) -> Result<Resource, CtlError> {
    let resource: Resource = serde_json::from_str(text).map_err(|error| {
        CtlError::BadResource(match error.classify() {
            serde_json::error::Category::Data => "it lacks type, name or state",
            serde_json::error::Category::Eof
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Io => "it is not JSON",
        })
    })?;
    if resource.name.as_str().is_empty() || resource.state.as_str().is_empty() {
        return Err(CtlError::BadResource("its name or state is empty"));
    }
    Ok(resource)
}
