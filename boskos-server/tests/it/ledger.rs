//! What clients know for certain of a server's resources, and what a store must therefore hold.
//!
//! Each client says what it is about to ask before it asks, so that a call that was never answered
//! leaves two possible worlds and no third.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use parking_lot::Mutex;
use serde_json::Value;

use crate::harness::client::Client;

/// What a resource is, as far as clients decide it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) state: String,
    pub(crate) owner: String,
    pub(crate) data: BTreeMap<String, String>,
}

/// A call for a resource.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) r#type: String,
    pub(crate) state: String,
    pub(crate) dest: String,
    pub(crate) id: Option<String>,
}

struct Entry {
    r#type: String,
    form: Form,
    /// `lastupdate`, if the last answer told it.
    stamp: Option<String>,
    /// What the holder's unanswered call makes of it.
    pending: Option<Form>,
}

struct Place {
    owner: String,
    queue: (String, String),
    /// When it was first asked for and first confirmed, in ticks of the ledger.
    asked: u64,
    confirmed: Option<u64>,
}

#[derive(Default)]
struct Books {
    entries: BTreeMap<String, Entry>,
    /// Calls for a resource that are not answered, by owner.
    asks: BTreeMap<String, Ask>,
    places: BTreeMap<String, Place>,
    /// Ids that got their resource.
    served: BTreeSet<String>,
    /// The order of ids in each queue when it was last looked at.
    order: BTreeMap<(String, String), Vec<String>>,
    ticks: u64,
    acks: u64,
    unwritten: u64,
}

/// All that was acknowledged. See the [module](self).
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

// === impl Form ===

impl Form {
    fn of(resource: &Value) -> Self {
        let text = |key: &str| resource[key].as_str().unwrap().to_owned();
        let data = resource["userdata"].as_object().unwrap().iter();
        let data = data.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
        Self { state: text("state"), owner: text("owner"), data }
    }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger that begins with what a server has.
    pub(crate) fn of(server: SocketAddr) -> Self {
        let mut books = Books::default();
        for resource in list(server) {
            let entry = Entry {
                r#type: resource["type"].as_str().unwrap().to_owned(),
                form: Form::of(&resource),
                stamp: Some(resource["lastupdate"].as_str().unwrap().to_owned()),
                pending: None,
            };
            let twice = books.entries.insert(resource["name"].as_str().unwrap().to_owned(), entry);
            assert!(twice.is_none(), "listed twice: {resource}");
        }
        Self(Mutex::new(books))
    }

    /// Answers so far that confirmed something.
    pub(crate) fn acks(&self) -> u64 {
        self.0.lock().acks
    }

    /// Answers so far that said that a call could not be written.
    pub(crate) fn refusals_to_write(&self) -> u64 {
        self.0.lock().unwritten
    }

    /// What `owner` holds for certain.
    pub(crate) fn held_by(&self, owner: &str) -> Vec<(String, Form)> {
        let books = self.0.lock();
        let held = books.entries.iter().filter(|(_, entry)| entry.form.owner == owner);
        held.map(|(name, entry)| (name.clone(), entry.form.clone())).collect()
    }

