//! Carrying out plans.

use std::sync::Arc;

use boskos_core::{
    ResourceName,
    ranch::plan::{Foreign, LifecycleRecord, Outcome, Plan, Version, Write},
};
use boskos_kube::{Collection, Fence, Meta};
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{Attempt, Failure, Step},
    error::KubernetesError,
    form::Form,
    intent::{Intents, Mark, Note, is_lost},
    lifecycle,
    objects::{LifecycleObject, ResourceObject},
    reach::Reach,
    shelf::{Seen, Shelf},
};

/// How often a lifecycle is written anew over what others made of it: the config is the truth.
const LIFECYCLE_ATTEMPTS: usize = 5;

/// Writes the objects of plans, one plan per call.
pub(super) struct Writer {
    pub(super) resources: Collection<ResourceObject>,
    pub(super) lifecycles: Collection<LifecycleObject>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) intents: Intents,
    pub(super) reach: Reach,
    pub(super) fence: Fence,
    pub(super) stop: CancellationToken,
}

/// One resource to be written.
struct Change<'a> {
    name: &'a ResourceName,
    replaces: Option<Version>,
    /// `None` deletes it.
    to: Option<Form>,
}

/// What became of one resource.
enum Landed {
    /// It is written.
    Written(Version),
    /// It is not; this is how it is.
    Foreign(Foreign),
}

/// A resource that was written, and what it takes to put it back.
struct Done<'a> {
    change: Change<'a>,
    before: Option<Seen>,
}

// === impl Writer ===

impl Writer {
    /// Carries out a plan; `None` if its outcome will never be known here. News of its objects that
    /// came up meanwhile is added to `news`: for after the outcome.
    pub(super) async fn carry_out(&self, plan: &Plan, news: &mut Vec<Foreign>) -> Option<Outcome> {
        let outcome = self.outcome(plan, news).await;
        news.extend(plan.names().filter_map(|name| self.shelf.end(name)));
        outcome
    }

    async fn outcome(&self, plan: &Plan, news: &mut Vec<Foreign>) -> Option<Outcome> {
        let mut attempt = Attempt::new(plan.id, &self.reach, &self.fence, &self.stop);
        let changes: Vec<Change<'_>> = plan.writes.iter().filter_map(Change::of).collect();
        let result = match changes.len() {
            0 => Ok(Outcome::Committed(SmallVec::new())),
            1 => self.one(&mut attempt, changes.into_iter().next().expect("there is one")).await,
            _ => self.all_or_none(&mut attempt, changes, news).await,
        };
        let result = match result {
            Ok(Outcome::Committed(versions)) => {
                self.lifecycles_of(&mut attempt, plan).await.map(|()| Outcome::Committed(spread(plan, &versions)))
            }
            other => other,
        };
        match result {
            Ok(outcome) => Some(outcome),
            Err(Failure::Abandoned) => None,
            Err(Failure::NotWritten | Failure::Conflict { .. } | Failure::Missing { .. }) => Some(Outcome::NotWritten),
        }
    }

    async fn one(&self, attempt: &mut Attempt<'_>, change: Change<'_>) -> Result<Outcome, Failure> {
        let before = self.shelf.begin(change.name);
        Ok(match self.land(attempt, &change, before.as_ref()).await? {
            Landed::Written(version) => Outcome::Committed([version].into_iter().collect()),
            Landed::Foreign(foreign) => Outcome::Conflict(vec![foreign]),
        })
    }

