//! Texts that many rows share, kept once.

use boskos_core::{Owner, ResourceType, State};
use hashbrown::HashSet;

/// Hands out the same shared text for equal texts.
#[derive(Debug, Default)]
pub(super) struct Interner {
    types: HashSet<ResourceType>,
    states: HashSet<State>,
    owners: HashSet<Owner>,
}

impl Interner {
    pub(super) fn r#type(&mut self, text: &str) -> ResourceType {
        self.types.get_or_insert_with(text, |text| text.into()).clone()
    }

    pub(super) fn state(&mut self, text: &str) -> State {
        self.states.get_or_insert_with(text, |text| text.into()).clone()
    }

    pub(super) fn owner(&mut self, text: &str) -> Owner {
        self.owners.get_or_insert_with(text, |text| text.into()).clone()
    }
}
