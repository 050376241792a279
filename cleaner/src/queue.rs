//! What waits to be taken apart, and what does not for now.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use boskos_client::{Client, Resource, ResourceName, ResourceType};
use boskos_core::{MonoTime, WallTime};
use parking_lot::Mutex;

/// The pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long a type rests at an older server after one that cannot be read was met: that server hands it out again.
const TYPE_PAUSE: Duration = Duration::from_secs(600);

/// Shared by the pass, which fills it, and the workers. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Arc<Mutex<Inner>>);

/// All maps are bounded by the resources that were listed last; at an older server by those that failed lately.
#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<(ResourceName, ResourceType)>,
    /// In the hands of a worker.
    taken: BTreeSet<ResourceName>,
    paused: BTreeMap<ResourceName, Pause>,
    /// Reported, by the stamp of the form that was.
    unreadable: BTreeMap<ResourceName, WallTime>,
    resting: BTreeMap<ResourceType, MonoTime>,
}

#[derive(Debug)]
struct Pause {
    failures: u32,
    until: MonoTime,
}

/// One resource in the hands of a worker, until dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    queue: Queue,
    pub(crate) name: ResourceName,
    pub(crate) r#type: ResourceType,
}

// === impl Queue ===

impl Queue {
    /// Has `listed` wait, apart from what is in hand or paused; tells how many do. With `unreadable`, which cannot be
    /// read, it is all there is.
    pub(crate) fn offer(&self, listed: Vec<Resource>, unreadable: Vec<Resource>, now: MonoTime) -> usize {
        let names: BTreeSet<ResourceName> = listed.iter().map(|resource| resource.name.clone()).collect();
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        inner.paused.retain(|name, _| names.contains(name) || inner.taken.contains(name));
        let unreadable: BTreeSet<ResourceName> = unreadable.into_iter().map(|resource| resource.name).collect();
        inner.unreadable.retain(|name, _| unreadable.contains(name));
        let mut ready: Vec<Resource> = listed.into_iter().filter(|resource| inner.is_ready(resource, now)).collect();
        // As an acquire would: the least recently updated first.
        ready.sort_unstable_by(|a, b| (a.last_update, &a.name).cmp(&(b.last_update, &b.name)));
        inner.waiting = ready.into_iter().map(|resource| (resource.name, resource.r#type)).collect();
        inner.waiting.len()
    }

    /// The next one, for a worker.
    pub(crate) fn next(&self) -> Option<Ticket> {
        let mut inner = self.0.lock();
        let (name, r#type) = inner.waiting.pop_front()?;
        Some(self.ticket(&mut inner, name, r#type))
    }

    /// A ticket for what a worker has in hand already.
    pub(crate) fn taken(&self, resource: &Resource) -> Ticket {
        let mut inner = self.0.lock();
        self.ticket(&mut inner, resource.name.clone(), resource.r#type.clone())
    }

    fn ticket(&self, inner: &mut Inner, name: ResourceName, r#type: ResourceType) -> Ticket {
        inner.taken.insert(name.clone());
        Ticket { queue: self.clone(), name, r#type }
    }

    /// Whether that `resource` cannot be read is news.
    pub(crate) fn is_news(&self, resource: &Resource) -> bool {
        let known = self.0.lock().unreadable.insert(resource.name.clone(), resource.last_update);
        known != Some(resource.last_update)
    }

    /// Whether `name` failed a while ago and is left alone.
    pub(crate) fn is_paused(&self, name: &ResourceName, now: MonoTime) -> bool {
        self.0.lock().paused.get(name).is_some_and(|pause| pause.until > now)
    }

    /// When the first of those that failed is to be tried again.
    pub(crate) fn first_due(&self, now: MonoTime) -> Option<MonoTime> {
        self.0.lock().paused.values().map(|pause| pause.until).filter(|until| *until > now).min()
    }

    /// Forgets what failed long ago: at an older server nothing tells whether it is there still.
    pub(crate) fn forget_before(&self, now: MonoTime) {
        self.0.lock().paused.retain(|_, pause| pause.until.saturating_add(LONGEST_PAUSE) > now);
    }

    /// Whether nothing of `type` is to be acquired for now.
    pub(crate) fn is_resting(&self, r#type: &ResourceType, now: MonoTime) -> bool {
        self.0.lock().resting.get(r#type).is_some_and(|until| *until > now)
    }
}

// === impl Inner ===

impl Inner {
    fn is_ready(&self, resource: &Resource, now: MonoTime) -> bool {
        let is_paused = self.paused.get(&resource.name).is_some_and(|pause| pause.until > now);
        !is_paused && !self.taken.contains(&resource.name)
    }
}

// === impl Ticket ===

impl Ticket {
    /// It was taken apart, or is somebody else's.
    pub(crate) fn done(self) {
        self.queue.0.lock().paused.remove(&self.name);
    }

    /// It was not, and is left alone for a while.
    pub(crate) fn failed(self, client: &Client) {
        let now = client.clock().mono();
        let mut inner = self.queue.0.lock();
        let pause = inner.paused.entry(self.name.clone()).or_insert(Pause { failures: 0, until: now });
        let length = FIRST_PAUSE.saturating_mul(1 << pause.failures.min(16)).min(LONGEST_PAUSE);
        pause.failures += 1;
        pause.until = now.saturating_add(length);
        drop(inner);
    }

    /// It cannot be read: an older server is not asked for its type for a while.
    pub(crate) fn rest(self, client: &Client) {
        let until = client.clock().mono().saturating_add(TYPE_PAUSE);
        self.queue.0.lock().resting.insert(self.r#type.clone(), until);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.0.lock().taken.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use boskos_client::Clock;

    use super::*;

    #[test]
    fn what_failed_waits_longer_each_time_and_what_is_in_hand_is_not_offered() {
        let (clock, hand) = Clock::manual();
        let client =
            Client::builder("http://127.0.0.1:1", "me").without_proxies().clock(clock.clone()).build().unwrap();
        let resource = |name: &str| Resource::new(name.into(), "t".into(), "s".into(), WallTime::default());
        let queue = Queue::default();
        let offer = || queue.offer(vec![resource("a"), resource("b")], vec![], clock.mono());
        assert_eq!(offer(), 2);
        let ticket = queue.next().unwrap();
        assert_eq!((ticket.name.as_str(), offer()), ("a", 1));
        ticket.failed(&client);
        assert_eq!(offer(), 1);
        assert_eq!(queue.first_due(clock.mono()), Some(clock.mono().saturating_add(FIRST_PAUSE)));
        hand.advance(FIRST_PAUSE);
        assert_eq!((offer(), queue.first_due(clock.mono())), (2, None));
        queue.next().unwrap().failed(&client);
        hand.advance(FIRST_PAUSE);
        assert_eq!(offer(), 1);
        hand.advance(FIRST_PAUSE);
        assert_eq!(offer(), 2);
        drop(queue.next());
        assert_eq!(offer(), 2);
    }
}