    async fn all_or_none(
        &self,
        attempt: &mut Attempt<'_>,
        changes: Vec<Change<'_>>,
        news: &mut Vec<Foreign>,
    ) -> Result<Outcome, Failure> {
        let befores: Vec<Option<Seen>> = changes.iter().map(|change| self.shelf.begin(change.name)).collect();
        let notes = changes.iter().zip(&befores).map(|(change, before)| change.note(before.as_ref())).collect();
        let number = match self.intents.note(notes).await {
            Ok(number) => number,
            Err(source) => {
                if is_lost(&source) {
                    attempt.failed(KubernetesError::Lease { name: super::LEASE.to_owned(), source }).await;
                }
                return Err(Failure::NotWritten);
            }
        };
        let mut versions = SmallVec::new();
        let mut done: Vec<Done<'_>> = Vec::new();
        let mut conflict = None;
        let mut failed = false;
        for (change, before) in changes.into_iter().zip(befores) {
            match self.land(attempt, &change, before.as_ref()).await {
                Ok(Landed::Written(version)) => {
                    versions.push(version);
                    done.push(Done { change, before });
                }
                Ok(Landed::Foreign(foreign)) => conflict = Some(foreign),
                Err(Failure::Abandoned) => return Err(Failure::Abandoned),
                Err(Failure::NotWritten | Failure::Conflict { .. } | Failure::Missing { .. }) => failed = true,
            }
            if failed || conflict.is_some() {
                break;
            }
        }
        if failed || conflict.is_some() {
            for done in done.iter().rev() {
                news.extend(self.put_back(attempt, done).await?);
            }
        }
        self.strike(attempt, number).await?;
        if failed {
            return Err(Failure::NotWritten);
        }
        Ok(match conflict {
            None => Outcome::Committed(versions),
            Some(foreign) => {
                // What was written and put back has another version now.
                let mut all = vec![foreign];
                all.append(news);
                Outcome::Conflict(all)
            }
        })
    }

    /// Strikes a note out, however long that takes: with it the plan counts, or counts as undone.
    async fn strike(&self, attempt: &mut Attempt<'_>, number: u64) -> Result<(), Failure> {
        loop {
            match self.intents.strike(number).await {
                Ok(()) => return Ok(()),
                Err(source) => attempt.doubt(KubernetesError::Lease { name: super::LEASE.to_owned(), source }),
            }
            attempt.pause(std::time::Duration::from_millis(250)).await?;
        }
    }

    /// Puts back one resource of several; what it is then.
    async fn put_back(&self, attempt: &mut Attempt<'_>, done: &Done<'_>) -> Result<Option<Foreign>, Failure> {
        let name = done.change.name;
        let now = self.shelf.begin(name);
        let back = Change {
            name,
            replaces: now.as_ref().map(|now| now.version),
            to: done.before.as_ref().map(|before| before.form.clone()),
        };
        loop {
            match self.land(attempt, &back, now.as_ref()).await {
                Ok(Landed::Written(version)) => {
                    let now = back.to.as_ref().map(|form| form.resource.clone());
                    return Ok(Some(Foreign { name: name.clone(), now, version }));
                }
                // Whoever changed it since wants it so.
                Ok(Landed::Foreign(foreign)) => return Ok(Some(foreign)),
                Err(Failure::Abandoned) => return Err(Failure::Abandoned),
                Err(Failure::NotWritten | Failure::Conflict { .. } | Failure::Missing { .. }) => {
                    attempt.pause(std::time::Duration::from_millis(250)).await?;
                }
            }
        }
    }

    /// Writes one resource, known to be as in `before`. Version 0, which no object has, stands for
    /// the one that was last seen.
    async fn land(
        &self,
        attempt: &mut Attempt<'_>,
        change: &Change<'_>,
        before: Option<&Seen>,
    ) -> Result<Landed, Failure> {
        match (&change.to, change.replaces) {
            (Some(form), None) => self.create(attempt, change.name, form).await,
            (to, Some(replaces)) => {
                let Some(before) = before else { return Ok(gone(change.name, replaces + 1)) };
                if replaces != 0 && replaces != before.version {
                    return Ok(foreign(change.name, before));
                }
                match to {
                    Some(form) => self.patch(attempt, change.name, before, form).await,
                    None => self.delete(attempt, change.name, before).await,
                }
            }
            // What was never there is gone.
            (None, None) => Ok(Landed::Written(0)),
        }
    }

    async fn create(&self, attempt: &mut Attempt<'_>, name: &ResourceName, form: &Form) -> Result<Landed, Failure> {
        let step = Step::Create(form.body());
        match attempt.write(&self.resources, name.as_str(), &step).await {
            Ok(object) => Ok(self.written(name, object.as_ref())),
            Err(Failure::Conflict { perhaps_ours }) => {
                self.found(attempt, name, None, perhaps_ours.then_some(form)).await
            }
            Err(other) => Err(other),
        }
    }

