//! What the sequences play with: few types, names and owners, so that they meet.

use boskos_core::{
    Config, GoDuration, Lifecycle, Owner, Resource, ResourceName, ResourceType, State, StaticEntry,
    ranch::command::{Acquire, AcquireByState, Command, Filter, Release, Reset, Update, Watch},
};
use std::time::Duration;

use super::{dice::Dice, shelf::Shelf};
use crate::model;

pub(super) const KINDS: [&str; 4] = ["ta", "tb", "tc", "td"];
pub(super) const NAMES: [&str; 8] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"];
const STATES: [&str; 8] = ["free", "free", "dirty", "busy", "cleaning", "clean", "toBeDeleted", "tombstone"];
const OWNERS: [&str; 3] = ["alice", "bob", "carol"];
const IDS: [&str; 5] = ["i0", "i1", "i2", "i3", "i4"];
const SECOND: u64 = 1_000_000_000;

/// A config that can be edited.
#[derive(Clone, Debug, Default)]
pub(super) struct Plot {
    /// The type of each name that is listed.
    listed: [Option<usize>; NAMES.len()],
    entry_states: [usize; KINDS.len()],
    lives: [Option<Life>; KINDS.len()],
}

#[derive(Clone, Copy, Debug)]
struct Life {
    initial: usize,
    min: u32,
    max: u32,
    lifespan: Option<i64>,
}

const ENTRY_STATES: [&str; 4] = ["free", "dirty", "clean", "cleaning"];

impl Plot {
    pub(super) fn edit(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.below(2) {
            let kind = dice.below(KINDS.len());
            match dice.weighted(&[10, 4, 4, 6, 3, 1, 2]) {
                0 => self.listed[dice.below(NAMES.len())] = dice.chance(65).then_some(kind),
                1 => self.lives[kind] = Some(Life::thrown(dice)),
                2 => self.lives[kind] = None,
                3 => self.turn(kind, dice),
                4 => self.entry_states[kind] = dice.weighted(&[6, 2, 2, 1]),
                5 => *self = Self::default(),
                _ => {
                    self.lives[kind] = None;
                    self.listed.iter_mut().filter(|of| **of == Some(kind)).for_each(|of| *of = None);
                }
            }
        }
    }

