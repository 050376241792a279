//! Everything that can be seen of the ranch, in the model's words.

use std::{collections::BTreeMap, fmt::Debug};

use boskos_core::{
    Resource,
    ranch::{Metric, command::Reply},
};

use super::Exact;
use crate::model::{Answer, Fate, Form, Item};

type Check = Result<(), String>;

pub(super) fn same<T: PartialEq + Debug>(what: &str, ranch: &T, model: &T) -> Check {
    if ranch == model {
        return Ok(());
    }
    Err(format!("{what} differ\n  ranch: {ranch:?}\n  model: {model:?}"))
}

fn form(resource: &Resource) -> Form {
    Form {
        name: resource.name.to_string(),
        kind: resource.r#type.to_string(),
        state: resource.state.to_string(),
        owner: resource.owner.as_ref().map(ToString::to_string),
        updated: resource.last_update.as_nanos(),
        data: resource.user_data.to_map().into_iter().collect(),
        expires: resource.expiration.map(|at| at.as_nanos()),
    }
}

pub(super) fn answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Granted(granted) => Answer::Granted {
            item: form(&granted.record.resource),
            waited: u64::try_from(granted.waited.as_nanos()).expect("short"),
        },
        Reply::GrantedAll(resources, _) => Answer::GrantedAll(resources.iter().map(form).collect()),
        Reply::Done => Answer::Done,
        Reply::Reset(taken) => {
            Answer::Reset(taken.iter().map(|(name, owner)| (name.to_string(), owner.to_string())).collect())
        }
        Reply::Synced => Answer::Synced,
        Reply::Watched { found } => Answer::Watched { found: *found },
        Reply::Refused(refusal) => Answer::Refused(refusal.to_string()),
    }
}

impl Exact {
    pub(super) fn compare_all(&mut self) -> Check {
        self.compare_resources()?;
        self.compare_names()?;
        self.compare_lifecycles()?;
        self.compare_queue()?;
        self.compare_counts()?;
        self.compare_shelf()?;
        self.compare_order()?;
        same("plans in flight", &self.ranch.in_flight(), &0)
    }

    fn compare_resources(&self) -> Check {
        let mut forms: Vec<Form> = self.model.items.iter().map(Item::form).collect();
        forms.sort();
        same("resources", &self.ranch.resources().map(form).collect(), &forms)?;
        same("lengths", &self.ranch.len(), &forms.len())
    }

