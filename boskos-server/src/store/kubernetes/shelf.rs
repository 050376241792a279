//! What was last seen of each object.
//!
//! Versions of one object compare as integers, as long as history goes forward. After etcd was restored
//! from a backup they begin anew at lower ones: so the shelf counts such *eras*, and what the ranch gets
//! as a version is era and version in one number, which never goes back.

use boskos_core::{
    ResourceName,
    ranch::plan::{Foreign, Version},
};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{form::Form, objects::ResourceObject};

/// Below this many bits is the API server's version, above them the era: etcd, at 10,000 writes a second, gets
/// there in 900 years.
const RAW_BITS: u32 = 48;

/// What was last written or seen of each object. See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Shelf {
    inner: Mutex<Inner>,
    went_back: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    slots: HashMap<ResourceName, Slot>,
    era: u64,
    /// The highest version that was seen in this era.
    highest: Version,
    /// Whether history was found to have gone back, and nothing was listed since.
    owes_list: bool,
}

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
    /// The version as the API server has it.
    pub(super) raw: Version,
    /// The version as the ranch has it.
    pub(super) version: Version,
    pub(super) form: Form,
}

/// How far history was known to have come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(Version);

/// What was heard of an object.
#[derive(Debug)]
struct Event {
    uid: String,
    version: Version,
    /// Its form; `None` if it is on its way out, or gone.
    is: Option<Seen>,
    /// Whether it is gone for good.
    ended: bool,
}

// === impl Shelf ===

impl Shelf {
    /// Begins with these objects; those that are on their way out count as gone. The others.
    pub(super) fn fill(&self, objects: &[ResourceObject]) -> Vec<Seen> {
        let mut inner = self.inner.lock();
        inner.slots.clear();
        let mut all = Vec::new();
        for object in objects {
            let mut slot = Slot::default();
            match inner.read(object).1 {
                Some(seen) => {
                    slot.seen = Some(seen.clone());
                    all.push(seen);
                }
                None => slot.ending = Some(object.metadata.uid.clone()),
            }
            inner.slots.insert(object.metadata.name.as_str().into(), slot);
        }
        all
    }

    /// A write of `name` begins: what is known of it.
    pub(super) fn begin(&self, name: &ResourceName) -> Option<Seen> {
        let mut inner = self.inner.lock();
        let slot = inner.slots.entry(name.clone()).or_default();
        slot.busy = true;
        slot.seen.clone()
    }

    /// The object is known to be this now; its version, and its form unless it is on its way out.
    pub(super) fn know(&self, name: &ResourceName, object: &ResourceObject) -> (Version, Option<Seen>) {
        let mut inner = self.inner.lock();
        let known = inner.slots.get(name).and_then(|slot| slot.seen.as_ref());
        // What was just read or written is newer than what was known, unless all that was known is void.
        if known
            .is_some_and(|known| known.raw > object.metadata.resource_version && known.version >> RAW_BITS == inner.era)
        {
            inner.go_back();
            inner.owes_list = true;
            self.went_back.notify_one();
        }
        let (version, seen) = inner.read(object);
        let slot = inner.slots.entry(name.clone()).or_default();
        let old = std::mem::replace(&mut slot.seen, seen.clone());
        if seen.is_none() {
            slot.ending = old.map(|old| old.uid);
        }
        (version, seen)
    }

    /// The object is known to be gone, or on its way out.
    pub(super) fn take(&self, name: &ResourceName) {
        let mut inner = self.inner.lock();
        let slot = inner.slots.entry(name.clone()).or_default();
        slot.ending = slot.seen.take().map(|seen| seen.uid);
    }

    /// The write of `name` has ended: what was heard meanwhile, if it is news.
    pub(super) fn end(&self, name: &ResourceName) -> Option<Foreign> {
        let mut inner = self.inner.lock();
        let slot = inner.slots.get_mut(name)?;
        slot.busy = false;
        let foreign = slot.held.take().and_then(|event| slot.take_in(name, event));
        if slot.is_empty() {
            inner.slots.remove(name);
        }
        foreign
    }

