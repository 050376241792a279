//! A ranch as simple as it can be: everything is listed and sorted each time it is asked for.
//!
//! It shares no code with the real one, not even its words: names, types, states and owners are
//! plain text, times plain numbers of nanoseconds. Every command is done when it is asked for,
//! with nothing in flight.

mod acquire;
mod sync;
mod upkeep;
mod verbs;

use std::collections::VecDeque;

pub(crate) use self::{acquire::Want, sync::Wanted, verbs::Grant};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) wall: i64,
    pub(crate) mono: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) owner: Option<String>,
    pub(crate) updated: i64,
    pub(crate) data: Vec<(String, String)>,
    pub(crate) expires: Option<i64>,
    /// Whether the config names it.
    pub(crate) listed: bool,
    /// Whether it came to `cleaning` from `toBeDeleted`.
    pub(crate) leaving: bool,
    /// Its place in the order of changes.
    pub(crate) order: u64,
    /// Grows with every change.
    pub(crate) edition: u64,
    pub(crate) fate: Option<Fate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delete,
    Remake { kind: String, state: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) kind: String,
    pub(crate) initial: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) lifespan: Option<i64>,
    pub(crate) draining: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) ticket: u64,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) id: Option<String>,
    /// Who called last, as far as this process knows.
    pub(crate) owner: Option<String>,
    pub(crate) joined: i64,
    /// When it asked first, on the monotonic clock, and what it had waited before that clock began.
    pub(crate) asked: u64,
    pub(crate) carried: u64,
    pub(crate) ends: u64,
    pub(crate) parked: Option<Parked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) call: u64,
    pub(crate) owner: String,
    pub(crate) dest: String,
    pub(crate) until: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Sieve {
    pub(crate) kinds: Vec<String>,
    pub(crate) states: Vec<String>,
    pub(crate) owners: Vec<Option<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) call: u64,
    pub(crate) sieve: Sieve,
    pub(crate) until: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted { item: Form, waited: u64 },
    GrantedAll(Vec<Form>),
    Done,
    Reset(Vec<(String, String)>),
    Synced,
    Watched { found: bool },
    Refused(String),
}

/// What everybody can see of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) owner: Option<String>,
    pub(crate) updated: i64,
    pub(crate) data: Vec<(String, String)>,
    pub(crate) expires: Option<i64>,
}

/// The ranch itself.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) items: Vec<Item>,
    pub(crate) lives: Vec<Life>,
    pub(crate) line: Vec<Waiter>,
    pub(crate) watchers: Vec<Watcher>,
    /// How often resources of a type came to a state.
    pub(crate) totals: Vec<(String, String, u64)>,
    /// States with totals of their own.
    pub(crate) named: Vec<String>,
    pub(crate) ttl: u64,
    pub(crate) max_line: usize,
    pub(crate) max_parked: usize,
    pub(crate) halted: bool,
    /// Until when no place ends after a halt.
    pub(crate) places_last_until: u64,
    /// Grants to be taken back when the halt is over.
    pub(crate) owed: Vec<Grant>,
    /// What was granted in this step.
    pub(crate) grants: Vec<Grant>,
    pub(crate) answers: Vec<(u64, Answer)>,
    /// What happened that is worth counting.
    pub(crate) events: Vec<&'static str>,
    /// The names that the generator yields for each type.
    pub(crate) fresh_names: VecDeque<(String, String)>,
    pub(crate) clock: u64,
    pub(crate) tickets: u64,
    pub(crate) now: Time,
}

const KNOWN: [&str; 7] = ["free", "busy", "dirty", "cleaning", "leased", "toBeDeleted", "tombstone"];

impl Item {
    pub(crate) fn form(&self) -> Form {
        Form {
            name: self.name.clone(),
            kind: self.kind.clone(),
            state: self.state.clone(),
            owner: self.owner.clone(),
            updated: self.updated,
            data: self.data.clone(),
            expires: self.expires,
        }
    }

    /// On its way out.
    pub(crate) fn goes(&self) -> bool {
        self.state == "toBeDeleted" || self.state == "tombstone" || self.state == "cleaning" && self.leaving
    }
}

impl Sieve {
    pub(crate) fn lets_through(&self, form: &Form) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&form.kind))
            && (self.states.is_empty() || self.states.contains(&form.state))
            && (self.owners.is_empty() || self.owners.contains(&form.owner))
    }
}

impl Model {
    pub(crate) fn new(ttl: u64, max_line: usize, max_parked: usize, now: Time) -> Self {
        Self {
            items: Vec::new(),
            lives: Vec::new(),
            line: Vec::new(),
            watchers: Vec::new(),
            totals: Vec::new(),
            named: Vec::new(),
            ttl,
            max_line,
            max_parked,
            halted: false,
            places_last_until: 0,
            owed: Vec::new(),
            grants: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            fresh_names: VecDeque::new(),
            clock: 0,
            tickets: 0,
            now,
        }
    }

