//! Acquire and the queue.

use super::{Answer, Grant, Model, Parked, Waiter};

/// What an acquire asks for.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) dest: String,
    pub(crate) owner: String,
    pub(crate) id: Option<String>,
    pub(crate) wait: u64,
}

fn none_of(kind: &str) -> String {
    format!("no available resource {kind}, try again later.")
}

impl Model {
    pub(crate) fn acquire(&mut self, call: u64, want: Want) {
        if self.halted {
            return self.refuse(call, "storage is not available, try again later");
        }
        if !self.kind_exists(&want.kind) {
            return self.refuse(call, format!("resource type \"{}\" does not exist", want.kind));
        }
        let place = self.line.iter().position(|waiter| {
            waiter.kind == want.kind && waiter.state == want.state && waiter.id.is_some() && waiter.id == want.id
        });
        match place {
            Some(index) => self.acquire_again(call, want, index),
            None => self.acquire_first(call, want),
        }
    }

    /// A call of an id that has a place.
    fn acquire_again(&mut self, call: u64, want: Want, index: usize) {
        if let Some(replaced) = self.line[index].parked.take() {
            self.refuse(replaced.call, none_of(&want.kind));
            self.note("replaced parked calls");
        }
        let until = self.park_until(want.wait);
        self.line[index].ends = self.now.mono + self.ttl;
        self.line[index].owner = Some(want.owner.clone());
        self.line[index].parked = Some(Parked { call, owner: want.owner, dest: want.dest, until });
        let ticket = self.line[index].ticket;
        self.serve();
        self.refuse_unless_waiting(ticket);
    }

    fn acquire_first(&mut self, call: u64, want: Want) {
        let queue = self.queue(&want.kind, &want.state).len();
        let matching = self.matching(&want.kind, &want.state);
        if queue < matching.len() {
            if queue > 0 {
                self.note("grants at rank > 1");
            }
            return self.grant(call, &matching[0], &want.owner, &want.dest, None);
        }
        let lasts = want.id.is_some() || want.wait > 0;
        let initial =
            self.life(&want.kind).filter(|_| lasts && self.has_room(&want.kind)).map(|life| life.initial.clone());
        if queue == 0 && initial.as_ref() == Some(&want.state) {
            return self.create_owned(call, &want);
        }
        let full = self.line.len() >= self.max_line;
        let until = self.park_until(want.wait);
        let ticket = (lasts && !full).then(|| self.join(call, &want, until));
        if let Some(initial) = initial {
            self.note("on-demand creations");
            let item = self.fresh(&want.kind, &initial);
            self.create(item);
            self.serve();
        }
        match ticket {
            Some(ticket) => self.refuse_unless_waiting(ticket),
            None => self.refuse(call, none_of(&want.kind)),
        }
    }

    fn has_room(&self, kind: &str) -> bool {
        let members = self.items.iter().filter(|item| item.kind == kind && !item.listed).count();
        self.life(kind).is_some_and(|life| members < life.max as usize)
    }

    fn create_owned(&mut self, call: u64, want: &Want) {
        let mut item = self.fresh(&want.kind, &want.dest);
        item.owner = Some(want.owner.clone());
        let mut before = item.clone();
        before.owner = None;
        before.state = want.state.clone();
        self.answer(call, Answer::Granted { item: item.form(), waited: 0 });
        self.grants.push(Grant { call, taken: vec![(before, item.edition)], place: None, created: true });
        self.create(item);
        self.note("on-demand creations");
    }

    /// When a wait that begins now ends; none if it is not to wait or too many do.
    fn park_until(&self, wait: u64) -> Option<u64> {
        let parked = self.line.iter().filter(|waiter| waiter.parked.is_some()).count();
        (wait > 0 && parked < self.max_parked).then(|| self.now.mono + wait)
    }

    fn join(&mut self, call: u64, want: &Want, until: Option<u64>) -> u64 {
        self.tickets += 1;
        self.line.push(Waiter {
            ticket: self.tickets,
            kind: want.kind.clone(),
            state: want.state.clone(),
            id: want.id.clone(),
            owner: Some(want.owner.clone()),
            joined: self.now.wall,
            asked: self.now.mono,
            carried: 0,
            ends: self.now.mono + self.ttl,
            parked: Some(Parked { call, owner: want.owner.clone(), dest: want.dest.clone(), until }),
        });
        self.tickets
    }

    /// Nothing more will come of a call that does not wait.
    fn refuse_unless_waiting(&mut self, ticket: u64) {
        let index = self.line.iter().position(|waiter| waiter.ticket == ticket);
        let Some(index) = index else { return };
        if self.line[index].parked.as_ref().is_some_and(|parked| parked.until.is_none()) {
            self.end_wait(index, true);
        }
    }

    /// Ends a parked call; a place with an id stays for a TTL, one without is gone.
    pub(crate) fn end_wait(&mut self, index: usize, tell: bool) {
        let Some(parked) = self.line[index].parked.take() else { return };
        if tell {
            let text = none_of(&self.line[index].kind);
            self.refuse(parked.call, text);
        }
        if self.line[index].id.is_some() {
            self.line[index].ends = self.now.mono + self.ttl;
        } else {
            self.line.remove(index);
            self.serve();
        }
    }

    /// Grants what can be granted: whoever is parked at a rank that resources suffice for.
    pub(crate) fn serve(&mut self) {
        if self.halted {
            return;
        }
        while let Some(index) = (0..self.line.len()).find(|index| {
            let waiter = &self.line[*index];
            waiter.parked.is_some() && self.rank(*index) <= self.matching(&waiter.kind, &waiter.state).len()
        }) {
            // The lowest rank of that queue first.
            let (kind, state) = (self.line[index].kind.clone(), self.line[index].state.clone());
            let first = self.queue(&kind, &state).into_iter().find(|index| self.line[*index].parked.is_some());
            let first = first.expect("one was found");
            if self.rank(first) > 1 {
                self.note("grants at rank > 1");
            }
            let waiter = self.line.remove(first);
            self.note("parked grants");
            let parked = waiter.parked.clone().expect("only parked ones are served");
            let oldest = self.matching(&kind, &state)[0].clone();
            self.grant(parked.call, &oldest, &parked.owner, &parked.dest, Some(waiter));
        }
    }

    fn grant(&mut self, call: u64, name: &str, owner: &str, dest: &str, place: Option<Waiter>) {
        let index = self.find(name).expect("it matched");
        let before = self.items[index].clone();
        self.change(name, |item| {
            item.owner = Some(owner.to_owned());
            item.state = dest.to_owned();
        });
        let item = &self.items[index];
        let waited = place.as_ref().map_or(0, |place| place.carried + (self.now.mono - place.asked));
        let answer = Answer::Granted { item: item.form(), waited };
        let place = place.filter(|place| place.id.is_some());
        self.grants.push(Grant { call, taken: vec![(before, item.edition)], place, created: false });
        self.answer(call, answer);
    }
}
