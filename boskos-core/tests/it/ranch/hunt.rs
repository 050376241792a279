//! Plays many sequences, and makes a failing one short.

use std::{
    cell::{Cell, RefCell},
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use super::{
    dice::{Dice, mix},
    tally::Tally,
};

/// What a player reports: the steps it took, in words, and why it gave up.
pub(super) type Outcome = Result<(), String>;

/// Plays the steps with these seeds.
pub(super) type Player = fn(world: u64, steps: &[u64], tally: &mut Tally, trace: &mut Trace) -> Outcome;

/// What happened, in words, if anybody wants to know.
pub(super) struct Trace(Option<Vec<String>>);

impl Trace {
    pub(super) fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(text());
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Plays `sequences` sequences of up to `length` steps each.
pub(super) fn hunt(what: &str, sequences: u64, length: usize, player: Player) -> Tally {
    keep_quiet_while_hunting();
    let first = number("BOSKOS_SEED");
    let sequences = number("BOSKOS_SEQUENCES").unwrap_or(if first.is_some() { 1 } else { sequences });
    let first = first.unwrap_or(1);
    let mut tally = Tally::default();
    for seed in first..first + sequences {
        let mut dice = Dice::new(mix(seed));
        let steps: Vec<u64> = (0..length).map(|_| dice.throw()).collect();
        if let Err(reason) = play(player, seed, &steps, &mut tally, &mut Trace(None)) {
            let steps = shorten(player, seed, steps, &reason);
            let mut trace = Trace(Some(Vec::new()));
            let shorter = play(player, seed, &steps, &mut Tally::default(), &mut trace).expect_err("it failed before");
            panic!(
                "{what}: BOSKOS_SEED={seed} fails: {reason}\nin {} steps: {shorter}\n{}",
                steps.len(),
                trace.0.expect("it was wanted").join("\n")
            );
        }
    }
    tally
}

fn play(player: Player, seed: u64, steps: &[u64], tally: &mut Tally, trace: &mut Trace) -> Outcome {
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| player(seed, steps, tally, trace)));
    QUIET.set(false);
    outcome.unwrap_or_else(|_| Err(LAST_WORDS.take()))
}

/// Leaves out steps as long as it fails without them, for a like reason.
fn shorten(player: Player, seed: u64, mut steps: Vec<u64>, reason: &str) -> Vec<u64> {
    let like = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).take(24).collect::<String>();
    let fails = |steps: &[u64]| {
        let outcome = play(player, seed, steps, &mut Tally::default(), &mut Trace(None));
        outcome.is_err_and(|other| like(&other) == like(reason))
    };
    let mut size = steps.len();
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let end = (at + size).min(steps.len());
            let mut fewer = steps.clone();
            fewer.drain(at..end);
            if fails(&fewer) {
                steps = fewer;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    steps
}

/// Panics in a sequence are caught and told once it is short: their own words are noise.
fn keep_quiet_while_hunting() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                LAST_WORDS.set(info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}
