//! What was last seen of each object.

use boskos_core::{
    ResourceName,
    ranch::plan::{Foreign, Version},
};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::{form::Form, objects::ResourceObject};

/// What was last written or seen of each object. See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<HashMap<ResourceName, Slot>>);

#[derive(Debug, Default)]
struct Slot {
    seen: Option<Seen>,
    /// Whether a write of ours is under way: events wait for its outcome.
    busy: bool,
    /// The newest of the events that wait.
    held: Option<Event>,
    /// The object of that name that we deleted and whose end was not heard of yet.
    ending: Option<String>,
}

/// One form of one object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) uid: String,
    pub(super) version: Version,
    pub(super) form: Form,
}

/// What was heard of an object.
#[derive(Debug)]
enum Event {
    /// It is of this form.
    Is(Box<ResourceObject>),
    /// It is gone for good: which one it was, and since when at the latest.
    Ended(String, Version),
}

// === impl Shelf ===

impl Shelf {
    /// Begins with these objects; those that are on their way out count as gone.
    pub(super) fn fill(&self, objects: &[ResourceObject]) {
        let mut slots = self.0.lock();
        slots.clear();
        for object in objects {
            let mut slot = Slot::default();
            match Seen::of(object) {
                Some(seen) => slot.seen = Some(seen),
                None => slot.ending = Some(object.metadata.uid.clone()),
            }
            slots.insert(object.metadata.name.as_str().into(), slot);
        }
    }

    /// A write of `name` begins: what is known of it.
    pub(super) fn begin(&self, name: &ResourceName) -> Option<Seen> {
        let mut slots = self.0.lock();
        let slot = slots.entry(name.clone()).or_default();
        slot.busy = true;
        slot.seen.clone()
    }

    /// The object is known to be of this form now.
    pub(super) fn put(&self, name: &ResourceName, seen: Seen) {
        self.0.lock().entry(name.clone()).or_default().seen = Some(seen);
    }

    /// The object is known to be gone, or on its way out.
    pub(super) fn take(&self, name: &ResourceName) {
        let mut slots = self.0.lock();
        let slot = slots.entry(name.clone()).or_default();
        slot.ending = slot.seen.take().map(|seen| seen.uid);
    }

    /// The write of `name` has ended: what was heard meanwhile, if it is news.
    pub(super) fn end(&self, name: &ResourceName) -> Option<Foreign> {
        let mut slots = self.0.lock();
        let slot = slots.get_mut(name)?;
        slot.busy = false;
        let foreign = slot.held.take().and_then(|event| slot.take_in(name, event));
        if slot.is_empty() {
            slots.remove(name);
        }
        foreign
    }

    /// Something was heard of an object: what of it is news.
    pub(super) fn hear(&self, object: ResourceObject, gone: bool) -> Option<Foreign> {
        let name: ResourceName = object.metadata.name.as_str().into();
        let event = match gone {
            true => Event::Ended(object.metadata.uid, object.metadata.resource_version),
            false => Event::Is(Box::new(object)),
        };
        let mut slots = self.0.lock();
        let slot = slots.entry(name.clone()).or_default();
        let foreign = slot.hear(&name, event);
        if slot.is_empty() {
            slots.remove(&name);
        }
        foreign
    }

    /// All objects were listed at `version`: what of it is news.
    pub(super) fn hear_all(&self, objects: Vec<ResourceObject>, version: Version) -> Vec<Foreign> {
        let listed: HashSet<String> = objects.iter().map(|object| object.metadata.name.clone()).collect();
        let mut news: Vec<Foreign> = objects.into_iter().filter_map(|object| self.hear(object, false)).collect();
        let mut slots = self.0.lock();
        slots.retain(|name, slot| {
            if listed.contains(name.as_str()) {
                return true;
            }
            let uid = slot.seen.as_ref().map(|seen| seen.uid.clone()).or_else(|| slot.ending.clone());
            news.extend(slot.hear(name, Event::Ended(uid.unwrap_or_default(), version)));
            !slot.is_empty()
        });
        news
    }
}

// === impl Slot ===

impl Slot {
    fn is_empty(&self) -> bool {
        self.seen.is_none() && !self.busy && self.held.is_none() && self.ending.is_none()
    }

    fn hear(&mut self, name: &ResourceName, event: Event) -> Option<Foreign> {
        if !self.busy {
            return self.take_in(name, event);
        }
        if self.held.as_ref().is_none_or(|held| held.version() <= event.version()) {
            self.held = Some(event);
        }
        None
    }

