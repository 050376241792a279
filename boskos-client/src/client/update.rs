//! Heartbeats and user data.

use boskos_core::{Resource, user_data::UserDataPatch};
use tokio::task::JoinSet;

use super::{Client, give_back::AT_ONCE};
use crate::{
    Error,
    transport::{Again, Call, Secret},
};

impl Client {
    /// Says that `name`, in `state`, is still in use, and merges `patch` into its user data (text sets a key, none or
    /// empty text deletes it).
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// let note = [("job".to_owned(), Some("17".to_owned()))].into();
    /// client.update("project-1", "busy", &note).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_lost`] if it is not the owner's in that state; else what went wrong.
    pub async fn update(&self, name: &str, state: &str, patch: &UserDataPatch) -> Result<(), Error> {
        let transport = self.transport();
        let owner = self.owner().as_str();
        let mut call = Call::post("/update", Again::Always).with([("name", name), ("owner", owner), ("state", state)]);
        if !patch.is_empty() {
            // Empty text rather than null: the original knows no null.
            let texts = patch.iter().map(|(key, text)| (key, text.as_deref().unwrap_or("")));
            let body = serde_json::to_vec(&texts.collect::<std::collections::BTreeMap<_, _>>());
            call.body = Some(Secret(body.expect("text by text is JSON")));
        }
        let answer = transport.send(&call).await?;
        if !answer.is_ok() {
            let error = transport.refusal("/update", &answer);
            if matches!(error, Error::NotFound { .. } | Error::NotOwner { .. }) {
                self.shared.held.remove(name);
            }
            return Err(error);
        }
        self.shared.held.patch(name, patch);
        Ok(())
    }

    /// Sends a heartbeat for everything that this process holds and that is in `state`.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// client.update_all("busy").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first failure, after all were tried.
    pub async fn update_all(&self, state: &str) -> Result<(), Error> {
        self.beat(self.held().into_iter().filter(|resource| resource.state.as_str() == state)).await
    }

    /// Sends a heartbeat for everything that this process holds.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) -> Result<(), boskos_client::Error> {
    /// client.sync_all().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first failure, after all were tried.
    pub async fn sync_all(&self) -> Result<(), Error> {
        self.beat(self.held().into_iter()).await
    }

    async fn beat(&self, mut resources: impl Iterator<Item = Resource>) -> Result<(), Error> {
        let (mut calls, mut first) = (JoinSet::new(), Ok(()));
        loop {
            while calls.len() < AT_ONCE {
                let Some(resource) = resources.next() else { break };
                let client = self.clone();
                calls.spawn(async move {
                    client.update(resource.name.as_str(), resource.state.as_str(), &UserDataPatch::new()).await
                });
            }
            match calls.join_next().await {
                None => return first,
                Some(Ok(beaten)) => first = first.and(beaten),
                Some(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
            }
        }
    }
}
