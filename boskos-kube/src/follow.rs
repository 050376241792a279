//! A list, and then a watch that never ends.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use kube::core::WatchEvent;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    collection::{Collection, Listing},
    error::ReadError,
    object::{Object, Version},
};

/// Bookmarks come about once a minute. A watch that is quiet for longer is dead, its API server too old
/// for them, or what it is to follow on lies in the future, since etcd was restored from a backup: all
/// is listed anew.
const QUIET: Duration = Duration::from_secs(75);

/// The pause before the next attempt, after the first failure and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What happened.
#[derive(Debug)]
pub enum News<K> {
    /// This is everything: what is not in it is gone.
    All(Listing<K>),
    /// What happened since the last news cannot be told one by one: a list comes next.
    Again,
    /// This object was created or changed.
    Changed(K),
    /// This object is gone; the form is its last, with the version of its end.
    Gone(K),
    /// Nothing can be heard at the moment. It is tried again with the next call.
    Trouble(ReadError),
    /// After trouble, what happens can be heard again, and nothing was missed.
    Back,
}

/// Follows the objects of a [`Collection`].
pub struct Follow<K> {
    collection: Collection<K>,
    after: Option<Version>,
    events: Option<Events<K>>,
    opened: Instant,
    listed: Option<Instant>,
    /// Whether the last that was told of is trouble.
    troubled: bool,
    pause: Duration,
}

type Events<K> = Pin<Box<dyn Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send>>;

// === impl Follow ===

impl<K: Object> Follow<K> {
    /// Begins after the moment that `after` is the version of; without one, with a list.
    #[must_use]
    pub fn new(collection: Collection<K>, after: Option<Version>) -> Self {
        let (events, opened, listed) = (None, Instant::now(), None);
        Self { collection, after, events, opened, listed, troubled: false, pause: Duration::ZERO }
    }

    /// Has the next news be a list.
    pub fn list_again(&mut self) {
        (self.events, self.after, self.pause) = (None, None, Duration::ZERO);
    }

    /// What happened next. May be dropped at any time without loss.
    pub async fn next(&mut self) -> News<K> {
        loop {
            if !self.pause.is_zero() && self.events.is_none() {
                sleep(self.pause).await;
            }
            let Some(after) = self.after else {
                match self.collection.list().await {
                    Ok(listing) => {
                        self.after = Some(listing.version);
                        self.listed = Some(Instant::now());
                        (self.troubled, self.pause) = (false, Duration::ZERO);
                        return News::All(listing);
                    }
                    Err(error) => return self.trouble(error),
                }
            };
            if self.events.is_none() {
                match self.collection.watch(after).await {
                    Ok(events) => self.events = Some(Box::pin(events)),
                    Err(ReadError::Expired) => return self.expired(),
                    Err(error) => return self.trouble(error),
                }
                self.opened = Instant::now();
                if std::mem::take(&mut self.troubled) {
                    return News::Back;
                }
            }
            let events = self.events.as_mut().expect("opened above");
            match timeout(QUIET, events.next()).await {
                Ok(Some(event)) => {
                    if let Some(news) = self.take_in(event) {
                        return news;
                    }
                }
                Ok(None) => self.reopen(),
                Err(_) => return self.expired(),
            }
        }
    }

    fn take_in(&mut self, event: Result<WatchEvent<K>, kube::Error>) -> Option<News<K>> {
        match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                self.heard(object.meta().resource_version);
                Some(News::Changed(object))
            }
            Ok(WatchEvent::Deleted(object)) => {
                self.heard(object.meta().resource_version);
                Some(News::Gone(object))
            }
            Ok(WatchEvent::Bookmark(bookmark)) => {
                if let Ok(version) = bookmark.metadata.resource_version.parse() {
                    self.heard(version);
                }
                None
            }
            Ok(WatchEvent::Error(status)) => self.broken(kube::Error::Api(status)),
            Err(error) => self.broken(error),
        }
    }

    fn heard(&mut self, version: Version) {
        self.after = Some(version);
        self.pause = Duration::ZERO;
    }

    fn broken(&mut self, error: kube::Error) -> Option<News<K>> {
        self.events = None;
        match ReadError::of(error) {
            ReadError::Expired => Some(self.expired()),
            error @ (ReadError::Refused(_)
            | ReadError::Unreachable(_)
            | ReadError::TimedOut(_)
            | ReadError::Unreadable(_)) => Some(self.trouble(error)),
        }
    }

    /// The stream has ended, as each does: the next one begins where it was.
    fn reopen(&mut self) {
        self.events = None;
        // One that ends as soon as it has begun must not be opened in a tight loop.
        match self.opened.elapsed() < PAUSE.1 {
            true => self.lengthen_pause(),
            false => self.pause = Duration::ZERO,
        }
    }

    /// History is gone, which must not make one list follow the other in a tight loop.
    fn expired(&mut self) -> News<K> {
        (self.events, self.after) = (None, None);
        if self.listed.is_some_and(|at| at.elapsed() < PAUSE.1) {
            self.pause = PAUSE.1;
        }
        News::Again
    }

    fn trouble(&mut self, error: ReadError) -> News<K> {
        self.events = None;
        self.troubled = true;
        self.lengthen_pause();
        News::Trouble(error)
    }

    fn lengthen_pause(&mut self) {
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
    }
}

impl<K> std::fmt::Debug for Follow<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("collection", &self.collection)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
