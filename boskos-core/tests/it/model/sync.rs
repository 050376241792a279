//! Following the config.

use super::{Fate, Item, Life, Model};

/// What a config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Name, type and state, sorted by name.
    pub(crate) names: Vec<(String, String, String)>,
    pub(crate) lives: Vec<Life>,
}

impl Model {
    /// Brings all lifecycles to what the config says.
    pub(crate) fn sync_lives(&mut self, wanted: &Wanted) {
        for life in &wanted.lives {
            let statics = self.items.iter().filter(|item| item.kind == life.kind && item.listed);
            let gone = statics.filter(|item| wanted.names.iter().all(|(name, _, _)| *name != item.name));
            for _ in 0..gone.count() {
                self.note("adoptions");
            }
            self.lives.retain(|other| other.kind != life.kind);
            self.lives.push(life.clone());
            for item in self.items.iter_mut().filter(|item| item.kind == life.kind && item.fate == Some(Fate::Delete)) {
                item.fate = None;
            }
        }
        for life in self.lives.iter_mut().filter(|life| wanted.lives.iter().all(|other| other.kind != life.kind)) {
            (life.min, life.max, life.draining) = (0, 0, true);
        }
    }

    /// Brings these names to what the config says.
    pub(crate) fn sync_names(&mut self, wanted: &Wanted, names: &[String]) {
        for name in names {
            match wanted.names.iter().find(|(other, _, _)| other == name) {
                Some((_, kind, state)) => self.list(name, kind, state),
                None => self.unlist(name),
            }
        }
        self.serve();
    }

    /// Brings all names to what the config says.
    pub(crate) fn sync_all_names(&mut self, wanted: &Wanted) {
        let mut names: Vec<String> = wanted.names.iter().map(|(name, _, _)| name.clone()).collect();
        names.extend(self.items.iter().map(|item| item.name.clone()));
        names.sort();
        names.dedup();
        self.sync_names(wanted, &names);
    }

    fn list(&mut self, name: &str, kind: &str, state: &str) {
        let Some(index) = self.find(name) else {
            let item = self.blank(name, kind, state, true);
            return self.create(item);
        };
        let item = &mut self.items[index];
        item.listed = true;
        item.fate = (item.kind != kind).then(|| Fate::Remake { kind: kind.to_owned(), state: state.to_owned() });
        self.carry_out_fates();
    }

    fn unlist(&mut self, name: &str) {
        let index = self.find(name).expect("unlisted names are those of resources");
        let life = self.life(&self.items[index].kind);
        let (dynamic, adopts) = (life.is_some(), life.is_some_and(|life| !life.draining));
        let item = &mut self.items[index];
        if dynamic && !item.listed {
            return;
        }
        item.listed = false;
        let before = std::mem::replace(&mut item.fate, (!adopts).then_some(Fate::Delete));
        if item.fate.is_some() && item.fate != before && item.owner.is_some() {
            self.note("deferred deletions");
        }
        self.carry_out_fates();
    }

    /// Deletes and remakes what nobody owns any more.
    pub(crate) fn carry_out_fates(&mut self) {
        if self.halted {
            return;
        }
        let mut due: Vec<&Item> = self.items.iter().filter(|item| item.owner.is_none()).collect();
        due.sort_by_key(|item| item.order);
        let due: Vec<(String, Fate)> =
            due.into_iter().filter_map(|item| Some((item.name.clone(), item.fate.clone()?))).collect();
        for (name, fate) in due {
            match fate {
                Fate::Delete => self.items.retain(|item| item.name != name),
                Fate::Remake { kind, state } => {
                    self.note("remade types");
                    self.change(&name, |item| {
                        item.kind = kind;
                        item.state = state;
                        item.data = Vec::new();
                        item.expires = None;
                        item.leaving = false;
                        item.fate = None;
                    });
                }
            }
        }
    }
}
