//! All objects of a type as they were last heard of, which makes a list of them cheap.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;

use crate::{
    collection::{Collection, Listing},
    error::ReadError,
    follow::{Follow, News},
    object::{Meta, Object, Version},
};

/// Up to so many objects that it does not have are read one by one; for more, all are listed.
const ONE_BY_ONE: usize = 256;

/// So many of them are read at a time.
const SIDE_BY_SIDE: usize = 16;

/// Holds the objects of a [`Collection`] while it is kept, for a list that comes later.
///
/// That list is as consistent as any other: it tells which objects there are and of which version. What is
/// saved is to send and to read all that has not changed.
#[derive(Debug)]
pub struct Mirror<K> {
    collection: Collection<K>,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    objects: HashMap<String, K>,
    /// The newest version that was heard of.
    newest: Version,
}

// === impl Mirror ===

impl<K: Object> Mirror<K> {
    /// A mirror that holds nothing yet.
    #[must_use]
    pub fn new(collection: Collection<K>) -> Self {
        Self { collection, held: Mutex::default() }
    }

    /// How many objects it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.lock().objects.len()
    }

    /// Follows the objects, beginning with a list, until it is dropped; what it holds then stays. `told` hears
    /// of each failure, and with `None` of all that is heard.
    pub async fn keep(&self, mut told: impl FnMut(Option<&ReadError>)) -> Infallible {
        let mut follow = Follow::new(self.collection.clone(), None);
        loop {
            match follow.next().await {
                News::All(listing) => self.held.lock().replace(listing),
                News::Changed(object) => self.held.lock().put(object),
                News::Gone(object) => self.held.lock().remove(&object),
                // That a list comes next is no sign that it can be had.
                News::Again => continue,
                News::Back => {}
                News::Trouble(error) => {
                    told(Some(&error));
                    continue;
                }
            }
            told(None);
        }
    }

    /// Reads all objects as they are now, as [`Collection::list`] does, and holds nothing any more. Those of the
    /// version that it held are not read again. An object that changes meanwhile may be newer than the listing.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no. What was held still is, for the next attempt.
    pub async fn list(&self) -> Result<Listing<K>, ReadError> {
        if let Some(listing) = self.list_by_difference().await? {
            return Ok(listing);
        }
        // Before the list, so that all is not there twice.
        *self.held.lock() = Held::default();
        self.collection.list().await
    }

    /// The same, with what is held; `None` if that is not worth it, or void.
    async fn list_by_difference(&self) -> Result<Option<Listing<K>>, ReadError> {
        let newest = {
            let held = self.held.lock();
            if held.objects.is_empty() {
                return Ok(None);
            }
            held.newest
        };
        let now = self.collection.list_metas().await?;
        // Versions begin anew when etcd is restored from a backup: what has one may be another form then.
        if now.version < newest {
            return Ok(None);
        }
        let others: HashSet<String> = {
            let held = self.held.lock();
            let is_held =
                |meta: &&Meta| held.objects.get(&meta.name).is_some_and(|object| is_form(object.meta(), meta));
            now.items.iter().filter(|meta| !is_held(meta)).map(|meta| meta.name.clone()).collect()
        };
        if others.len() > ONE_BY_ONE {
            return Ok(None);
        }
        let read = stream::iter(&others).map(|name| self.collection.get(name)).buffer_unordered(SIDE_BY_SIDE);
        // One that is gone by now is told of as such by a watch that follows on the listing.
        let read: Vec<Option<K>> = read.try_collect().await?;
        let mut held = std::mem::take(&mut *self.held.lock());
        let unchanged = now.items.iter().filter(|meta| !others.contains(&meta.name));
        let mut items: Vec<K> = unchanged.filter_map(|meta| held.objects.remove(&meta.name)).collect();
        items.extend(read.into_iter().flatten());
        Ok(Some(Listing { items, version: now.version }))
    }
}

/// Whether `one` is of the very form that `other` is of.
fn is_form(one: &Meta, other: &Meta) -> bool {
    (&one.uid, one.resource_version) == (&other.uid, other.resource_version)
}

// === impl Held ===

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self { objects: HashMap::new(), newest: 0 }
    }
}

impl<K: Object> Held<K> {
    fn replace(&mut self, listing: Listing<K>) {
        let named = |object: K| (object.meta().name.clone(), object);
        *self = Self { objects: listing.items.into_iter().map(named).collect(), newest: listing.version };
    }

    fn put(&mut self, object: K) {
        self.newest = self.newest.max(object.meta().resource_version);
        self.objects.insert(object.meta().name.clone(), object);
    }

    fn remove(&mut self, object: &K) {
        self.newest = self.newest.max(object.meta().resource_version);
        self.objects.remove(&object.meta().name);
    }
}
