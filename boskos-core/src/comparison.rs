//! What applying a config would change.

use std::{cmp::Ordering, collections::BTreeMap};

use crate::{
    Config, Lifecycle, ResourceName, ResourceType, State,
    ranch::{NameView, command::SyncChange, plan::LifecycleRecord},
};

/// Compares a config with a ranch, away from the ranch: names come page by page, in order.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// Sorted by name.
    names: Vec<(&'a ResourceName, &'a ResourceType, &'a State)>,
    /// How many of them were passed.
    passed: usize,
    lifecycles: BTreeMap<&'a ResourceType, &'a Lifecycle>,
}

impl<'a> Comparison<'a> {
    /// Begins a comparison with `config`.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        let mut names = Vec::with_capacity(config.names_count());
        names.extend(config.names());
        names.sort_unstable_by_key(|(name, ..)| *name);
        let lifecycles = config.lifecycles.iter().map(|lifecycle| (&lifecycle.r#type, lifecycle)).collect();
        Self { names, passed: 0, lifecycles }
    }

    /// What is to be done about lifecycles; to be carried out before any change of names, since
    /// what becomes of a name depends on them.
    #[must_use]
    pub fn lifecycle_changes(&self, current: &[LifecycleRecord]) -> Vec<SyncChange> {
        let kept: BTreeMap<&ResourceType, &LifecycleRecord> =
            current.iter().map(|record| (&record.lifecycle.r#type, record)).collect();
        let set = self.lifecycles.iter().filter(|(r#type, lifecycle)| {
            kept.get(*r#type).is_none_or(|record| record.draining || record.lifecycle != ***lifecycle)
        });
        let set = set.map(|(_, lifecycle)| SyncChange::SetLifecycle((*lifecycle).clone()));
        let gone = current.iter().filter(|record| !record.draining);
        let gone = gone.map(|record| &record.lifecycle.r#type).filter(|r#type| !self.lifecycles.contains_key(*r#type));
        set.chain(gone.cloned().map(SyncChange::DrainLifecycle)).collect()
    }

    /// Compares the next resources of the ranch, in name order.
    pub fn name_changes(&mut self, page: &[NameView], changes: &mut Vec<SyncChange>) {
        for view in page {
            while let Some(&(name, r#type, state)) = self.names.get(self.passed) {
                match name.cmp(&view.name) {
                    Ordering::Less => changes.push(list(name, r#type, state)),
                    Ordering::Equal => {
                        let otherwise = view.remade_in.as_ref().is_some_and(|due| due != state);
                        if !view.listed || view.r#type != *r#type || otherwise || view.to_be_deleted {
                            changes.push(list(name, r#type, state));
                        }
                    }
                    Ordering::Greater => break,
                }
                self.passed += 1;
                if *name == view.name {
                    break;
                }
            }
            let is_named = self.passed > 0 && *self.names[self.passed - 1].0 == view.name;
            if !is_named && (view.listed || !view.dynamic && !view.to_be_deleted) {
                changes.push(SyncChange::Unlist { name: view.name.clone() });
            }
        }
    }

    /// The names after the last resource of the ranch, up to `limit` at a time; empty at the end.
    pub fn rest(&mut self, limit: usize) -> Vec<SyncChange> {
        let rest = self.names[self.passed..].iter().take(limit);
        let changes: Vec<_> = rest.map(|(name, r#type, state)| list(name, r#type, state)).collect();
        self.passed += changes.len();
        changes
    }
}

fn list(name: &ResourceName, r#type: &ResourceType, state: &State) -> SyncChange {
    SyncChange::List { name: name.clone(), r#type: r#type.clone(), state: state.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a config that lists `a` of type `t`, free, makes of what the ranch has by that name.
    fn changes(view: NameView) -> Vec<SyncChange> {
        let (config, _) = Config::parse(b"resources: [{type: t, state: free, names: [a]}]").unwrap();
        let mut changes = Vec::new();
        Comparison::new(&config).name_changes(&[view], &mut changes);
        changes
    }

    fn view() -> NameView {
        NameView {
            name: "a".into(),
            r#type: "t".into(),
            remade_in: None,
            listed: true,
            dynamic: false,
            to_be_deleted: false,
        }
    }

    #[test]
    fn a_name_is_listed_anew_for_each_thing_that_differs() {
        assert_eq!(changes(view()), []);
        assert_eq!(changes(NameView { remade_in: Some("free".into()), ..view() }), []);
        let anew = [list(&"a".into(), &"t".into(), &"free".into())];
        for other in [
            NameView { listed: false, ..view() },
            NameView { r#type: "u".into(), ..view() },
            NameView { remade_in: Some("dirty".into()), ..view() },
            NameView { to_be_deleted: true, ..view() },
        ] {
            assert_eq!(changes(other.clone()), anew, "{other:?}");
        }
    }
}
