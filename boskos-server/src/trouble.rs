//! Trouble that may go on for long.

use std::{collections::BTreeMap, time::Duration};

use boskos_runtime::text;
use tokio::time::Instant;

/// How often trouble is spoken of, at most: while it goes on, and however often it begins anew.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Has it said what is wrong when it begins, and once in a while.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// When it was spoken of last.
    told: Option<Instant>,
    /// Whether it was spoken of since it began.
    is_known: bool,
}

/// Trouble with things of a kind, each by itself.
#[derive(Debug)]
pub(crate) struct Troubles<K>(BTreeMap<K, Trouble>);

// === impl Trouble ===

impl Trouble {
    /// It begins, or goes on.
    pub(crate) fn goes_on(&mut self, what: &str, error: &dyn std::error::Error) {
        self.tell(|| tracing::warn!(error = text::chain(error), "{what}"));
    }

    /// It begins, or goes on; `say` says so, if it is time to.
    pub(crate) fn tell(&mut self, say: impl FnOnce()) {
        if self.told.is_none_or(|at| at.elapsed() > TELL_EVERY) {
            (self.told, self.is_known) = (Some(Instant::now()), true);
            say();
        }
    }

    /// Whether it goes on, and was spoken of.
    #[cfg(test)]
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Ends it. Whether it was spoken of, so that its end is to be.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_known)
    }
}

// === impl Troubles ===

impl<K> Default for Troubles<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Troubles<K> {
    /// That with `key`.
    pub(crate) fn of(&mut self, key: K) -> &mut Trouble {
        let recent = |told: Instant| told.elapsed() <= TELL_EVERY;
        self.0.retain(|_, trouble| trouble.is_known || trouble.told.is_some_and(recent));
        self.0.entry(key).or_default()
    }

    /// Ends that with all others than `these`: those whose trouble was spoken of.
    pub(crate) fn end_others(&mut self, these: &[K]) -> Vec<K> {
        let others = self.0.iter_mut().filter(|(key, _)| !these.contains(key));
        others.filter_map(|(key, trouble)| trouble.end().then(|| key.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_of_at_its_beginning_and_once_a_minute_however_often_it_begins() {
        let (mut trouble, told) = (Trouble::default(), Cell::new(0));
        let tell = |trouble: &mut Trouble| trouble.tell(|| told.set(told.get() + 1));
        assert!(!trouble.end(), "there was none");
        for _ in 0..100 {
            tell(&mut trouble);
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told.get(), 2);
        assert!(trouble.end() && !trouble.end());
        tell(&mut trouble);
        assert_eq!(told.get(), 2, "it was spoken of within the last minute");
        assert!(!trouble.end(), "and so its end is not");
        advance(Duration::from_secs(60)).await;
        tell(&mut trouble);
        assert_eq!(told.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_with_one_thing_neither_hides_nor_ends_that_with_another() {
        let (mut troubles, told) = (Troubles::default(), Cell::new(0));
        for key in ["a", "b", "a"] {
            troubles.of(key).tell(|| told.set(told.get() + 1));
        }
        assert_eq!(told.get(), 2);
        assert_eq!(troubles.end_others(&["b"]), ["a"]);
        assert!(troubles.of("b").end());
    }
}
