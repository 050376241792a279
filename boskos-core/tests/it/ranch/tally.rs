//! How often each interesting thing happened, over all sequences.

use std::{collections::BTreeMap, env};

#[derive(Clone, Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn note(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(super) fn add(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_insert(0) += times as u64;
    }

    /// A test that never gets to the interesting parts proves nothing. (One sequence that is
    /// played again need not.)
    pub(super) fn assert_each(&self, expected: &[&str], at_least: u64) {
        println!("{self:#?}");
        if ["BOSKOS_SEED", "BOSKOS_SEQUENCES"].iter().any(|variable| env::var_os(variable).is_some()) {
            return;
        }
        for what in expected {
            let times = self.0.get(what).copied().unwrap_or(0);
            assert!(times >= at_least, "{what:?} happened {times} times only, not {at_least}");
        }
    }
}
