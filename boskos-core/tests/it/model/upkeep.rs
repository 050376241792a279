//! What happens by itself.

use super::{Answer, Item, Life, Model};

impl Model {
    /// Does all that is due.
    pub(crate) fn work(&mut self) {
        self.end_watches();
        self.end_places_and_waits();
        if self.halted {
            return;
        }
        loop {
            let before = self.clock;
            let size = (self.items.len(), self.lives.len());
            self.carry_out_fates();
            self.serve();
            self.expire();
            for life in self.lives.clone() {
                self.keep(&life);
            }
            if self.clock == before && (self.items.len(), self.lives.len()) == size {
                return;
            }
        }
    }

    fn end_watches(&mut self) {
        let now = self.now.mono;
        let (over, rest): (Vec<_>, Vec<_>) = self.watchers.drain(..).partition(|watcher| watcher.until <= now);
        self.watchers = rest;
        for watcher in over {
            self.answer(watcher.call, Answer::Watched { found: false });
        }
    }

    fn end_places_and_waits(&mut self) {
        loop {
            let deadline = |index: usize| {
                let waiter = &self.line[index];
                match &waiter.parked {
                    Some(parked) => parked.until,
                    None => Some(waiter.ends),
                }
            };
            let due = (0..self.line.len())
                .filter_map(|index| Some((deadline(index)?, self.line[index].ticket, index)))
                .filter(|(at, _, _)| *at <= self.now.mono)
                .min();
            let Some((_, _, index)) = due else { return };
            if self.line[index].parked.is_some() {
                self.end_wait(index, true);
                continue;
            }
            let last_until = if self.halted { self.now.mono + self.ttl } else { self.places_last_until };
            if last_until > self.now.mono {
                self.line[index].ends = last_until;
            } else {
                self.line.remove(index);
                self.note("expired ids");
                self.serve();
            }
        }
    }

    fn expire(&mut self) {
        let mut expired: Vec<Item> = self
            .items
            .iter()
            .filter(|item| item.owner.is_none() && !item.listed && self.life(&item.kind).is_some())
            .filter(|item| item.state != "toBeDeleted" && item.state != "tombstone")
            .filter(|item| item.expires.is_some_and(|at| at <= self.now.wall))
            .cloned()
            .collect();
        expired.sort_by_key(|item| item.expires);
        for item in expired {
            self.note("expired resources");
            self.change(&item.name, |item| item.state = "toBeDeleted".to_owned());
        }
        self.serve();
    }

    fn members(&self, kind: &str) -> Vec<&Item> {
        self.items.iter().filter(|item| item.kind == kind && !item.listed).collect()
    }

    fn keep(&mut self, life: &Life) {
        self.items.retain(|item| {
            let dead = item.kind == life.kind && !item.listed && item.owner.is_none() && item.state == "tombstone";
            !dead
        });
        while self.members(&life.kind).iter().filter(|item| item.state != "tombstone").count() < life.min as usize {
            let item = self.fresh(&life.kind, &life.initial);
            self.create(item);
        }
        let staying: Vec<&Item> = self.members(&life.kind).into_iter().filter(|item| !item.goes()).collect();
        let surplus = staying.len().saturating_sub(life.max as usize);
        let mut unowned: Vec<String> =
            staying.into_iter().filter(|item| item.owner.is_none()).map(|item| item.name.clone()).collect();
        unowned.sort();
        for name in unowned.into_iter().rev().take(surplus) {
            self.note("surplus");
            self.change(&name, |item| item.state = "toBeDeleted".to_owned());
        }
        if life.draining && self.members(&life.kind).is_empty() {
            self.lives.retain(|other| other.kind != life.kind);
            self.note("drains ended");
        }
        self.serve();
    }
}