    fn take_in(&mut self, name: &ResourceName, event: Event) -> Option<Foreign> {
        let (uid, version) = (event.uid(), event.version());
        if self.ending.as_deref() == Some(uid) {
            // What we deleted; nothing that is heard of it still is news.
            if matches!(event, Event::Ended(..)) {
                self.ending = None;
            }
            return None;
        }
        let known = self.seen.as_ref().map(|seen| seen.version);
        if known.is_some_and(|known| version <= known) {
            return None;
        }
        let seen = match &event {
            Event::Is(object) => Seen::of(object),
            Event::Ended(..) => None,
        };
        if known.is_none() && seen.is_none() {
            return None;
        }
        self.ending = (seen.is_none() && matches!(event, Event::Is(_))).then(|| uid.to_owned());
        let now = seen.as_ref().map(|seen| seen.form.resource.clone());
        self.seen = seen;
        Some(Foreign { name: name.clone(), now, version })
    }
}

// === impl Event ===

impl Event {
    fn uid(&self) -> &str {
        match self {
            Self::Is(object) => &object.metadata.uid,
            Self::Ended(uid, _) => uid,
        }
    }

    fn version(&self) -> Version {
        match self {
            Self::Is(object) => object.metadata.resource_version,
            Self::Ended(_, version) => *version,
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The form of an object; `None` if it is on its way out.
    pub(super) fn of(object: &ResourceObject) -> Option<Self> {
        let meta = &object.metadata;
        let seen = Self { uid: meta.uid.clone(), version: meta.resource_version, form: Form::read(object) };
        (!meta.is_terminating()).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(uid: &str, version: u64, state: &str) -> ResourceObject {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": uid, "resourceVersion": version.to_string()},
            "spec": {"type": "t"},
            "status": {"state": state},
        }))
        .unwrap()
    }

    fn state(foreign: Option<Foreign>) -> Option<String> {
        foreign.map(|foreign| foreign.now.map_or("gone".to_owned(), |now| now.state.as_str().to_owned()))
    }

    #[test]
    fn echoes_are_no_news() {
        let shelf = Shelf::default();
        let name = "r".into();
        shelf.begin(&name);
        assert_eq!(state(shelf.hear(object("u", 5, "free"), false)), None, "held while the write is under way");
        shelf.put(&name, Seen::of(&object("u", 5, "free")).unwrap());
        assert_eq!(state(shelf.end(&name)), None);
        assert_eq!(state(shelf.hear(object("u", 5, "free"), false)), None);
        assert_eq!(state(shelf.hear(object("u", 10, "busy"), false)), Some("busy".to_owned()), "10 is more than 5");
        assert_eq!(state(shelf.hear(object("u", 9, "free"), false)), None);
    }

    #[test]
    fn news_that_came_during_a_write_is_told_after_it() {
        let shelf = Shelf::default();
        let name = "r".into();
        shelf.begin(&name);
        assert_eq!(state(shelf.hear(object("u", 6, "busy"), false)), None);
        shelf.put(&name, Seen::of(&object("u", 5, "free")).unwrap());
        assert_eq!(state(shelf.end(&name)), Some("busy".to_owned()));
    }

    #[test]
    fn nothing_is_heard_again_of_what_we_deleted() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let name = "r".into();
        shelf.begin(&name);
        shelf.take(&name);
        assert_eq!(state(shelf.end(&name)), None);
        assert_eq!(state(shelf.hear(object("u", 5, "free"), false)), None, "late");
        assert_eq!(state(shelf.hear(object("u", 6, "free"), true)), None);
        assert_eq!(state(shelf.hear(object("v", 7, "free"), false)), Some("free".to_owned()));
    }

    #[test]
    fn what_a_list_lacks_is_gone() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let news = shelf.hear_all(Vec::new(), 8);
        assert_eq!(news, [Foreign { name: "r".into(), now: None, version: 8 }]);
        assert_eq!(shelf.hear_all(Vec::new(), 9), []);
    }

    #[test]
    fn what_is_on_its_way_out_is_gone() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let mut ending = object("u", 6, "free");
        ending.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
        assert_eq!(state(shelf.hear(ending, false)), Some("gone".to_owned()));
        assert_eq!(state(shelf.hear(object("u", 7, "free"), true)), None);
    }
}
