//! Cleaning one resource.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use boskos_client::{Client, Error, Lease, LeaseOptions, Resource, ResourceName, UserDataPatch, frame::Work};
use boskos_core::state;
use boskos_runtime::{signal::Shutdown, text};

use crate::{
    CommandError, FAILURES, NOTES, Options, QUARANTINED, REASON,
    breaker::Blame,
    candidates,
    run::Run,
    standing::{Probe, Standing},
};

/// A heartbeat is due at least this often: a lease is lost after 20 min without one, a reaper comes after 30.
const LONGEST_PERIOD: Duration = Duration::from_secs(6 * 60);

/// The shortest time between heartbeats, whatever the flag says.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// What jobs need. Clones share all of it.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) client: Client,
    pub(crate) work: Work,
    pub(crate) standing: Standing,
    pub(crate) options: Arc<Options>,
}

/// How a run of the command ended.
enum End {
    /// By itself.
    Exited(io::Result<ExitStatus>),
    TimedOut,
    /// The resource is no longer ours.
    Lost,
    /// The process is to stop.
    Stopping,
}

impl Tools {
    /// Keeps what was just granted alive; dropped, it goes back dirty.
    pub(crate) fn hold(&self, resource: Resource) -> Lease {
        let period = self.options.update_frequency.clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
        self.client.lease(resource, LeaseOptions { period, ..LeaseOptions::dropped_into(state::DIRTY) })
    }

