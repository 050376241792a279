//! The rules of a config, entry by entry and across the whole.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map, hash_map},
    hash::BuildHasher as _,
};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

use crate::{Lifecycle, ResourceType, State, state};

use super::{
    Config, StaticEntry, Warning,
    entry::{Entry, Field},
    violation::{Problem, Violations, in_place},
};

/// Takes the entries of a config in their order and in the end says what they come to.
pub(super) struct Checker {
    statics: Vec<(usize, StaticEntry)>,
    dynamics: Vec<(usize, Lifecycle)>,
    /// How many entries there were.
    entries: usize,
    /// Types of which some entry has a flaw: what follows from it is not worth a word.
    flawed: HashSet<ResourceType>,
    violations: Violations,
}

impl Checker {
    pub(super) fn new() -> Self {
        Self {
            statics: Vec::new(),
            dynamics: Vec::new(),
            entries: 0,
            flawed: HashSet::new(),
            violations: Violations::new(),
        }
    }

    /// Notes what is wrong outside of all entries.
    pub(super) fn reject(&mut self, place: &str, problem: Problem) {
        self.violations.push(None, place.to_owned(), problem);
    }

    /// Takes something that is not an entry in the place of one.
    pub(super) fn take_other(&mut self, found: &'static str) {
        let problem = Problem::Kind { expected: "a mapping", found };
        self.violations.push(Some(self.entries), format!(".{}", self.entries), problem);
        self.entries += 1;
    }

    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: Entry) {
        let index = self.entries;
        self.entries += 1;
        let before = self.violations.count();
        let has = |field| entry.flaws.iter().any(|flaw| flaw.field == field);
        if entry.r#type.is_empty() && !has(Field::Type) {
            self.violate(index, ".type", Problem::Unset);
        }
        let names_unread = entry.names.is_empty() && has(Field::Names);
        if !entry.names.is_empty() {
            for (field, count) in [(Field::MinCount, entry.min_count), (Field::MaxCount, entry.max_count)] {
                if count > 0 {
                    self.violate(index, &format!(".{}", field.key()), Problem::CountBesideNames);
                }
            }
            self.check_names(index, &entry);
        } else if !names_unread && !has(Field::MaxCount) {
            if entry.max_count == 0 {
                self.violate(index, ".max-count", Problem::NoMaximum);
            }
            if entry.min_count > entry.max_count {
                let problem = Problem::MinAboveMax { min: entry.min_count, max: entry.max_count };
                self.violate(index, ".min-count", problem);
            }
        }
        let r#type = self.shared_type(&entry.r#type);
        for flaw in entry.flaws {
            self.violate(index, &flaw.place, flaw.problem);
        }
        if self.violations.count() > before {
            self.flawed.insert(r#type.clone());
        }
        let state = self.shared_state(&entry.state);
        if !entry.names.is_empty() {
            self.statics.push((index, StaticEntry { r#type, state, names: entry.names }));
        } else if !names_unread {
            let config = (entry.config != crate::LifecycleConfig::default()).then_some(entry.config);
            let Entry { min_count, max_count, lifespan, needs, .. } = entry;
            self.dynamics.push((index, Lifecycle { r#type, state, min_count, max_count, lifespan, config, needs }));
        }
    }

    fn violate(&mut self, index: usize, place: &str, problem: Problem) {
        self.violations.push(Some(index), format!(".{index}{place}"), problem);
    }

    fn check_names(&mut self, index: usize, entry: &Entry) {
        for (at, name) in entry.names.iter().enumerate() {
            if let Err(problem) = check_name(name.as_str()) {
                // What is no text at all is noted already, and empty since then.
                let place = format!(".names.{at}");
                if !name.as_str().is_empty() || entry.flaws.iter().all(|flaw| flaw.place != place) {
                    self.violate(index, &format!("{place}({})", in_place(name.as_str())), problem);
                }
            }
        }
    }

    /// The type, sharing its text with the entry before if that has the same.
    fn shared_type(&self, text: &str) -> ResourceType {
        let before = self.statics.last().map(|(_, entry)| &entry.r#type);
        before.filter(|before| before.as_str() == text).cloned().unwrap_or_else(|| text.into())
    }

    /// The state, sharing its text with the entry before if that has the same.
    fn shared_state(&self, text: &str) -> State {
        let text = if text.is_empty() { state::FREE } else { text };
        let before = self.statics.last().map(|(_, entry)| &entry.state);
        before.filter(|before| before.as_str() == text).cloned().unwrap_or_else(|| text.into())
    }

    /// What all the entries come to.
    pub(super) fn finish(mut self) -> Result<(Config, Vec<Warning>), Violations> {
        if self.entries == 0 && self.violations.is_empty() {
            self.reject("", Problem::NoEntries);
        }
        self.check_duplicates();
        let mut warnings = Vec::new();
        self.drop_overruled(&mut warnings);
        self.check_needs();
        if !self.violations.is_empty() {
            self.violations.sort();
            return Err(self.violations);
        }
        let listed: HashSet<&ResourceType> = self.statics.iter().map(|(_, entry)| &entry.r#type).collect();
        for (_, lifecycle) in self.dynamics.iter().filter(|(_, lifecycle)| listed.contains(&lifecycle.r#type)) {
            warnings.push(Warning::StaticAndDynamic { r#type: lifecycle.r#type.clone() });
        }
        let lifecycles = self.dynamics.into_iter().map(|(_, lifecycle)| lifecycle).collect();
        Ok((Config { statics: joined(self.statics), lifecycles }, warnings))
    }

    fn check_duplicates(&mut self) {
        let statics = &self.statics;
        let name_at = |&(entry, name): &(u32, u32)| statics[entry as usize].1.names[name as usize].as_str();
        let place = |spot: &(u32, u32)| {
            let index = statics[spot.0 as usize].0;
            format!(".{index}.names.{}({})", spot.1, in_place(name_at(spot)))
        };
        let hasher = DefaultHashBuilder::default();
        // Places and not names: a million of them are eight megabytes.
        let count = statics.iter().map(|(_, entry)| entry.names.len()).sum();
        let mut seen: HashTable<(u32, u32)> = HashTable::with_capacity(count);
        for (at_entry, (index, entry)) in (0_u32..).zip(statics) {
            for (at_name, name) in (0_u32..).zip(&entry.names) {
                // Noted already.
                if name.as_str().is_empty() {
                    continue;
                }
                let spot = (at_entry, at_name);
                let found = seen.entry(
                    hasher.hash_one(name.as_str()),
                    |other| name_at(other) == name.as_str(),
                    |other| hasher.hash_one(name_at(other)),
                );
                match found {
                    hash_table::Entry::Vacant(vacant) => drop(vacant.insert(spot)),
                    hash_table::Entry::Occupied(first) => {
                        let problem = Problem::Duplicate { first: place(first.get()) };
                        self.violations.push(Some(*index), place(&spot), problem);
                    }
                }
            }
        }
    }

    /// Of two dynamic entries of one type the last counts.
    fn drop_overruled(&mut self, warnings: &mut Vec<Warning>) {
        let mut last: HashMap<ResourceType, usize> = HashMap::new();
        for (index, lifecycle) in &self.dynamics {
            match last.entry(lifecycle.r#type.clone()) {
                hash_map::Entry::Vacant(vacant) => drop(vacant.insert(*index)),
                hash_map::Entry::Occupied(mut first) => {
                    let overruled = first.insert(*index);
                    warnings.push(Warning::DynamicTwice {
                        r#type: lifecycle.r#type.clone(),
                        overruled,
                        counts: *index,
                    });
                }
            }
        }
        self.dynamics.retain(|(index, lifecycle)| last[&lifecycle.r#type] == *index);
    }

    /// Whether what the dynamic types need at their max-count is there at the most.
    fn check_needs(&mut self) {
        let mut needed: BTreeMap<ResourceType, (usize, u64)> = BTreeMap::new();
        let mut available: HashMap<&ResourceType, u64> = HashMap::new();
        for (index, lifecycle) in &self.dynamics {
            for (r#type, each) in &lifecycle.needs {
                let all = u64::from(*each) * u64::from(lifecycle.max_count);
                match needed.entry(r#type.clone()) {
                    btree_map::Entry::Vacant(vacant) => drop(vacant.insert((*index, all))),
                    btree_map::Entry::Occupied(mut sum) => sum.get_mut().1 = sum.get().1.saturating_add(all),
                }
            }
            *available.entry(&lifecycle.r#type).or_default() += u64::from(lifecycle.max_count);
        }
        for (_, entry) in &self.statics {
            *available.entry(&entry.r#type).or_default() += entry.names.len() as u64;
        }
        for (needed_type, (index, needed)) in needed {
            let place = format!(".{index}.needs.{}", in_place(needed_type.as_str()));
            let problem = match available.get(&needed_type) {
                _ if self.flawed.contains(&needed_type) => continue,
                None => Problem::UnknownNeed(needed_type),
                Some(&available) if needed > available => Problem::TooFew { needed_type, needed, available },
                Some(_) => continue,
            };
            self.violations.push(Some(index), place, problem);
        }
    }
}

/// The entries without their places; neighbours of one type and state become one, since a config
/// may have a line for each resource.
fn joined(entries: Vec<(usize, StaticEntry)>) -> Vec<StaticEntry> {
    let mut joined: Vec<StaticEntry> = Vec::new();
    for (_, mut entry) in entries {
        match joined.last_mut() {
            Some(last) if last.r#type == entry.r#type && last.state == entry.state => {
                last.names.append(&mut entry.names);
            }
            _ => joined.push(entry),
        }
    }
    joined
}

/// Whether `name` is an RFC 1123 subdomain.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let is_label = |label: &str| {
        let alphanumeric = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        let ends = [label.as_bytes().first(), label.as_bytes().last()];
        ends.iter().all(|end| end.is_some_and(alphanumeric))
            && label.bytes().all(|byte| byte == b'-' || alphanumeric(&byte))
    };
    if !name.split('.').all(is_label) {
        return Err(Problem::Name);
    }
    if name.len() > Config::MAX_NAME {
        return Err(Problem::LongName { characters: name.len() });
    }
    Ok(())
}