    /// Something was heard of an object: what of it is news.
    pub(super) fn hear(&self, object: &ResourceObject, ended: bool) -> Option<Foreign> {
        self.inner.lock().hear(object, ended)
    }

    /// Waits until history is found to have gone back: everything is to be listed.
    pub(super) async fn went_back(&self) {
        self.went_back.notified().await;
    }

    /// How far history has come, for [`Self::hear_all`]; to be asked for before the list begins.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.inner.lock().highest)
    }

    /// All objects were listed at `raw`: what of it is news. A list that tells of an earlier moment
    /// than what was known before it began replaces all that was known.
    pub(super) fn hear_all(&self, objects: &[ResourceObject], raw: Version, before: Mark) -> Vec<Foreign> {
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.owes_list) || raw < before.0 {
            tracing::warn!(
                "the history of the API server went back, as after a restore from a backup: all is taken as it is now"
            );
            inner.go_back();
        }
        let mut news: Vec<Foreign> = objects.iter().filter_map(|object| inner.hear(object, false)).collect();
        let listed: HashSet<&str> = objects.iter().map(|object| object.metadata.name.as_str()).collect();
        let version = inner.version(raw);
        inner.slots.retain(|name, slot| {
            if listed.contains(name.as_str()) {
                return true;
            }
            let uid = slot.seen.as_ref().map(|seen| seen.uid.clone()).or_else(|| slot.ending.clone());
            let event = Event { uid: uid.unwrap_or_default(), version, is: None, ended: true };
            news.extend(slot.hear(name, event));
            !slot.is_empty()
        });
        news
    }
}

// === impl Inner ===

impl Inner {
    /// A version of this era, in one number.
    fn version(&mut self, raw: Version) -> Version {
        self.highest = self.highest.max(raw);
        (self.era << RAW_BITS) | raw
    }

    fn go_back(&mut self) {
        self.era += 1;
        self.highest = 0;
    }

    /// The object's version, and its form unless it is on its way out.
    fn read(&mut self, object: &ResourceObject) -> (Version, Option<Seen>) {
        let meta = &object.metadata;
        let version = self.version(meta.resource_version);
        let seen = || Seen { uid: meta.uid.clone(), raw: meta.resource_version, version, form: Form::read(object) };
        (version, (!meta.is_terminating()).then(seen))
    }

    fn hear(&mut self, object: &ResourceObject, ended: bool) -> Option<Foreign> {
        let name: ResourceName = object.metadata.name.as_str().into();
        let (version, seen) = self.read(object);
        let event = Event { uid: object.metadata.uid.clone(), version, is: seen.filter(|_| !ended), ended };
        let slot = self.slots.entry(name.clone()).or_default();
        let foreign = slot.hear(&name, event);
        if slot.is_empty() {
            self.slots.remove(&name);
        }
        foreign
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
        if self.held.as_ref().is_none_or(|held| held.version <= event.version) {
            self.held = Some(event);
        }
        None
    }

    fn take_in(&mut self, name: &ResourceName, event: Event) -> Option<Foreign> {
        let Event { uid, version, is, ended } = event;
        if self.ending.as_ref() == Some(&uid) {
            // What we deleted; nothing that is heard of it still is news.
            if ended {
                self.ending = None;
            }
            return None;
        }
        match (&self.seen, &is) {
            (None, None) => return None,
            (Some(known), _) if version <= known.version => return None,
            // Untouched by a history that went back.
            (Some(known), Some(is)) if (&known.uid, known.raw, &known.form) == (&is.uid, is.raw, &is.form) => {
                return None;
            }
            (Some(_), _) | (None, Some(_)) => {}
        }
        self.ending = (is.is_none() && !ended).then_some(uid);
        let now = is.as_ref().map(|seen| seen.form.resource.clone());
        self.seen = is;
        Some(Foreign { name: name.clone(), now, version })
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
        assert_eq!(state(shelf.hear(&object("u", 5, "free"), false)), None, "held while the write is under way");
        shelf.know(&name, &object("u", 5, "free"));
        assert_eq!(state(shelf.end(&name)), None);
        assert_eq!(state(shelf.hear(&object("u", 5, "free"), false)), None);
        assert_eq!(state(shelf.hear(&object("u", 10, "busy"), false)), Some("busy".to_owned()), "10 is more than 5");
        assert_eq!(state(shelf.hear(&object("u", 9, "free"), false)), None);
    }

