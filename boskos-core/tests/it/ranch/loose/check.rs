//! What holds after every step.

use std::collections::BTreeMap;

use boskos_core::{
    Resource, ResourceName,
    ranch::{
        Metric,
        command::{Acquire, CallId, Command, Refusal, Reply, Watch},
        plan::{Plan, Put, Record, Write},
    },
    state,
};

use super::{Call, Check, Loose};
use crate::queue::whole_queue;

impl Loose<'_> {
    pub(super) fn check_reply(&mut self, id: CallId, reply: Reply) -> Check {
        let call = self.calls.remove(&id).ok_or_else(|| format!("{id:?} is answered twice"))?;
        match (&call.command, reply) {
            (Command::Acquire(asked), Reply::Granted(granted)) => {
                self.granted -= 1;
                self.tally.note("grants");
                if !asked.wait.is_zero() && call.asked < self.now.mono {
                    self.tally.note("parked grants");
                }
                self.check_granted(id, &call, &granted.record.resource, asked.owner.as_str(), asked.dest.as_str())?;
                if granted.record.resource.r#type != asked.r#type {
                    return Err(format!("{id:?} asked for {} and got {:?}", asked.r#type, granted.record.resource));
                }
                self.keep_or_undo(&call, granted.receipt);
            }
            (Command::AcquireByState(asked), Reply::GrantedAll(resources, receipt)) => {
                let names: Vec<_> = resources.iter().map(|resource| resource.name.clone()).collect();
                if names != asked.names {
                    return Err(format!("{id:?} asked for {:?} and got {names:?}", asked.names));
                }
                for resource in &resources {
                    self.granted -= 1;
                    self.check_granted(id, &call, resource, asked.owner.as_str(), asked.dest.as_str())?;
                }
                self.keep_or_undo(&call, receipt);
            }
            (Command::Release(asked), Reply::Done) => {
                let kept = self.shelf.find(asked.name.as_str()).ok_or("what was released is gone")?;
                let resource = &kept.record.resource;
                if self.meddled.is_empty() && (resource.owner.is_some() || resource.state != asked.dest) {
                    return Err(format!("{asked:?} is answered and it is {resource:?}"));
                }
            }
            (Command::Update(asked), Reply::Done) => {
                let kept = self.shelf.find(asked.name.as_str()).ok_or("what was updated is gone")?;
                let resource = &kept.record.resource;
                let merged = resource.user_data.merged(&asked.patch) == resource.user_data;
                let held = resource.owner.as_ref() == Some(&asked.owner) && resource.state == asked.state;
                if self.meddled.is_empty() && !(merged && held) {
                    return Err(format!("{asked:?} is answered and it is {resource:?}"));
                }
            }
            (Command::Reset(asked), Reply::Reset(taken)) => {
                for (name, owner) in taken {
                    let did = self.shelf.history.iter().any(|row| {
                        row.name == name
                            && row.from == Some((asked.state.clone(), Some(owner.clone())))
                            && row.to == Some((asked.dest.clone(), None))
                    });
                    if !did {
                        return Err(format!("{asked:?} says that it took {name} from {owner}"));
                    }
                }
            }
            (Command::Sync(_), reply @ (Reply::Synced | Reply::Refused(Refusal::Unavailable))) => {
                self.sync_answered(id, &reply)?;
            }
            (Command::Watch(asked), Reply::Watched { found }) => self.check_watched(asked, found)?,
            (_, Reply::Refused(refusal)) => self.check_refusal(id, call, &refusal)?,
            (command, reply) => return Err(format!("{command:?} is answered {reply:?}")),
        }
        Ok(())
    }

    fn keep_or_undo(&mut self, call: &Call, receipt: boskos_core::ranch::command::Receipt) {
        // Some answers find nobody even though nobody hung up before.
        if call.hung_up.is_some() {
            self.tally.note("hang-ups with the grant in flight");
        }
        if call.hung_up.is_some() || self.last_call.is_multiple_of(5) {
            self.unread.push(receipt);
        }
    }

    fn check_granted(&self, id: CallId, call: &Call, resource: &Resource, owner: &str, dest: &str) -> Check {
        let kept = self.shelf.find(resource.name.as_str()).map(|kept| &kept.record.resource);
        if self.meddled.is_empty() && kept != Some(resource) {
            return Err(format!("{id:?} is told {resource:?} and kept is {kept:?}"));
        }
        if resource.owner.as_ref().map(boskos_core::Owner::as_str) != Some(owner) || resource.state.as_str() != dest {
            return Err(format!("{:?} got {resource:?}", call.command));
        }
        let by = self.written_by.get(resource.name.as_str()).copied();
        if call.hung_up.is_some_and(|last| by > last) {
            return Err(format!("{id:?} hung up before {by:?} was decided, which granted it {resource:?}"));
        }
        Ok(())
    }

    fn check_refusal(&mut self, id: CallId, call: Call, refusal: &Refusal) -> Check {
        let wrong = |why: &str| Err(format!("{:?} is refused with {refusal:?}: {why}", call.command));
        let find = |name: &str| self.shelf.find(name).map(|kept| &kept.record.resource);
        match (refusal, &call.command) {
            (Refusal::NoneAvailable(_), Command::Acquire(asked)) => {
                self.check_none_available(id, &call, asked)?;
                self.refused.push((id, call));
            }
            (Refusal::NoneAvailable(_), Command::AcquireByState(asked)) => {
                let there = |name: &boskos_core::ResourceName| {
                    find(name.as_str())
                        .is_some_and(|resource| resource.owner.is_none() && resource.state == asked.state)
                };
                if self.meddled.is_empty() && asked.names.iter().all(there) && !asked.names.is_empty() {
                    return wrong("all are there");
                }
            }
            (Refusal::UnknownType(r#type), Command::Acquire(_)) => {
                let dynamic = self.shelf.lifecycles.iter().any(|record| record.lifecycle.r#type == *r#type);
                let there = self.shelf.kept.iter().any(|kept| kept.record.resource.r#type == *r#type);
                if self.meddled.is_empty() && (dynamic || there) {
                    return wrong("it exists");
                }
            }
            (Refusal::NotFound(name), Command::Release(_) | Command::Update(_)) => {
                if self.meddled.is_empty() && find(name.as_str()).is_some() {
                    return wrong("it exists");
                }
            }
            (Refusal::NotOwner { asked, current }, Command::Release(_) | Command::Update(_)) => {
                if current.as_ref() == Some(asked) {
                    return wrong("it is the owner");
                }
            }
            (Refusal::WrongState { asked, current }, Command::Update(_)) => {
                if current == asked {
                    return wrong("it is in that state");
                }
            }
            (Refusal::Unavailable, _) => {}
            (Refusal::Crowded(_), _) if self.limits.waiting_per_resource == 1 => {}
            _ => return wrong("that is no answer to this"),
        }
        Ok(())
    }

    /// Nobody is told that nothing is available as long as something that was in flight when the
    /// call came could still serve it.
    fn check_none_available(&mut self, id: CallId, call: &Call, asked: &Acquire) -> Check {
        let replaced = self.calls.range(id..).chain(self.refused.iter().map(|(id, call)| (id, call))).any(|(other, call)| {
            matches!(&call.command, Command::Acquire(other) if other.request_id.is_some() && other.request_id == asked.request_id
                && other.r#type == asked.r#type && other.state == asked.state)
                && *other > id
        });
        // The call that took its place may have got its answer in the same breath.
        if replaced || asked.request_id.is_some() && self.last_call > id.0 {
            return Ok(());
        }
        if !call.candidates.is_empty() {
            self.tally.note("calls that sought among what was in flight");
        }
        let open = self.flying.iter().find(|flying| call.candidates.contains(&flying.plan.id));
        if asked.wait.is_zero() {
            return open.map_or(Ok(()), |open| {
                Err(format!("{id:?} is refused while {:?} is in flight, which was before", open.plan.id))
            });
        }
        if self.now.mono < call.asked.saturating_add(asked.wait) {
            return Err(format!("{id:?} is refused before its wait has ended"));
        }
        Ok(())
    }

    pub(super) fn check(&mut self) -> Check {
        let (events, flying) = (&self.events, &self.flying);
        self.meddled.retain(|name| {
            events.iter().any(|event| event.name.as_str() == name)
                || flying.iter().any(|flying| flying.plan.names().any(|other| other.as_str() == name))
        });
        self.check_queue()?;
        if self.meddled.is_empty() {
            self.check_resources()?;
            self.check_counts()?;
            self.check_watches()?;
        }
        if self.ranch.in_flight() != self.flying.len() {
            return Err(format!("{} plans are in flight, not {}", self.flying.len(), self.ranch.in_flight()));
        }
        let mut lifecycles = self.shelf.lifecycles.clone();
        lifecycles.sort_by(|a, b| a.lifecycle.r#type.cmp(&b.lifecycle.r#type));
        if self.ranch.lifecycles() != lifecycles {
            return Err(format!("lifecycles are {:?}, kept {lifecycles:?}", self.ranch.lifecycles()));
        }
        Ok(())
    }

    /// Unowned resources of a type and state that nothing in flight touches.
    fn settled(&self, r#type: &str, state: &str) -> usize {
        let all = self.ranch.resources();
        all.filter(|resource| {
            resource.r#type.as_str() == r#type
                && resource.state.as_str() == state
                && resource.owner.is_none()
                && !self.flying.iter().any(|flying| flying.plan.names().any(|name| *name == resource.name))
        })
        .count()
    }

    fn check_queue(&self) -> Check {
        let queue = whole_queue(&self.ranch, self.now);
        let mut ranks: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (index, place) in queue.iter().enumerate() {
            let key = (place.r#type.to_string(), place.state.to_string());
            let rank = ranks.entry(key).or_insert(0);
            *rank += 1;
            if place.rank != *rank {
                return Err(format!("{place:?} ought to have rank {rank}"));
            }
            if place.request_id.is_none() && !place.parked {
                return Err(format!("nobody is at {place:?}"));
            }
            let twin = queue[..index].iter().any(|other| {
                other.request_id.is_some()
                    && (&other.r#type, &other.state, &other.request_id)
                        == (&place.r#type, &place.state, &place.request_id)
            });
            if twin {
                return Err(format!("{place:?} is there twice"));
            }
            let settled = self.settled(place.r#type.as_str(), place.state.as_str());
            let served = !self.ranch.is_halted() && !self.ranch.is_making_up();
            if place.parked && place.rank <= settled && served {
                return Err(format!("{place:?} waits although there are {settled}"));
            }
        }
        Ok(())
    }

    /// Who was refused in this step was not due.
    pub(super) fn check_refused(&mut self) -> Check {
        let queue = whole_queue(&self.ranch, self.now);
        for (id, call) in std::mem::take(&mut self.refused) {
            let Command::Acquire(asked) = &call.command else { continue };
            // The end of a wait may come before that of the place in front of it.
            if self.ranch.is_halted() || !asked.wait.is_zero() {
                continue;
            }
            let settled = self.settled(asked.r#type.as_str(), asked.state.as_str());
            let line = queue.iter().filter(|place| place.r#type == asked.r#type && place.state == asked.state);
            let rank = match &asked.request_id {
                Some(request) => {
                    let mut line = line;
                    let place = line.find(|place| place.request_id.as_ref() == Some(request));
                    place.map_or(usize::MAX, |place| place.rank)
                }
                None => line.count() + 1,
            };
            if rank <= settled {
                return Err(format!("{id:?} is refused at rank {rank} although there are {settled}"));
            }
        }
        Ok(())
    }

    fn check_resources(&self) -> Check {
        let all: Vec<Resource> = self.ranch.resources().cloned().collect();
        let kept = self.shelf.resources();
        if all != kept {
            return Err(format!("resources are {all:?}, kept {kept:?}"));
        }
        Ok(())
    }

    fn check_counts(&self) -> Check {
        let mut pools: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
        for resource in self.ranch.resources() {
            *pools.entry((resource.r#type.to_string(), resource.state.to_string())).or_insert(0) += 1;
            let metric = metrics.entry(resource.r#type.to_string()).or_insert_with(|| {
                let totals = self.shelf.totals.iter().filter(|(r#type, _, _)| *r#type == resource.r#type);
                Metric {
                    r#type: resource.r#type.to_string(),
                    total: totals.map(|(_, state, total)| (state.to_string(), *total)).collect(),
                    ..Metric::default()
                }
            });
            *metric.current.entry(resource.state.to_string()).or_insert(0) += 1;
            let owner = resource.owner.as_ref().map(ToString::to_string).unwrap_or_default();
            *metric.owner.entry(owner).or_insert(0) += 1;
        }
        let counted: BTreeMap<_, _> =
            self.ranch.pools().map(|pool| ((pool.r#type.to_string(), pool.state.to_string()), pool.count)).collect();
        if counted != pools {
            return Err(format!("pools are {counted:?}, recounted {pools:?}"));
        }
        for r#type in crate::ranch::scene::KINDS {
            let metric = self.ranch.counts(r#type).map(Metric::from);
            if metric.as_ref() != metrics.get(r#type) {
                return Err(format!("metric is {metric:?}, recounted {:?}", metrics.get(r#type)));
            }
        }
        Ok(())
    }

    fn check_watches(&self) -> Check {
        for (id, call) in &self.calls {
            if let Command::Watch(watch) = &call.command
                && call.hung_up.is_none()
                && !self.ranch.is_searching()
                && self.knows_age_for(watch)
                && let Some(record) = self.watched(watch)
            {
                return Err(format!("{id:?} still watches for {watch:?}, and there is {record:?}"));
            }
        }
        Ok(())
    }

    fn check_watched(&mut self, asked: &Watch, found: bool) -> Check {
        let there = self.watched(asked);
        if self.meddled.is_empty() && self.knows_age_for(asked) && there.is_some() != found {
            return Err(format!("{asked:?} is answered found: {found}, and there is {there:?}"));
        }
        if asked.since.is_some() {
            self.tally.note(if found { "news" } else { "no news" });
        }
        Ok(())
    }

    /// Whether a store knows what is newer: what others wrote has its sequence from the ranch alone.
    fn knows_age_for(&self, asked: &Watch) -> bool {
        asked.since.is_none() || !self.shelf.versions
    }

    /// What is kept and watched for.
    fn watched(&self, asked: &Watch) -> Option<&Record> {
        let newer = |record: &Record| record.sequence.max(record.last_transition) > asked.since.unwrap_or(0);
        let records = self.shelf.kept.iter().map(|kept| &kept.record);
        records.filter(|record| newer(record)).find(|record| asked.filter.matches(&record.resource))
    }

    /// Of those that are more than max the last by name go first.
    pub(super) fn check_surplus(&self, plan: &Plan) -> Check {
        let Some(Write::Put(Put { record: going, replaces: Some(_), .. })) = plan.writes.first() else { return Ok(()) };
        let going = &going.resource;
        let find = |name: &ResourceName| self.shelf.find(name.as_str()).map(|kept| &kept.record);
        let was_unowned = find(&going.name).is_some_and(|record| record.resource.owner.is_none());
        let expired = going.expiration.is_some_and(|at| at <= self.now.wall);
        if going.state.as_str() != state::TO_BE_DELETED || going.owner.is_some() || !was_unowned || expired {
            return Ok(());
        }
        let later = self.ranch.names_page(Some(&going.name), usize::MAX).into_iter().find(|view| {
            let settled = !self.flying.iter().any(|flying| flying.plan.names().any(|name| *name == view.name));
            let stays = |record: &Record| {
                let resource = &record.resource;
                let leaving = record.leaving && resource.state.as_str() == state::CLEANING;
                let gone = matches!(resource.state.as_str(), state::TO_BE_DELETED | state::TOMBSTONE);
                resource.r#type == going.r#type && resource.owner.is_none() && !leaving && !gone
            };
            settled && !view.listed && find(&view.name).is_some_and(stays)
        });
        match later {
            Some(later) => Err(format!("{} goes before {}", going.name, later.name)),
            None => Ok(()),
        }
    }
}