    async fn patch(
        &self,
        attempt: &mut Attempt<'_>,
        name: &ResourceName,
        before: &Seen,
        form: &Form,
    ) -> Result<Landed, Failure> {
        // Heartbeats within one second change nothing.
        let Some(patch) = before.form.patch(form) else { return Ok(Landed::Written(before.version)) };
        let step = Step::Patch(before.raw, patch);
        match attempt.write(&self.resources, name.as_str(), &step).await {
            Ok(object) => Ok(self.written(name, object.as_ref())),
            Err(Failure::Conflict { perhaps_ours } | Failure::Missing { perhaps_ours }) => {
                self.found(attempt, name, Some(before), perhaps_ours.then_some(form)).await
            }
            Err(other) => Err(other),
        }
    }

    async fn delete(&self, attempt: &mut Attempt<'_>, name: &ResourceName, before: &Seen) -> Result<Landed, Failure> {
        let step = Step::Delete(before.uid.clone(), before.raw);
        match attempt.write(&self.resources, name.as_str(), &step).await {
            Ok(_) | Err(Failure::Missing { perhaps_ours: true }) => Ok(self.written(name, None)),
            Err(Failure::Missing { perhaps_ours: false } | Failure::Conflict { perhaps_ours: false }) => {
                self.found(attempt, name, Some(before), None).await
            }
            Err(Failure::Conflict { perhaps_ours: true }) => {
                let found = self.found(attempt, name, Some(before), None).await?;
                // On its way out is what a deletion that waits for finalizers makes of it.
                Ok(match found {
                    Landed::Foreign(Foreign { now: None, .. }) => Landed::Written(0),
                    changed @ (Landed::Written(_) | Landed::Foreign(_)) => changed,
                })
            }
            Err(other) => Err(other),
        }
    }

    /// A write came about: what the object is now, if it was not deleted.
    fn written(&self, name: &ResourceName, object: Option<&ResourceObject>) -> Landed {
        let Some(object) = object else {
            self.shelf.take(name);
            return Landed::Written(0);
        };
        match self.shelf.know(name, object) {
            (version, Some(_)) => Landed::Written(version),
            // Somebody asked for its deletion before this.
            (version, None) => gone(name, version),
        }
    }

    /// A write did not find `before`, or may have changed it: reads what is there. `ours` is what an
    /// attempt that was not heard of would have made of it.
    async fn found(
        &self,
        attempt: &mut Attempt<'_>,
        name: &ResourceName,
        before: Option<&Seen>,
        ours: Option<&Form>,
    ) -> Result<Landed, Failure> {
        let Some(object) = attempt.read(&self.resources, name.as_str()).await? else {
            if before.is_none() && ours.is_some() {
                return Err(Failure::NotWritten);
            }
            self.shelf.take(name);
            return Ok(gone(name, before.map_or(0, |before| before.version) + 1));
        };
        let meta = &object.metadata;
        if before.is_some_and(|before| (&before.uid, before.raw) == (&meta.uid, meta.resource_version)) {
            // As it was: whoever judges anew would ask for the same.
            attempt.pause_refused().await;
            return Err(Failure::NotWritten);
        }
        Ok(match self.shelf.know(name, &object) {
            (version, None) => gone(name, version),
            (version, Some(seen)) if ours == Some(&seen.form) => Landed::Written(version),
            (_, Some(seen)) => foreign(name, &seen),
        })
    }

