//! Lifecycle objects are what the config says: what others make of them is put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use boskos_core::{
    ResourceType,
    ranch::plan::{LifecycleRecord, Plan, Write},
};
use boskos_kube::{Collection, Fence, Follow, News, Object as _, Version};
use boskos_runtime::text;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::{
    error::KubernetesError,
    lifecycle,
    objects::LifecycleObject,
    outage::Outage,
    turns::{Touched, Turns},
};
use crate::trouble::Troubles;

/// The shortest time between two attempts at one object: another program may want it otherwise, again and again.
const PAUSE: Duration = Duration::from_secs(10);

/// Sees to it that lifecycle objects are as the ranch has them. See the [module](self).
pub(super) struct Keeper {
    lifecycles: Collection<LifecycleObject>,
    fence: Fence,
    /// Counts what is being written; closed, nothing more is.
    writes: TaskTracker,
    /// What is committed, by type.
    wanted: Mutex<BTreeMap<ResourceType, Wanted>>,
}

/// What an object is to say.
#[derive(Clone, Debug)]
struct Wanted {
    record: LifecycleRecord,
    /// What is read once that is written. An older definition of the type may not keep every field.
    kept: LifecycleRecord,
}

/// Which types are to be looked at, and when.
#[derive(Default)]
struct Agenda {
    due: BTreeMap<ResourceType, Instant>,
    /// When one was last written, or tried to be.
    tried: BTreeMap<ResourceType, Instant>,
    trouble: Troubles<ResourceType>,
    /// Who makes an object otherwise may do so for ever.
    fights: Troubles<(ResourceType, Mended)>,
}

