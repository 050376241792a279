//! The verbs that name resources, undo, watch, and what happens to calls.

use super::{Answer, Item, Model, Sieve, Waiter, Watcher};

/// A grant that can still be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) call: u64,
    /// The forms before, and the editions that the grant made.
    pub(crate) taken: Vec<(Item, u64)>,
    pub(crate) place: Option<Waiter>,
    pub(crate) created: bool,
}

const UNAVAILABLE: &str = "storage is not available, try again later";

impl Model {
    pub(crate) fn acquire_by_state(&mut self, call: u64, state: &str, dest: &str, owner: &str, names: &[String]) {
        if self.halted {
            return self.refuse(call, UNAVAILABLE);
        }
        let all_there = names.iter().all(|name| {
            self.find(name).is_some_and(|index| self.items[index].owner.is_none() && self.items[index].state == state)
        });
        if !all_there || names.is_empty() {
            return self.refuse(call, format!("no available resource {state}, try again later."));
        }
        let mut taken = Vec::new();
        let mut forms = Vec::new();
        for name in names {
            let index = self.find(name).expect("all are there");
            let before = self.items[index].clone();
            self.change(name, |item| {
                item.owner = Some(owner.to_owned());
                item.state = dest.to_owned();
            });
            taken.push((before, self.items[index].edition));
            forms.push(self.items[index].form());
        }
        self.grants.push(Grant { call, taken, place: None, created: false });
        self.answer(call, Answer::GrantedAll(forms));
    }

    /// The index of a resource that `owner` holds, or the refusal.
    fn held(&self, name: &str, owner: &str) -> Result<usize, String> {
        if self.halted {
            return Err(UNAVAILABLE.to_owned());
        }
        let index = self.find(name).ok_or_else(|| format!("no available resource {name}, try again later."))?;
        let current = self.items[index].owner.as_deref().unwrap_or("");
        if current == owner {
            return Ok(index);
        }
        Err(format!("owner mismatch request by {owner}, currently owned by {current}"))
    }

    pub(crate) fn release(&mut self, call: u64, name: &str, dest: &str, owner: &str) {
        let index = match self.held(name, owner) {
            Ok(index) => index,
            Err(text) => return self.refuse(call, text),
        };
        let now = self.now.wall;
        let life = self.life(&self.items[index].kind).cloned();
        self.change(name, |item| {
            item.owner = None;
            item.state = dest.to_owned();
            match life {
                None => item.expires = None,
                Some(life) => item.expires = life.lifespan.map_or(item.expires, |span| Some(now + span)),
            }
        });
        self.answer(call, Answer::Done);
        self.carry_out_fates();
        self.serve();
    }