    async fn lifecycles_of(&self, attempt: &mut Attempt<'_>, plan: &Plan) -> Result<(), Failure> {
        for write in &plan.writes {
            match write {
                Write::PutLifecycle(record) => self.put_lifecycle(attempt, record).await?,
                Write::DeleteLifecycle(r#type) => self.delete_lifecycle(attempt, r#type.as_str()).await?,
                Write::Put(_) | Write::Delete(_) | Write::PutPlace(_) | Write::DeletePlace(_) => {}
            }
        }
        Ok(())
    }

    async fn put_lifecycle(&self, attempt: &mut Attempt<'_>, record: &LifecycleRecord) -> Result<(), Failure> {
        let name = record.lifecycle.r#type.as_str();
        for _ in 0..LIFECYCLE_ATTEMPTS {
            let there = attempt.read(&self.lifecycles, name).await?;
            let step = match &there {
                None => Step::Create(lifecycle::body(record)),
                Some(object) if lifecycle::read(object) == *record => return Ok(()),
                Some(object) => Step::Patch(object.metadata.resource_version, lifecycle::patch(object, record)),
            };
            match attempt.write(&self.lifecycles, name, &step).await {
                Ok(_) => return Ok(()),
                Err(Failure::Conflict { .. } | Failure::Missing { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Failure::NotWritten)
    }

    async fn delete_lifecycle(&self, attempt: &mut Attempt<'_>, name: &str) -> Result<(), Failure> {
        for _ in 0..LIFECYCLE_ATTEMPTS {
            let there = attempt.read(&self.lifecycles, name).await?;
            let Some(object) = there.filter(|object| !object.metadata.is_terminating()) else { return Ok(()) };
            let step = Step::Delete(object.metadata.uid, object.metadata.resource_version);
            match attempt.write(&self.lifecycles, name, &step).await {
                Ok(_) | Err(Failure::Missing { .. }) => return Ok(()),
                Err(Failure::Conflict { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Failure::NotWritten)
    }

    /// Puts back what a process before this one began and did not finish. Nothing else is written
    /// meanwhile.
    pub(super) async fn undo(&self, note: &Note) -> Result<(), KubernetesError> {
        let Some(object) = self.resources.get(&note.name).await? else { return Ok(()) };
        let Meta { uid, resource_version: raw, .. } = &object.metadata;
        // Either it was never written, or somebody wrote it since.
        if object.metadata.is_terminating()
            || note.replaces == Some(*raw)
            || Mark::of(&Form::read(&object)) != note.done
        {
            return Ok(());
        }
        if !self.fence.is_open() || self.stop.is_cancelled() {
            return Err(KubernetesError::NotLeading);
        }
        let undone = match (note.replaces, &note.back) {
            (Some(_), Some(patch)) => self.resources.patch(&note.name, *raw, patch.clone()).await.map(drop),
            (Some(_), None) => return Ok(()),
            (None, _) => self.resources.delete(&note.name, uid, *raw).await,
        };
        undone.map_err(KubernetesError::Write)?;
        tracing::warn!(name = %note.name, "put back: a change of several resources was not finished");
        Ok(())
    }
}

// === impl Change ===

impl<'a> Change<'a> {
    fn of(write: &'a Write) -> Option<Self> {
        match write {
            Write::Put(put) => {
                Some(Self { name: &put.record.resource.name, replaces: put.replaces, to: Some(Form::of(&put.record)) })
            }
            Write::Delete(delete) => Some(Self { name: &delete.name, replaces: Some(delete.replaces), to: None }),
            Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => None,
        }
    }

    fn note(&self, before: Option<&Seen>) -> Note {
        let back = before.zip(self.to.as_ref()).and_then(|(before, to)| to.patch(&before.form));
        let done = self.to.as_ref().or(before.map(|before| &before.form)).map(Mark::of).unwrap_or_default();
        Note {
            name: self.name.as_str().to_owned(),
            replaces: self.replaces.and(before.map(|before| before.raw)),
            back,
            done,
        }
    }
}

fn gone(name: &ResourceName, version: Version) -> Landed {
    Landed::Foreign(Foreign { name: name.clone(), now: None, version })
}

fn foreign(name: &ResourceName, seen: &Seen) -> Landed {
    Landed::Foreign(Foreign { name: name.clone(), now: Some(seen.form.resource.clone()), version: seen.version })
}

/// One version for each write of a plan; only resources have any.
fn spread(plan: &Plan, versions: &[Version]) -> SmallVec<[Version; 1]> {
    let mut versions = versions.iter();
    plan.writes
        .iter()
        .map(|write| match write {
            Write::Put(_) | Write::Delete(_) => versions.next().copied().unwrap_or(0),
            Write::PutPlace(_) | Write::DeletePlace(_) | Write::PutLifecycle(_) | Write::DeleteLifecycle(_) => 0,
        })
        .collect()
}