    #[test]
    fn news_that_came_during_a_write_is_told_after_it() {
        let shelf = Shelf::default();
        let name = "r".into();
        shelf.begin(&name);
        assert_eq!(state(shelf.hear(&object("u", 6, "busy"), false)), None);
        shelf.know(&name, &object("u", 5, "free"));
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
        assert_eq!(state(shelf.hear(&object("u", 5, "free"), false)), None, "late");
        assert_eq!(state(shelf.hear(&object("u", 6, "free"), true)), None);
        assert_eq!(state(shelf.hear(&object("v", 7, "free"), false)), Some("free".to_owned()));
    }

    #[test]
    fn what_a_list_lacks_is_gone() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let news = shelf.hear_all(&[], 8, shelf.mark());
        assert_eq!(news, [Foreign { name: "r".into(), now: None, version: 8 }]);
        assert_eq!(shelf.hear_all(&[], 9, shelf.mark()), []);
    }

    #[test]
    fn what_is_on_its_way_out_is_gone() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let mut ending = object("u", 6, "free");
        ending.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
        assert_eq!(state(shelf.hear(&ending, false)), Some("gone".to_owned()));
        assert_eq!(state(shelf.hear(&object("u", 7, "free"), true)), None);
    }

    #[test]
    fn a_list_that_is_older_than_a_write_since_is_no_news() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free")]);
        let mark = shelf.mark();
        shelf.begin(&"r".into());
        shelf.know(&"r".into(), &object("u", 9, "busy"));
        assert_eq!(shelf.end(&"r".into()), None);
        assert_eq!(shelf.hear_all(&[object("u", 5, "free")], 8, mark), []);
    }

    #[test]
    fn a_list_of_an_earlier_moment_replaces_what_was_known() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 5, "free"), object("u", 20, "busy")]);
        let known = shelf.begin(&"r".into()).unwrap().version;
        shelf.end(&"r".into());
        let mut news = shelf.hear_all(&[object("u", 5, "free")], 8, shelf.mark());
        let foreign = news.pop().unwrap();
        assert!(foreign.version > known, "newer, for the ranch");
        assert_eq!(state(Some(foreign)), Some("free".to_owned()));
        assert_eq!(shelf.begin(&"r".into()).unwrap().raw, 5, "what is written on");
        shelf.end(&"r".into());
        assert_eq!(state(shelf.hear(&object("u", 9, "dirty"), false)), Some("dirty".to_owned()));
    }

    #[tokio::test]
    async fn an_object_that_was_found_older_than_known_has_all_listed() {
        let shelf = Shelf::default();
        shelf.fill(&[object("u", 20, "busy")]);
        let name = "r".into();
        let known = shelf.begin(&name).unwrap().version;
        let (version, seen) = shelf.know(&name, &object("u", 5, "free"));
        assert!(version > known && seen.is_some());
        shelf.went_back().await;
        assert_eq!(shelf.end(&name), None);
        // What an old watch had to say still does not outlast the list.
        assert_eq!(state(shelf.hear(&object("u", 21, "late"), false)), Some("late".to_owned()));
        let news = shelf.hear_all(&[object("u", 5, "free")], 8, shelf.mark());
        assert_eq!(state(news.into_iter().next()), Some("free".to_owned()));
    }
}