    /// The id under which `owner` waits in a queue.
    pub(crate) fn id_of(&self, owner: &str, r#type: &str, state: &str) -> Option<String> {
        let books = self.0.lock();
        let mut places = books.places.iter();
        let found = places.find(|(_, p)| p.owner == owner && p.queue.0 == r#type && p.queue.1 == state);
        found.map(|(id, _)| id.clone())
    }

    /// `owner` is about to ask for a resource.
    pub(crate) fn asks(&self, owner: &str, ask: Ask) {
        let mut books = self.0.lock();
        books.ticks += 1;
        let asked = books.ticks;
        if let Some(id) = &ask.id {
            let queue = (ask.r#type.clone(), ask.state.clone());
            let place = Place { owner: owner.to_owned(), queue, asked, confirmed: None };
            books.places.entry(id.clone()).or_insert(place);
        }
        books.asks.insert(owner.to_owned(), ask);
    }

    /// `owner` was given `resource`.
    pub(crate) fn granted(&self, owner: &str, resource: &Value) {
        let mut books = self.0.lock();
        books.acks += 1;
        let ask = books.asks.remove(owner).unwrap();
        if let Some(id) = ask.id {
            books.places.remove(&id);
            books.served.insert(id);
        }
        let entry = books.entries.get_mut(resource["name"].as_str().unwrap()).expect("only known names are granted");
        // Its last holder may not have heard yet that the release was done.
        let before = entry.pending.take().unwrap_or_else(|| entry.form.clone());
        assert_eq!(before.owner, "", "doubly owned: {resource}");
        assert_eq!(before.state, ask.state, "not what was asked for: {resource}");
        let after = Form { state: ask.dest, owner: owner.to_owned(), data: before.data };
        assert_eq!(Form::of(resource), after, "half of a grant");
        entry.form = after;
        entry.stamp = Some(resource["lastupdate"].as_str().unwrap().to_owned());
    }

    /// `owner` was told that there is nothing: its place, if it asked with an id, is kept.
    pub(crate) fn refused(&self, owner: &str) {
        let mut books = self.0.lock();
        books.ticks += 1;
        let now = books.ticks;
        let Some(id) = books.asks.remove(owner).unwrap().id else { return };
        books.acks += 1;
        let place = books.places.get_mut(&id).unwrap();
        place.confirmed.get_or_insert(now);
    }

    /// `owner` was told that its call could not be written: it has no resource by it, and changed none. A place that
    /// it asked for may stand: it can have been written before the grant that could not be.
    pub(crate) fn unwritten(&self, owner: &str) {
        let mut books = self.0.lock();
        books.unwritten += 1;
        books.asks.remove(owner);
        for entry in books.entries.values_mut().filter(|entry| entry.form.owner == owner) {
            entry.pending = None;
        }
    }

    /// The holder of `name` is about to make it `form`.
    pub(crate) fn changes(&self, name: &str, form: Form) {
        self.0.lock().entries.get_mut(name).unwrap().pending = Some(form);
    }

    /// What `owner` was about to do with `name` is done.
    pub(crate) fn changed(&self, owner: &str, name: &str) {
        let mut books = self.0.lock();
        books.acks += 1;
        let entry = books.entries.get_mut(name).unwrap();
        // After a release somebody else may have it by now.
        if entry.form.owner == owner
            && let Some(form) = entry.pending.take()
        {
            entry.form = form;
            entry.stamp = None;
        }
    }

    /// Holds `server`, where nothing is under way, against the books: all that was confirmed is
    /// there, and what was not is there as a whole or not at all. Its truth is taken over.
    pub(crate) fn check(&self, server: SocketAddr) {
        let resources = list(server);
        let queue = Client::connect(server).request("GET", "/api/v1/queue").expect_status(200).json();
        let mut books = self.0.lock();
        let names: Vec<&str> = resources.iter().map(|resource| resource["name"].as_str().unwrap()).collect();
        let known: Vec<&str> = books.entries.keys().map(String::as_str).collect();
        assert_eq!(names, known, "lost, doubled or made up");
        let asks = std::mem::take(&mut books.asks);
        let mut unconfirmed = BTreeSet::new();
        for resource in &resources {
            let entry = books.entries.get_mut(resource["name"].as_str().unwrap()).unwrap();
            if let Some(owner) = entry.check(resource, &asks) {
                assert!(unconfirmed.insert(owner), "one call got two resources: {resource}");
            }
        }
        books.check_queue(&queue, &asks, &unconfirmed);
    }
}

impl Entry {
    /// Takes over what the store has, if it can be that; who got it by a call that was never
    /// answered.
    fn check(&mut self, resource: &Value, asks: &BTreeMap<String, Ask>) -> Option<String> {
        let found = Form::of(resource);
        let pending = self.pending.take();
        let stamp = self.stamp.replace(resource["lastupdate"].as_str().unwrap().to_owned());
        if found == self.form {
            assert!(stamp.is_none() || stamp == self.stamp, "the time of the change is lost: {resource}, {stamp:?}");
            return None;
        }
        let before = std::mem::replace(&mut self.form, found.clone());
        if pending.as_ref() == Some(&found) {
            return None;
        }
        let unowned = [Some(&before), pending.as_ref()].into_iter().flatten().filter(|form| form.owner.is_empty());
        let ask = asks.get(&found.owner);
        let granted = unowned.filter_map(|form| {
            let ask = ask.filter(|ask| ask.r#type == self.r#type && ask.state == form.state)?;
            Some(Form { state: ask.dest.clone(), owner: found.owner.clone(), data: form.data.clone() })
        });
        let possible: Vec<Form> = granted.collect();
        assert!(
            possible.contains(&found),
            "{resource}\nwas confirmed as {before:?}\nwith {pending:?} under way, and {ask:?} asked for"
        );
        Some(found.owner)
    }
}

impl Books {
    fn check_queue(&mut self, queue: &Value, asks: &BTreeMap<String, Ask>, unconfirmed: &BTreeSet<String>) {
        let mut order: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for place in queue.as_array().unwrap() {
            let text = |key: &str| place[key].as_str().unwrap().to_owned();
            let ids = order.entry((text("type"), text("state"))).or_default();
            ids.push(text("request_id"));
            assert_eq!(place["rank"], ids.len(), "listed by rank: {place}");
        }
        let present: BTreeSet<&String> = order.values().flatten().collect();
        self.ticks += 1;
        let now = self.ticks;
        let in_flight = |id: &String| asks.iter().find(|(_, ask)| ask.id.as_ref() == Some(id)).map(|(owner, _)| owner);
        for (id, place) in &mut self.places {
            let granted = in_flight(id).is_some_and(|owner| unconfirmed.contains(owner));
            assert!(!(granted && present.contains(id)), "{id} has its resource, and waits for it too");
            assert!(granted || present.contains(id) || place.confirmed.is_none(), "the place of {id} is lost");
            if present.contains(id) {
                place.confirmed.get_or_insert(now);
            }
        }
        self.places.retain(|id, _| present.contains(id));
        for id in &present {
            assert!(!self.served.contains(*id), "{id} got its resource, and waits again");
            assert!(self.places.contains_key(*id), "nobody asked as {id}");
        }
        for (queue, ids) in &order {
            let before = self.order.get(queue).map_or(&[][..], Vec::as_slice);
            let stayed: Vec<&String> = before.iter().filter(|id| ids.contains(*id)).collect();
            let kept: Vec<&String> = ids.iter().filter(|id| before.contains(*id)).collect();
            assert_eq!(kept, stayed, "ranks in {queue:?} changed");
            let mut last_asked = 0;
            for id in ids {
                let place = &self.places[id];
                assert!(place.confirmed.unwrap() > last_asked, "{id} came before who stands ahead of it: {ids:?}");
                last_asked = last_asked.max(place.asked);
            }
        }
        self.order = order;
    }
}

fn list(server: SocketAddr) -> Vec<Value> {
    let listed = Client::connect(server).request("GET", "/api/v1/resources");
    listed.expect_status(200).json().as_array().unwrap().clone()
}