    fn compare_names(&self) -> Check {
        let page = self.ranch.names_page(None, usize::MAX);
        let ranch: Vec<_> = page
            .iter()
            .map(|view| (view.name.to_string(), view.r#type.to_string(), view.listed, view.dynamic, view.to_be_deleted))
            .collect();
        let mut model: Vec<_> = self
            .model
            .items
            .iter()
            .map(|item| {
                let kind = match &item.fate {
                    Some(Fate::Remake { kind, .. }) => kind,
                    Some(Fate::Delete) | None => &item.kind,
                };
                let dynamic = self.model.life(&item.kind).is_some();
                (item.name.clone(), kind.clone(), item.listed, dynamic, item.fate == Some(Fate::Delete))
            })
            .collect();
        model.sort();
        same("views of names", &ranch, &model)
    }

    fn compare_lifecycles(&self) -> Check {
        let ranch: Vec<_> = self
            .ranch
            .lifecycles()
            .into_iter()
            .map(|record| {
                let life = record.lifecycle;
                let lifespan = life.lifespan.map(|span| span.as_nanos());
                let counts = (life.min_count, life.max_count);
                (life.r#type.to_string(), life.state.to_string(), counts, lifespan, record.draining)
            })
            .collect();
        let mut model: Vec<_> = self
            .model
            .lives
            .iter()
            .cloned()
            .map(|life| (life.kind, life.initial, (life.min, life.max), life.lifespan, life.draining))
            .collect();
        model.sort();
        same("lifecycles", &ranch, &model)?;
        let mut kept = self.shelf.lifecycles.clone();
        kept.sort_by(|a, b| a.lifecycle.r#type.cmp(&b.lifecycle.r#type));
        same("lifecycles and those kept", &self.ranch.lifecycles(), &kept)
    }

    fn compare_queue(&self) -> Check {
        let ranch: Vec<_> = self
            .queue()
            .into_iter()
            .map(|view| {
                let waited = u64::try_from(view.waited.as_nanos()).expect("short");
                let place = (view.r#type.to_string(), view.state.to_string(), view.rank);
                (place, view.request_id, view.owner, view.since.as_nanos(), waited, view.parked)
            })
            .collect();
        let mut model: Vec<_> = (0..self.model.line.len())
            .map(|index| {
                let waiter = &self.model.line[index];
                let waited = waiter.carried + (self.model.now.mono - waiter.asked);
                let place = (waiter.kind.clone(), waiter.state.clone(), self.model.rank(index));
                (place, waiter.id.clone(), waiter.owner.clone(), waiter.joined, waited, waiter.parked.is_some())
            })
            .collect();
        model.sort();
        same("queues", &ranch, &model)?;
        let mut kept: Vec<_> = self.model.line.iter().filter(|waiter| waiter.id.is_some()).collect();
        kept.sort_by_key(|waiter| waiter.ticket);
        let kept: Vec<_> = kept
            .into_iter()
            .map(|waiter| (waiter.kind.clone(), waiter.state.clone(), waiter.id.clone(), waiter.joined))
            .collect();
        let places = self.shelf.places.iter().map(|place| {
            let id = Some(place.request_id.clone());
            (place.r#type.to_string(), place.state.to_string(), id, place.joined.as_nanos())
        });
        same("places kept", &places.collect(), &kept)?;
        let parked = self.model.line.iter().filter(|waiter| waiter.parked.is_some()).count();
        same("numbers of parked calls", &self.ranch.parked(), &parked)?;
        same("numbers of places", &self.ranch.places(), &self.model.line.len())
    }

    fn compare_counts(&self) -> Check {
        let mut pools: BTreeMap<(String, String), u64> = BTreeMap::new();
        for item in &self.model.items {
            *pools.entry((item.kind.clone(), item.state.clone())).or_insert(0) += 1;
        }
        let ranch = self.ranch.pools().map(|pool| ((pool.r#type.to_string(), pool.state.to_string()), pool.count));
        same("pools", &ranch.collect(), &pools)?;
        let mut types: Vec<String> = self.model.items.iter().map(|item| item.kind.clone()).collect();
        types.extend(self.model.lives.iter().map(|life| life.kind.clone()));
        types.sort();
        types.dedup();
        same("types", &self.ranch.types().iter().map(ToString::to_string).collect(), &types)?;
        for kind in &types {
            let mut owners: BTreeMap<String, u64> = BTreeMap::new();
            for item in self.model.items.iter().filter(|item| item.kind == *kind) {
                *owners.entry(item.owner.clone().unwrap_or_default()).or_insert(0) += 1;
            }
            let of_kind = pools.iter().filter(|((other, _), _)| other == kind);
            let current: BTreeMap<_, _> = of_kind.map(|((_, state), count)| (state.clone(), *count)).collect();
            let totals = self.model.totals.iter().filter(|(other, _, _)| other == kind);
            let total: BTreeMap<_, _> = totals.map(|(_, state, total)| (state.clone(), *total)).collect();
            let metric = self
                .ranch
                .counts(kind)
                .map(Metric::from)
                .map(|metric| (metric.r#type, metric.current, metric.owner, metric.total));
            let expected = (!current.is_empty()).then(|| (kind.clone(), current, owners, total));
            same("metrics", &metric, &expected)?;
        }
        Ok(())
    }

    fn compare_shelf(&self) -> Check {
        same("resources and those kept", &self.ranch.resources().cloned().collect(), &self.shelf.resources())?;
        for kept in &self.shelf.kept {
            let name = kept.record.resource.name.as_str();
            let item = &self.model.items[self.model.find(name).ok_or("kept and not in the model")?];
            same(&format!("{name}: leaving"), &kept.record.leaving, &item.leaving)?;
            let newest = self.ranch.resource(name).map(|(_, newest)| newest);
            same("newest history rows", &newest, &Some(kept.record.last_transition))?;
        }
        let mut kept: Vec<_> = self
            .shelf
            .totals
            .iter()
            .map(|(kind, state, total)| (kind.to_string(), state.to_string(), *total))
            .collect();
        let mut totals = self.model.totals.clone();
        kept.sort();
        totals.sort();
        same("totals kept", &kept, &totals)
    }

    /// Unowned resources of a type and state have the same order in both. The model then takes
    /// over the ranch's numbers, since the order between types and owners is nobody's concern.
    fn compare_order(&mut self) -> Check {
        let sequence = |name: &str| self.shelf.find(name).expect("compared before").record.sequence;
        for item in &self.model.items {
            let names = self.model.matching(&item.kind, &item.state);
            let sequences: Vec<_> = names.iter().map(|name| sequence(name)).collect();
            if !sequences.is_sorted() {
                return Err(format!("the order of {names:?} differs: the ranch has {sequences:?}"));
            }
        }
        for item in &mut self.model.items {
            item.order = self.shelf.find(&item.name).expect("compared before").record.sequence;
            self.model.clock = self.model.clock.max(item.order);
        }
        Ok(())
    }
}
