//! The names that a config lists, to look very many up in.

use boskos_core::{Config, Resource, ResourceName, ResourceType};

/// Names and their types, sorted by name.
pub(crate) struct Listed {
    names: Vec<(ResourceName, ResourceType)>,
    /// The one behind that which was looked up last.
    next: usize,
}

impl Listed {
    /// The names that `config` lists.
    pub(crate) fn by(config: &Config) -> Self {
        let mut names = Vec::with_capacity(config.names_count());
        names.extend(config.names().map(|(name, r#type, _)| (name.clone(), r#type.clone())));
        names.sort_unstable();
        Self { names, next: 0 }
    }

    /// Whether the resource is listed under its type.
    pub(crate) fn has(&mut self, resource: &Resource) -> bool {
        // A store is mostly read in the order in which the config was once written into it.
        let found = match self.names.get(self.next) {
            Some((name, _)) if *name == resource.name => Ok(self.next),
            _ => self.names.binary_search_by(|(name, _)| name.cmp(&resource.name)),
        };
        let Ok(at) = found else { return false };
        self.next = at + 1;
        self.names[at].1 == resource.r#type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order_and_under_their_type_only() {
        let text = b"resources: [{type: t, state: free, names: [c, a]}, {type: u, state: free, names: [b]}]";
        let (config, _) = Config::parse(text).unwrap();
        let mut listed = Listed::by(&config);
        let mut has = |name: &str, r#type: &str| {
            let state = "free".into();
            listed.has(&Resource::new(name.into(), r#type.into(), state, boskos_core::WallTime::default()))
        };
        let asked = [("a", "t"), ("b", "u"), ("c", "t"), ("d", "t"), ("a", "t"), ("c", "u"), ("c", "t"), ("", "t")];
        assert_eq!(asked.map(|(name, r#type)| has(name, r#type)), [true, true, true, false, true, false, true, false]);
    }
}
