//! That the API server is away, said once for all that ask it.

use std::{collections::BTreeSet, error::Error, sync::Arc};

use parking_lot::Mutex;

use crate::trouble::Trouble;

/// Whether the API server is away, as all know who ask it again and again. It is over when none of them fails.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    trouble: Trouble,
    /// Those whose last attempt failed.
    failing: BTreeSet<u64>,
    contacts: u64,
}

/// One that asks the API server again and again; until it is dropped.
pub(crate) struct Contact {
    outage: Outage,
    number: u64,
    /// What it says when it alone is refused, and when it is not any more.
    says: (&'static str, &'static str),
    refused: Trouble,
}

// === impl Outage ===

impl Outage {
    /// One more that asks: what it says when it alone is refused, and when it is not any more.
    pub(crate) fn contact(&self, refused: &'static str, again: &'static str) -> Contact {
        let mut state = self.0.lock();
        state.contacts += 1;
        Contact { outage: self.clone(), number: state.contacts, says: (refused, again), refused: Trouble::default() }
    }
}

// === impl Contact ===

impl Contact {
    /// It could not be had, be it that the API server `is_away` or that it says no.
    pub(crate) fn failed(&mut self, error: &dyn Error, is_away: bool) {
        if !is_away {
            self.reached();
            self.refused.goes_on(self.says.0, error);
            return;
        }
        let mut state = self.outage.0.lock();
        state.failing.insert(self.number);
        state.trouble.goes_on("the API server is away; trying again", error);
    }

    /// It was had.
    pub(crate) fn works(&mut self) {
        self.reached();
        if self.refused.end() {
            tracing::info!("{}", self.says.1);
        }
    }

    fn reached(&self) {
        let mut state = self.outage.0.lock();
        state.failing.remove(&self.number);
        if state.failing.is_empty() && state.trouble.end() {
            tracing::info!("the API server is back");
        }
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        // Whoever asks next finds out whether it is over.
        self.outage.0.lock().failing.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_all_that_noticed_it_are_served_again_and_is_none_if_one_is_refused() {
        let outage = Outage::default();
        let is_told = || outage.0.lock().trouble.is_known();
        let error = std::fmt::Error;
        let (mut resources, mut lifecycles) = (outage.contact("r", "r again"), outage.contact("l", "l again"));
        resources.failed(&error, false);
        assert!(!is_told() && resources.refused.is_known(), "it is there, and says no");
        resources.failed(&error, true);
        lifecycles.failed(&error, true);
        lifecycles.works();
        assert!(is_told(), "resources are not heard of yet");
        resources.works();
        assert!(!is_told() && !resources.refused.is_known());

        let outage = Outage::default();
        let is_told = || outage.0.lock().trouble.is_known();
        let (mut watch, mut lease) = (outage.contact("w", "w again"), outage.contact("l", "l again"));
        watch.failed(&error, true);
        drop(watch);
        assert!(is_told(), "who does not ask any more finds out nothing");
        lease.works();
        assert!(!is_told());
    }
}