    /// Static becomes dynamic, or the other way round.
    fn turn(&mut self, kind: usize, dice: &mut Dice) {
        if self.listed.contains(&Some(kind)) {
            self.listed.iter_mut().filter(|of| **of == Some(kind)).for_each(|of| *of = None);
            self.lives[kind] = Some(Life::thrown(dice));
        } else {
            self.lives[kind] = None;
            for of in self.listed.iter_mut().filter(|of| of.is_none()).take(1 + dice.below(3)) {
                *of = Some(kind);
            }
        }
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        for (kind, r#type) in KINDS.iter().enumerate() {
            let names = self.listed.iter().zip(NAMES).filter(|(of, _)| **of == Some(kind));
            let names: Vec<ResourceName> = names.map(|(_, name)| name.into()).collect();
            if !names.is_empty() {
                let state = ENTRY_STATES[self.entry_states[kind]].into();
                config.statics.push(StaticEntry { r#type: (*r#type).into(), state, names });
            }
            if let Some(life) = self.lives[kind] {
                config.lifecycles.push(Lifecycle {
                    state: ENTRY_STATES[life.initial].into(),
                    min_count: life.min,
                    max_count: life.max,
                    lifespan: life.lifespan.map(GoDuration::from_nanos),
                    ..Lifecycle::new((*r#type).into())
                });
            }
        }
        config
    }

    pub(super) fn lists(&self, name: &str, r#type: &str) -> bool {
        let listed = NAMES.iter().position(|other| *other == name).and_then(|name| self.listed[name]);
        listed.is_some_and(|kind| KINDS[kind] == r#type)
    }

    pub(super) fn states(&self) -> Vec<State> {
        let entries = (0..KINDS.len()).filter(|kind| self.listed.contains(&Some(*kind)));
        let entries = entries.map(|kind| self.entry_states[kind]);
        let initial = self.lives.iter().flatten().map(|life| life.initial);
        entries.chain(initial).map(|state| ENTRY_STATES[state].into()).collect()
    }

    /// The same in the model's words.
    pub(super) fn wanted(&self) -> model::Wanted {
        let listed = self.listed.iter().zip(NAMES);
        let listed = listed.filter_map(|(of, name)| Some((name, (*of)?)));
        let names = listed.map(|(name, kind)| {
            (name.to_owned(), KINDS[kind].to_owned(), ENTRY_STATES[self.entry_states[kind]].to_owned())
        });
        let lives = self.lives.iter().zip(KINDS).filter_map(|(life, kind)| {
            let life = (*life)?;
            Some(model::Life {
                kind: kind.to_owned(),
                initial: ENTRY_STATES[life.initial].to_owned(),
                min: life.min,
                max: life.max,
                lifespan: life.lifespan,
                draining: false,
            })
        });
        model::Wanted { names: names.collect(), lives: lives.collect() }
    }
}

impl Life {
    fn thrown(dice: &mut Dice) -> Self {
        let max = 1 + u32::try_from(dice.below(4)).expect("small");
        let min = u32::try_from(dice.below(3)).expect("small").min(max);
        let lifespan = dice.chance(60).then(|| i64::try_from(dice.throw() % (60 * SECOND)).expect("a minute"));
        Self { initial: dice.weighted(&[6, 3, 1, 1]), min, max, lifespan }
    }
}

fn kind(dice: &mut Dice) -> ResourceType {
    let kinds = ["ta", "tb", "tc", "td", "unknown"];
    kinds[dice.weighted(&[8, 8, 8, 8, 1])].into()
}

pub(super) fn state(dice: &mut Dice) -> State {
    (*dice.pick(&STATES)).into()
}

fn owner(dice: &mut Dice) -> Owner {
    (*dice.pick(&OWNERS)).into()
}

pub(super) fn wait(dice: &mut Dice) -> Duration {
    Duration::from_nanos(1 + dice.throw() % (50 * SECOND))
}

/// A resource that there is, with the chosen trait if any has it.
fn some<'a>(dice: &mut Dice, all: &'a [Resource], wanted: impl Fn(&Resource) -> bool) -> Option<&'a Resource> {
    let fitting: Vec<&Resource> = all.iter().filter(|resource| wanted(resource)).collect();
    match (fitting.is_empty(), all.is_empty()) {
        (false, _) => Some(*dice.pick(&fitting)),
        (true, false) => Some(dice.pick(all)),
        (true, true) => None,
    }
}

pub(super) fn acquire(dice: &mut Dice, shelf: &Shelf) -> Command {
    let all = shelf.resources();
    let known = if dice.chance(60) { some(dice, &all, |resource| resource.owner.is_none()) } else { None };
    let (r#type, state) = match known {
        Some(resource) if dice.chance(70) => (resource.r#type.clone(), resource.state.clone()),
        Some(resource) => (resource.r#type.clone(), "free".into()),
        None => (kind(dice), ["free", "dirty", "clean"][dice.weighted(&[8, 2, 1])].into()),
    };
    let dest = match state.as_str() {
        "toBeDeleted" if dice.chance(80) => "cleaning".into(),
        _ if dice.chance(80) => "busy".into(),
        _ => self::state(dice),
    };
    Command::Acquire(Acquire {
        r#type,
        state,
        dest,
        owner: owner(dice),
        request_id: dice.chance(75).then(|| (*dice.pick(&IDS)).to_owned()),
        wait: if dice.chance(45) { wait(dice) } else { Duration::ZERO },
    })
}

/// A command that names or searches resources.
pub(super) fn command(dice: &mut Dice, shelf: &Shelf) -> Command {
    let all = shelf.resources();
    match dice.weighted(&[30, 24, 8, 6, 8, 5]) {
        0 => acquire(dice, shelf),
        1 => release(dice, &all),
        2 => update(dice, &all),
        3 => by_state(dice, &all),
        4 => Command::Reset(reset(dice, &all)),
        _ => Command::Watch(Watch { filter: filter(dice, &all), since: None, wait: wait(dice) }),
    }
}

fn holder(dice: &mut Dice, resource: Option<&Resource>) -> Owner {
    match resource.and_then(|resource| resource.owner.clone()) {
        Some(owner) if dice.chance(93) => owner,
        _ => owner(dice),
    }
}

fn release(dice: &mut Dice, all: &[Resource]) -> Command {
    let resource = some(dice, all, |resource| resource.owner.is_some());
    let name = resource.filter(|_| dice.chance(97)).map_or("missing".into(), |resource| resource.name.clone());
    let current = resource.map_or("", |resource| resource.state.as_str());
    let dest = match current {
        "cleaning" if dice.chance(60) => "tombstone".into(),
        _ if dice.chance(50) => "free".into(),
        _ if dice.chance(30) => "dirty".into(),
        _ => state(dice),
    };
    Command::Release(Release { name, dest, owner: holder(dice, resource) })
}

fn update(dice: &mut Dice, all: &[Resource]) -> Command {
    let resource = some(dice, all, |resource| resource.owner.is_some());
    let name = resource.map_or("missing".into(), |resource| resource.name.clone());
    let current = resource.map_or("free".into(), |resource| resource.state.clone());
    let patch = (0..dice.below(3)).map(|_| {
        let text = [None, Some(String::new()), Some("x".to_owned()), Some("\"y\"".to_owned())];
        (["k1", "k2", "k3"][dice.below(3)].to_owned(), dice.pick(&text).clone())
    });
    let patch = patch.collect();
    let state = if dice.chance(92) { current } else { state(dice) };
    Command::Update(Update { name, owner: holder(dice, resource), state, patch })
}

fn by_state(dice: &mut Dice, all: &[Resource]) -> Command {
    let first = some(dice, all, |resource| resource.owner.is_none());
    let state = first.map_or("free".into(), |resource| resource.state.clone());
    let mut names: Vec<ResourceName> = first.map(|resource| resource.name.clone()).into_iter().collect();
    for resource in all {
        let fits = resource.owner.is_none() && resource.state == state;
        if !names.contains(&resource.name) && (fits && dice.chance(50) || dice.chance(3)) {
            names.push(resource.name.clone());
        }
    }
    if dice.chance(4) {
        names.push("missing".into());
    }
    names.reverse();
    let dest = if dice.chance(70) { "busy".into() } else { self::state(dice) };
    Command::AcquireByState(AcquireByState { state, dest, owner: owner(dice), names })
}

fn reset(dice: &mut Dice, all: &[Resource]) -> Reset {
    let resource = some(dice, all, |resource| resource.owner.is_some());
    let (r#type, from) =
        resource.map_or((kind(dice), "busy".into()), |resource| (resource.r#type.clone(), resource.state.clone()));
    let expire = match dice.below(5) {
        0 => 0,
        1 => -5,
        _ => i64::try_from(dice.throw() % (40 * SECOND)).expect("less than a minute"),
    };
    let dest = if dice.chance(60) { "dirty".into() } else { state(dice) };
    Reset { r#type, state: from, expire: GoDuration::from_nanos(expire), dest }
}

pub(super) fn filter(dice: &mut Dice, all: &[Resource]) -> Filter {
    let mut filter = Filter::default();
    if dice.chance(60) {
        filter.types = (0..=dice.below(2)).map(|_| kind(dice)).collect();
    }
    if dice.chance(70) {
        filter.states = (0..=dice.below(2)).map(|_| state(dice)).collect();
    }
    if dice.chance(40) {
        filter.owners = vec![dice.chance(50).then(|| owner(dice))];
    }
    if dice.chance(20)
        && let Some(resource) = some(dice, all, |_| true)
    {
        filter.states = vec![resource.state.clone()];
    }
    filter
}
