//! Giving resources back, and taking them from others.

use std::collections::BTreeMap;

use boskos_core::{GoDuration, MonoTime, Owner, Resource, ResourceName, State, WallTime, shown::ShownTransition};
use tokio::{runtime::Handle, task::JoinSet};

use super::Client;
use crate::{
    Error, LeaseOptions,
    retry::{ATTEMPTS, Delays},
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
    /// Gives `name` back in state `dest`.
    ///
    /// Where an answer is lost the call is not simply sent again: the first one may have been carried out, and another
    /// process of the same owner's name been granted the resource meanwhile. The resource's history tells, and where it
    /// has gone on the release counts as done. An older server has no history; there the call is sent again, and one
    /// that then finds the resource no longer the owner's counts as done.
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
        let since = match self.shared.held.granted(name) {
            Some(granted) => Since::Grant(granted),
            None => self.standing_now(name).await?,
        };
        let mut release = Release::new(name.into(), dest.into(), since);
        let mut delays = Delays::of_call();
        for _ in 1..ATTEMPTS {
            match release.attempt(self).await {
                Err(error) if error.is_unknown_outcome() => {
                    tracing::debug!(name, %error, "asking what became of the release");
                    self.clock().sleep(delays.next_delay()).await;
                }
                result => return result,
            }
        }
        release.attempt(self).await
    }

    /// The newest transition of what this process was not granted itself.
    async fn standing_now(&self, name: &str) -> Result<Since, Error> {
        match self.history(name, 1).await {
            Ok(rows) => Ok(Since::Row(rows.first().map(|row| row.id))),
            Err(error) if error.is_away() => Err(error),
            // The release itself tells what is wrong with it.
            Err(_) => Ok(Since::Unknown),
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

    /// Gives back what was granted a moment ago and nobody waits for, in a task that [`Client::settled`] waits for.
    pub(crate) fn give_back_later(&self, runtime: &Handle, resource: &Resource, dest: State) {
        let release = Release::new(resource.name.clone(), dest, Since::Grant(resource.last_update));
        let until = self.clock().mono().saturating_add(LeaseOptions::default().lost_after);
        let client = self.clone();
        // Counted before the task first runs.
        let loose = self.loose();
        runtime.spawn(async move {
            let _loose = loose;
            client.give_back(release, until).await;
        });
    }

    /// Tries until it works, is seen to be nothing to do with us, or the time is up, when a reaper does it.
    async fn give_back(&self, mut release: Release, until: MonoTime) {
        let mut delays = Delays::of_process();
        loop {
            let error = match release.attempt(self).await {
                Ok(()) => return tracing::debug!(name = %release.name, dest = %release.dest, "given back"),
                Err(error) if error.is_lost() => return tracing::debug!(%error, "was not ours to give back"),
                Err(error) => error,
            };
            let delay = delays.next_delay();
            if !error.is_away() || self.clock().mono().saturating_add(delay) >= until {
                self.forget(release.name.as_str(), release.since);
                let (name, dest) = (&release.name, &release.dest);
                return tracing::warn!(%name, %dest, %error, "could not be given back: the reaper will");
            }
            self.clock().sleep(delay).await;
        }
    }
}

/// What is known of a resource before it is released, by which later transitions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// When it was granted, by the server's clock: no transition is later while it is held.
    Grant(WallTime),
    /// The newest row of its history, if there was any.
    Row(Option<u64>),
    /// Nothing.
    Unknown,
}

/// One release, whose tries know of each other.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) name: ResourceName,
    pub(crate) dest: State,
    since: Since,
    /// An earlier try may have been carried out.
    pub(crate) maybe_done: bool,
}

// === impl Since ===

impl Since {
    /// Whether `rows`, the newest of a resource's history, tell that it has gone on since in others' hands than those
    /// of `owner`, or in those of another process of that name. A history that was trimmed, or begun anew, may have none.
    pub(crate) fn is_before(self, rows: &[ShownTransition], owner: &Owner) -> bool {
        let Some(newest) = rows.first() else { return false };
        match self {
            // In one second of a clock without fractions the owner tells, mostly.
            Self::Grant(granted) => {
                newest.time > granted || newest.to.as_ref().is_none_or(|to| to.owner != owner.as_str())
            }
            Self::Row(known) => Some(newest.id) != known,
            Self::Unknown => false,
        }
    }
}

// === impl Release ===

impl Release {
    pub(crate) fn new(name: ResourceName, dest: State, since: Since) -> Self {
        Self { name, dest, since, maybe_done: false }
    }

    /// Sends it, unless it is found to be done.
    ///
    /// # Errors
    ///
    /// What went wrong; it may be tried again unless that is [`Error::is_lost`].
    pub(crate) async fn attempt(&mut self, client: &Client) -> Result<(), Error> {
        if self.maybe_done && self.is_over(client).await? {
            client.forget(self.name.as_str(), self.since);
            return Ok(());
        }
        let (transport, owner) = (client.transport(), client.owner().as_str());
        let (name, dest) = (self.name.as_str(), self.dest.as_str());
        let call = Call::post("/release", Again::IfNotDone).with([("name", name), ("dest", dest), ("owner", owner)]);
        let result = match transport.send(&call).await {
            Ok(answer) if answer.is_ok() => Ok(()),
            Ok(answer) => Err(transport.refusal("/release", &answer)),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if !error.is_lost() => {
                self.maybe_done |= error.is_unknown_outcome();
                Err(error)
            }
            result => {
                client.forget(name, self.since);
                if self.maybe_done { Ok(()) } else { result }
            }
        }
    }

    /// Whether the resource has gone on since it was ours: by our release, or in somebody else's hands.
    async fn is_over(&self, client: &Client) -> Result<bool, Error> {
        match client.history(self.name.as_str(), 1).await {
            Ok(rows) => Ok(self.since.is_before(&rows, client.owner())),
            Err(Error::NotFound { .. }) => Ok(true),
            Err(Error::OlderServer { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
