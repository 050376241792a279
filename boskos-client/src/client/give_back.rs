//! Giving resources back, and taking them from others.

use std::collections::BTreeMap;

use boskos_core::{GoDuration, Owner, ResourceName, State};
use tokio::{runtime::Handle, task::JoinSet};

use super::Client;
use crate::{
    Error,
    transport::{Again, Call},
};

/// Calls under way at once where there is one per resource.
pub(super) const AT_ONCE: usize = 16;

/// Some resources could not be given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} not given back: {}", failed.len(), named(failed))]
pub struct ReleaseAllError {
    /// Which, and why.
    pub failed: Vec<(ResourceName, Error)>,
}

fn named(failed: &[(ResourceName, Error)]) -> String {
    let each: Vec<_> = failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    each.join("; ")
}

impl Client {
    /// Gives `name` back in state `dest`. Whose answer was lost, and that is found to be no longer the owner's when
    /// asked again, counts as done.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// client.release("project-1", "dirty").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] or [`Error::NotOwner`] if it is not the owner's to give; else what went wrong.
    pub async fn release(&self, name: &str, dest: &str) -> Result<(), Error> {
        let transport = self.transport();
        let owner = self.owner().as_str();
        let call = Call::post("/release", Again::Always).with([("name", name), ("dest", dest), ("owner", owner)]);
        let answer = transport.send(&call).await?;
        let result = match answer.is_ok() {
            true => Ok(()),
            false => Err(transport.refusal("/release", &answer)),
        };
        match result {
            Err(error) if !error.is_lost() => Err(error),
            result => {
                self.shared.held.remove(name);
                if answer.after_loss { Ok(()) } else { result }
            }
        }
    }

    /// Gives back all that this process holds, in state `dest`.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::ReleaseAllError> {
    /// client.release_all("dirty").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Names what could not be given back. What turned out to be no longer this process's is no failure.
    pub async fn release_all(&self, dest: &str) -> Result<(), ReleaseAllError> {
        let mut names = self.held().into_iter().map(|resource| resource.name);
        let mut calls = JoinSet::new();
        let mut failed = Vec::new();
        loop {
            while calls.len() < AT_ONCE {
                let Some(name) = names.next() else { break };
                let (client, dest) = (self.clone(), dest.to_owned());
                calls.spawn(async move {
                    let released = client.release(name.as_str(), &dest).await;
                    (name, released)
                });
            }
            match calls.join_next().await {
                None => break,
                Some(Ok((name, Err(error)))) if !error.is_lost() => failed.push((name, error)),
                Some(Ok(_)) => {}
                Some(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(ReleaseAllError { failed }) }
    }

    /// Takes every owned resource of `type` in `state` that was not updated for `expire` from its owner, and sets it
    /// to `dest`; tells whose they were.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let taken = client.reset("gce-project", "busy", boskos_client::GoDuration::parse("30m")?, "dirty").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub async fn reset(
        &self,
        r#type: &str,
        state: &str,
        expire: GoDuration,
        dest: &str,
    ) -> Result<BTreeMap<ResourceName, Owner>, Error> {
        let transport = self.transport();
        let expire = expire.to_string();
        let call = Call::post("/reset", Again::Always).with([
            ("type", r#type),
            ("state", state),
            ("expire", &expire),
            ("dest", dest),
        ]);
        let answer = transport.send(&call).await?;
        match answer.is_ok() {
            true => transport.value("/reset", &answer),
            false => Err(transport.refusal("/reset", &answer)),
        }
    }

    /// Gives back what nobody will: in a task that [`Client::settled`] waits for.
    pub(crate) fn give_back_later(&self, runtime: &Handle, name: ResourceName, dest: State) {
        let client = self.clone();
        // Counted before the task first runs.
        let loose = client.shared.held.loose();
        runtime.spawn(async move {
            let _loose = loose;
            match client.release(name.as_str(), dest.as_str()).await {
                Ok(()) => tracing::debug!(%name, %dest, "given back"),
                Err(error) if error.is_lost() => tracing::debug!(%error, "was not ours to give back"),
                Err(error) => tracing::warn!(%name, %dest, %error, "could not be given back"),
            }
        });
    }
}