    pub(crate) fn life(&self, kind: &str) -> Option<&Life> {
        self.lives.iter().find(|life| life.kind == kind)
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.items.iter().position(|item| item.name == name)
    }

    pub(crate) fn kind_exists(&self, kind: &str) -> bool {
        self.life(kind).is_some() || self.items.iter().any(|item| item.kind == kind)
    }

    /// Unowned resources of a type and state, least recently changed first.
    pub(crate) fn matching(&self, kind: &str, state: &str) -> Vec<String> {
        let mut found: Vec<&Item> =
            self.items.iter().filter(|item| item.kind == kind && item.state == state && item.owner.is_none()).collect();
        found.sort_by_key(|item| item.order);
        found.into_iter().map(|item| item.name.clone()).collect()
    }

    /// Indexes into the line of those who wait for a type and state, in their order.
    pub(crate) fn queue(&self, kind: &str, state: &str) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.line.len())
            .filter(|index| self.line[*index].kind == kind && self.line[*index].state == state)
            .collect();
        found.sort_by_key(|index| self.line[*index].ticket);
        found
    }

    pub(crate) fn rank(&self, index: usize) -> usize {
        let waiter = &self.line[index];
        self.queue(&waiter.kind, &waiter.state).iter().position(|other| *other == index).expect("it is there") + 1
    }

    pub(crate) fn note(&mut self, event: &'static str) {
        self.events.push(event);
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn answer(&mut self, call: u64, answer: Answer) {
        self.answers.push((call, answer));
    }

    pub(crate) fn refuse(&mut self, call: u64, text: impl Into<String>) {
        self.answers.push((call, Answer::Refused(text.into())));
    }

    /// Changes a resource: stamps it, counts arrivals at states, tells watchers.
    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut Item)) {
        let order = self.tick();
        let now = self.now.wall;
        self.change_quietly(name, |item| {
            change(item);
            item.order = order;
            item.updated = now;
        });
    }

    /// Changes a resource without making it the newest.
    pub(crate) fn change_quietly(&mut self, name: &str, change: impl FnOnce(&mut Item)) {
        let edition = self.tick();
        let index = self.find(name).expect("only resources that exist are changed");
        let before = self.items[index].clone();
        let item = &mut self.items[index];
        change(item);
        item.edition = edition;
        let moved = item.state != before.state || item.kind != before.kind;
        if item.state != "cleaning" {
            item.leaving = false;
        } else if moved && item.kind == before.kind && before.state == "toBeDeleted" {
            item.leaving = true;
        }
        if moved {
            self.count_arrival(index);
        }
        self.tell_watchers(index);
    }

    pub(crate) fn create(&mut self, item: Item) {
        self.items.push(item);
        let index = self.items.len() - 1;
        self.count_arrival(index);
        self.tell_watchers(index);
    }

    /// A new resource of a dynamic type, in its form.
    pub(crate) fn fresh(&mut self, kind: &str, state: &str) -> Item {
        let index = self
            .fresh_names
            .iter()
            .position(|(of, _)| of == kind)
            .unwrap_or_else(|| panic!("the model creates one of {kind} and the ranch does not"));
        let (_, name) = self.fresh_names.remove(index).expect("just found");
        self.blank(&name, kind, state, false)
    }

    pub(crate) fn blank(&mut self, name: &str, kind: &str, state: &str, listed: bool) -> Item {
        let order = self.tick();
        Item {
            name: name.to_owned(),
            kind: kind.to_owned(),
            state: state.to_owned(),
            owner: None,
            updated: self.now.wall,
            data: Vec::new(),
            expires: None,
            listed,
            leaving: false,
            order,
            edition: order,
            fate: None,
        }
    }

    fn count_arrival(&mut self, index: usize) {
        let item = &self.items[index];
        let known = KNOWN.contains(&item.state.as_str()) || self.named.contains(&item.state);
        let state = if known { item.state.as_str() } else { "other" };
        match self.totals.iter_mut().find(|(kind, of, _)| *kind == item.kind && of == state) {
            Some((_, _, total)) => *total += 1,
            None => self.totals.push((item.kind.clone(), state.to_owned(), 1)),
        }
    }

    fn tell_watchers(&mut self, index: usize) {
        let form = self.items[index].form();
        let (told, rest) = self.watchers.drain(..).partition(|watcher| watcher.sieve.lets_through(&form));
        self.watchers = rest;
        let told: Vec<Watcher> = told;
        for watcher in told {
            self.answer(watcher.call, Answer::Watched { found: true });
        }
    }
}