    /// Has the command clean what `lease` holds, and gives it back as it deserves.
    pub(crate) async fn clean(self, lease: Lease, stop: Shutdown, probe: Option<Probe>) {
        let resource = lease.resource();
        let (r#type, name) = (resource.r#type, resource.name);
        let arguments = self.options.commands.arguments(&r#type, &name);
        let started = match self.options.commands.program(&r#type) {
            Ok(path) => Run::start(&path, &arguments, &r#type, &name, self.client.clock())
                .await
                .map_err(|source| CommandError { path, source }),
            Err(error) => Err(error),
        };
        let mut command = match started {
            Ok(command) => command,
            Err(error) => {
                let reason = text::chain(&error);
                tracing::error!(%r#type, %name, error = reason, "the command cannot be run");
                self.work.failed(r#type.as_str(), "not_runnable");
                let blame = self.standing.unrunnable(&r#type);
                return self.give_back(lease, blame, &reason).await;
            }
        };
        tracing::info!(%r#type, %name, "cleaning");
        let end = self.run(&mut command, &lease, &stop).await;
        // Nobody of it may touch the resource once it is somebody else's, whatever the outcome.
        command.end().await;
        match end {
            End::Exited(Ok(status)) if status.success() => self.free(lease).await,
            End::Exited(Ok(status)) => self.failed(lease, "command", &format!("the command ended with {status}")).await,
            End::Exited(Err(error)) => self.failed(lease, "command", &format!("the command was lost: {error}")).await,
            End::TimedOut => self.failed(lease, "timeout", "the command took too long").await,
            End::Lost => self.work.failed(r#type.as_str(), "lost"),
            // Dropped: it goes back dirty, and nothing counts.
            End::Stopping => {
                if let Err(error) = lease.verify().await {
                    self.not_released(r#type.as_str(), &name, &error);
                }
                drop(lease);
            }
        }
        drop(probe);
    }

    async fn run(&self, command: &mut Run, lease: &Lease, stop: &Shutdown) -> End {
        let clock = self.client.clock();
        let overdue = async {
            match self.options.timeout {
                Some(timeout) => clock.sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            lost = lease.lost() => {
                tracing::warn!(name = %lease.name(), %lost, "no longer ours: the command is ended, nothing is freed");
                End::Lost
            }
            ended = command.wait() => End::Exited(ended),
            _ = stop.triggered() => End::Stopping,
            () = overdue => End::TimedOut,
        }
    }

    async fn free(&self, lease: Lease) {
        let resource = lease.resource();
        let (r#type, name) = (resource.r#type.clone(), resource.name.clone());
        self.standing.succeeded(&r#type);
        let notes = resource.user_data.to_map().into_keys().filter(|key| key.starts_with(NOTES));
        let wiped: UserDataPatch = notes.map(|key| (key, None)).collect();
        let freed = async {
            lease.verify().await?;
            if !wiped.is_empty() {
                lease.update(&wiped).await?;
            }
            lease.release(state::FREE).await
        };
        match freed.await {
            Ok(()) => {
                self.work.did(r#type.as_str(), 1);
                tracing::info!(%r#type, %name, "free");
            }
            Err(error) => self.not_released(r#type.as_str(), &name, &error),
        }
    }

    async fn failed(&self, lease: Lease, metric: &'static str, reason: &str) {
        let resource = lease.resource();
        if let Err(error) = lease.verify().await {
            // Not its fault, nor the type's.
            return self.not_released(resource.r#type.as_str(), &resource.name, &error);
        }
        self.work.failed(resource.r#type.as_str(), metric);
        let before = candidates::failures(&resource);
        let blame = self.standing.failed(&resource.r#type, &resource.name, before);
        self.give_back(lease, blame, reason).await;
    }

    /// Gives back what was not cleaned, and takes note of it if it is the resource's fault.
    async fn give_back(&self, lease: Lease, blame: Blame, reason: &str) {
        let resource = lease.resource();
        let (r#type, name) = (resource.r#type.clone(), resource.name.clone());
        let mut dest = state::DIRTY;
        let (mut forgiven, mut row) = (Vec::new(), None);
        let noted = match blame {
            Blame::Resource { trips, before } => {
                row = Some((trips, before));
                let failures = candidates::failures(&resource).saturating_add(1);
                let mut note: UserDataPatch = [(FAILURES.to_owned(), Some(failures.to_string()))].into();
                if failures >= self.options.quarantine_after.get() {
                    dest = QUARANTINED;
                    note.insert(REASON.to_owned(), Some(format!("failed {failures} times in a row; last: {reason}")));
                    self.work.failed(r#type.as_str(), "quarantined");
                }
                tracing::warn!(%r#type, %name, failures, reason, state = dest, "not cleaned");
                lease.update(&note).await
            }
            Blame::Type { forgiven: others, .. } => {
                tracing::warn!(%r#type, %name, reason, "not cleaned, and not counted");
                let own = others.iter().find(|(other, _)| *other == name).map(|(_, failures)| *failures);
                forgiven = others;
                forgiven.retain(|(other, _)| *other != name);
                match own.filter(|own| *own != candidates::failures(&resource)) {
                    // It failed earlier in the row, too.
                    Some(own) => lease.update(&set_back(own)).await,
                    None => Ok(()),
                }
            }
        };
        // Without the reason nobody would know why it is there.
        let dest = if noted.is_ok() { dest } else { state::DIRTY };
        if let Err(error) = noted {
            tracing::warn!(%name, %error, "its failures could not be noted");
        }
        if let Err(error) = lease.release(dest).await {
            self.not_released(r#type.as_str(), &name, &error);
        }
        if let Some((trips, before)) = row
            && trips != self.standing.trips(&r#type)
        {
            // Its row ended in a pause while it was on its way back, where nobody could forgive it.
            forgiven.push((name, before));
        }
        for (name, failures) in forgiven {
            self.forgive(&name, failures).await;
        }
    }

    /// Sets the failures of a resource that is dirty back to what they were. One that was quarantined for the last of
    /// them comes out again.
    async fn forgive(&self, name: &ResourceName, failures: u32) {
        let names = std::slice::from_ref(name);
        let mut taken = self.client.acquire_by_state(state::DIRTY, state::CLEANING, names).await;
        if failures < self.options.quarantine_after.get() && taken.as_ref().is_err_and(Error::is_none_now) {
            taken = self.client.acquire_by_state(QUARANTINED, state::CLEANING, names).await;
        }
        let resource = match taken.map(|all| all.into_iter().next()) {
            Ok(Some(resource)) => resource,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%name, %error, "not dirty any more: its failures stay");
                return;
            }
        };
        let lease = self.hold(resource);
        if let Err(error) = lease.update(&set_back(failures)).await {
            tracing::warn!(%name, %error, "its failures could not be set back");
        }
        if let Err(error) = lease.release(state::DIRTY).await {
            tracing::warn!(%name, %error, "not given back");
        }
    }

    fn not_released(&self, r#type: &str, name: &ResourceName, error: &Error) {
        self.work.failed(r#type, if error.is_lost() { "lost" } else { "release" });
        tracing::warn!(r#type, %name, %error, "not released");
    }
}

/// The note of a resource that failed `failures` times.
fn set_back(failures: u32) -> UserDataPatch {
    let failures = Some(failures.to_string()).filter(|_| failures > 0);
    [(FAILURES.to_owned(), failures), (REASON.to_owned(), None)].into()
}