/// What was done to have an object as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mended {
    /// It was so already.
    Nothing,
    /// It said something else.
    PutBack,
    /// It was not there.
    CreatedAgain,
    /// It was not to be there.
    Deleted,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(lifecycles: Collection<LifecycleObject>, fence: Fence, writes: TaskTracker) -> Self {
        Self { lifecycles, fence, writes, wanted: Mutex::default() }
    }

    /// This is what was read when the ranch began.
    pub(super) fn begin(&self, records: &[LifecycleRecord]) {
        let by_type = |record: &LifecycleRecord| (record.lifecycle.r#type.clone(), Wanted::of(record));
        *self.wanted.lock() = records.iter().map(by_type).collect();
    }

    /// A plan is committed, and its turn is not over yet.
    pub(super) fn committed(&self, plan: &Plan) {
        for write in &plan.writes {
            match write {
                Write::PutLifecycle(record) => {
                    self.wanted.lock().insert(record.lifecycle.r#type.clone(), Wanted::of(record));
                }
                Write::DeleteLifecycle(r#type) => drop(self.wanted.lock().remove(r#type)),
                Write::Put(_) | Write::Delete(_) | Write::PutPlace(_) | Write::DeletePlace(_) => {}
            }
        }
    }

    /// Follows the objects from the moment of `after`, for ever, and puts back what others make of them.
    pub(super) async fn keep(&self, after: Option<Version>, turns: &Turns, outage: &Outage) {
        let mut follow = Follow::new(self.lifecycles.clone(), after);
        let mut agenda = Agenda::default();
        let mut contact = outage.contact(
            "nothing is heard of changes of lifecycles by others; trying again",
            "changes of lifecycles by others are heard again",
        );
        // Everything was just read, so that whatever failed before is over.
        contact.works();
        loop {
            let next = agenda.next();
            let news = tokio::select! {
                news = follow.next() => news,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    self.work_off(&mut agenda, turns).await;
                    continue;
                }
            };
            match &news {
                News::Trouble(error) => contact.failed(error, error.is_away()),
                News::Again => {}
                News::All(_) | News::Changed(_) | News::Gone(_) | News::Back => contact.works(),
            }
            for r#type in self.differing(&news) {
                agenda.add(r#type);
            }
        }
    }

    /// The types whose object seems not to be as it is to be; perhaps since a plan is under way.
    fn differing(&self, news: &News<LifecycleObject>) -> BTreeSet<ResourceType> {
        let wanted = self.wanted.lock();
        let type_of = |object: &LifecycleObject| ResourceType::from(object.metadata.name.as_str());
        let differs = |object: &&LifecycleObject| {
            // The end of one that terminates is news of its own.
            let wanted = wanted.get(&type_of(object));
            !object.meta().is_terminating() && !wanted.is_some_and(|wanted| wanted.is(&lifecycle::read(object)))
        };
        match news {
            News::All(listing) => {
                let listed: BTreeSet<ResourceType> = listing.items.iter().map(type_of).collect();
                let missing = wanted.keys().filter(|r#type| !listed.contains(*r#type)).cloned();
                missing.chain(listing.items.iter().filter(differs).map(type_of)).collect()
            }
            News::Changed(object) => Some(object).filter(differs).map(type_of).into_iter().collect(),
            News::Gone(object) => {
                Some(type_of(object)).filter(|r#type| wanted.contains_key(r#type)).into_iter().collect()
            }
            News::Again | News::Back | News::Trouble(_) => BTreeSet::new(),
        }
    }

    async fn work_off(&self, agenda: &mut Agenda, turns: &Turns) {
        for r#type in agenda.take_due() {
            // Behind the plans of that type: what they are to come to is not known before.
            let mut turn = turns.line_up([Touched::Lifecycle(r#type.clone())]);
            turn.come().await;
            let mended = self.mend(&r#type).await;
            turns.end(turn);
            match mended {
                Ok(mended) => {
                    agenda.tell(&r#type, mended);
                    if mended != Mended::Nothing {
                        agenda.tried(r#type);
                    }
                }
                Err(KubernetesError::NotLeading) => agenda.try_again(r#type),
                Err(error) => {
                    // That nothing can be had at the moment is told of by what follows the objects.
                    if !error.is_away() {
                        let error = text::chain(&error);
                        let what = "a lifecycle object is not as the config says; trying again";
                        agenda.trouble.of(r#type.clone()).tell(|| tracing::warn!(r#type = %r#type, error, "{what}"));
                    }
                    agenda.try_again(r#type);
                }
            }
        }
    }

    /// Makes of the object what it is to be.
    async fn mend(&self, r#type: &ResourceType) -> Result<Mended, KubernetesError> {
        let _under_way = self.writes.token();
        if self.writes.is_closed() || !self.fence.is_open() {
            return Err(KubernetesError::NotLeading);
        }
        let (name, objects) = (r#type.as_str(), &self.lifecycles);
        let there = objects.get(name).await?;
        let wanted = self.wanted.lock().get(r#type).cloned();
        if !self.fence.is_open() {
            return Err(KubernetesError::NotLeading);
        }
        let (wanted, written, mended) = match (there, wanted) {
            (None, None) => return Ok(Mended::Nothing),
            (Some(object), _) if object.metadata.is_terminating() => return Ok(Mended::Nothing),
            (Some(object), Some(wanted)) if wanted.is(&lifecycle::read(&object)) => return Ok(Mended::Nothing),
            (Some(object), None) => {
                let meta = object.metadata;
                let deleted = objects.delete(name, &meta.uid, meta.resource_version).await;
                return deleted.map(|()| Mended::Deleted).map_err(KubernetesError::Write);
            }
            (Some(object), Some(wanted)) => {
                let (version, patch) = (object.metadata.resource_version, lifecycle::patch(&object, &wanted.record));
                let patched = objects.patch(name, version, patch).await.map_err(KubernetesError::Write)?;
                let changed = patched.metadata.resource_version != version;
                (wanted, patched, if changed { Mended::PutBack } else { Mended::Nothing })
            }
            (None, Some(wanted)) => {
                let body = lifecycle::body(&wanted.record);
                (wanted, objects.create(name, body).await.map_err(KubernetesError::Write)?, Mended::CreatedAgain)
            }
        };
        let kept = lifecycle::read(&written);
        if !wanted.is(&kept) {
            tracing::warn!(
                r#type = name,
                "the installed definition does not keep all of a lifecycle: apply deploy/base/crd.yaml"
            );
            self.wanted.lock().insert(r#type.clone(), Wanted { kept, ..wanted });
        }
        Ok(mended)
    }
}

// === impl Wanted ===

impl Wanted {
    fn of(record: &LifecycleRecord) -> Self {
        Self { record: record.clone(), kept: lifecycle::read_back(record) }
    }

    fn is(&self, record: &LifecycleRecord) -> bool {
        self.record == *record || self.kept == *record
    }
}

// === impl Agenda ===

impl Agenda {
    fn add(&mut self, r#type: ResourceType) {
        let now = Instant::now();
        self.tried.retain(|_, tried| *tried + PAUSE > now);
        let at = self.tried.get(&r#type).map_or(now, |tried| *tried + PAUSE);
        self.due.entry(r#type).or_insert(at);
    }

    /// Says what was done, of what others do again and again once in a while, and that trouble is over.
    fn tell(&mut self, r#type: &ResourceType, mended: Mended) {
        let mut is_over = self.trouble.of(r#type.clone()).end();
        let what = match mended {
            Mended::Nothing => None,
            Mended::PutBack => Some("a lifecycle object was changed by others: it is as the config says again"),
            Mended::CreatedAgain => {
                Some("a lifecycle object was deleted by others: it is created again, as the config says")
            }
            Mended::Deleted => Some("a lifecycle object that the config knows nothing of was deleted"),
        };
        if let Some(what) = what {
            let fight = self.fights.of((r#type.clone(), mended));
            fight.tell(|| {
                is_over = false;
                tracing::warn!(r#type = %r#type, "{what}");
            });
            // Until it is begun anew.
            fight.end();
        }
        if is_over {
            tracing::info!(r#type = %r#type, "a lifecycle object is as the config says again");
        }
    }

    fn tried(&mut self, r#type: ResourceType) {
        self.tried.insert(r#type, Instant::now());
    }

    fn try_again(&mut self, r#type: ResourceType) {
        self.tried(r#type.clone());
        self.add(r#type);
    }

    fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    fn take_due(&mut self) -> Vec<ResourceType> {
        let now = Instant::now();
        self.due.extract_if(.., |_, at| *at <= now).map(|(r#type, _)| r#type).collect()
    }
}