    pub(crate) fn update(
        &mut self,
        call: u64,
        name: &str,
        owner: &str,
        state: &str,
        patch: &[(String, Option<String>)],
    ) {
        let index = match self.held(name, owner) {
            Ok(index) => index,
            Err(text) => return self.refuse(call, text),
        };
        let current = self.items[index].state.clone();
        if current != state {
            return self.refuse(call, format!("state mismatch - expected {current}, current {state}"));
        }
        self.change(name, |item| {
            for (key, text) in patch {
                item.data.retain(|(other, _)| other != key);
                if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                    item.data.push((key.clone(), text.clone()));
                }
            }
            item.data.sort();
        });
        self.answer(call, Answer::Done);
    }

    pub(crate) fn reset(&mut self, call: u64, kind: &str, state: &str, expire: i64, dest: &str) {
        if self.halted {
            return self.refuse(call, UNAVAILABLE);
        }
        let mut stale: Vec<Item> = self
            .items
            .iter()
            .filter(|item| item.kind == kind && item.state == state && item.owner.is_some())
            .filter(|item| expire <= 0 || self.now.wall - item.updated >= expire)
            .cloned()
            .collect();
        stale.sort_by_key(|item| item.order);
        for item in &stale {
            self.change(&item.name, |item| {
                item.owner = None;
                item.state = dest.to_owned();
                item.expires = None;
            });
        }
        let mut taken: Vec<(String, String)> =
            stale.into_iter().map(|item| (item.name, item.owner.expect("only owned ones"))).collect();
        taken.sort();
        self.answer(call, Answer::Reset(taken));
        self.carry_out_fates();
        self.serve();
    }

    pub(crate) fn undo(&mut self, grant: Grant) {
        if self.halted {
            self.owed.push(grant);
            return;
        }
        let mut undone = false;
        for (before, edition) in &grant.taken {
            let unchanged = self.find(&before.name).is_some_and(|index| self.items[index].edition == *edition);
            if !unchanged {
                continue;
            }
            undone = true;
            self.note("undone grants");
            let (created, form) = (grant.created, before.clone());
            self.change_quietly(&before.name, |item| {
                let now = item.clone();
                *item = form;
                item.listed = now.listed;
                item.fate = now.fate;
                if created {
                    item.order = now.order;
                    item.updated = now.updated;
                }
            });
            let index = self.find(&before.name).expect("just changed");
            self.items[index].leaving = before.leaving;
        }
        if let (true, Some(place)) = (undone, grant.place) {
            self.reopen(place);
        }
        self.carry_out_fates();
        self.serve();
    }

    /// Gives an id the place back that an undone grant had ended.
    fn reopen(&mut self, mut place: Waiter) {
        place.parked = None;
        place.ends = self.now.mono + self.ttl;
        let newer = self
            .line
            .iter()
            .position(|other| other.kind == place.kind && other.state == place.state && other.id == place.id);
        if let Some(index) = newer {
            let newer = self.line.remove(index);
            (place.owner, place.parked) = (newer.owner, newer.parked);
        }
        self.line.push(place);
        self.note("reopened places");
    }

    pub(crate) fn watch(&mut self, call: u64, sieve: Sieve, wait: u64) {
        if wait == 0 || self.items.iter().any(|item| sieve.lets_through(&item.form())) {
            return self.answer(call, Answer::Watched { found: true });
        }
        self.watchers.push(Watcher { call, sieve, until: self.now.mono + wait });
    }

    /// The caller has hung up.
    pub(crate) fn cancel(&mut self, call: u64) {
        self.watchers.retain(|watcher| watcher.call != call);
        let parked = |waiter: &Waiter| waiter.parked.as_ref().is_some_and(|parked| parked.call == call);
        if let Some(index) = self.line.iter().position(parked) {
            self.end_wait(index, false);
        }
    }

    pub(crate) fn release_waiters(&mut self) {
        let mut parked: Vec<u64> =
            self.line.iter().filter(|waiter| waiter.parked.is_some()).map(|waiter| waiter.ticket).collect();
        parked.sort_unstable();
        for ticket in parked {
            if let Some(index) = self.line.iter().position(|waiter| waiter.ticket == ticket) {
                self.end_wait(index, true);
            }
        }
        for watcher in std::mem::take(&mut self.watchers) {
            self.answer(watcher.call, Answer::Watched { found: false });
        }
    }

    pub(crate) fn extend_places(&mut self) {
        for waiter in &mut self.line {
            waiter.ends = self.now.mono + self.ttl;
        }
    }

    pub(crate) fn halt(&mut self) {
        self.halted = true;
    }

    pub(crate) fn resume(&mut self) {
        if self.halted {
            self.places_last_until = self.now.mono + self.ttl;
        }
        self.halted = false;
        for grant in std::mem::take(&mut self.owed) {
            self.undo(grant);
        }
        self.carry_out_fates();
        self.serve();
    }

    /// What is left after the process was started again.
    pub(crate) fn restart(&mut self, is_listed: impl Fn(&str, &str) -> bool) {
        self.note("restarts");
        self.watchers.clear();
        self.owed.clear();
        self.halted = false;
        self.places_last_until = 0;
        self.line.retain(|waiter| waiter.id.is_some());
        let now = self.now;
        for waiter in &mut self.line {
            (waiter.owner, waiter.parked) = (None, None);
            waiter.carried = u64::try_from(now.wall - waiter.joined).unwrap_or(0);
            waiter.asked = now.mono;
        }
        self.extend_places();
        for item in &mut self.items {
            item.updated = item.updated.min(now.wall);
            item.listed = is_listed(&item.name, &item.kind);
            item.fate = None;
        }
    }
}
