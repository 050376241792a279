//! The soak finds what it is there to find, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

fn soak(args: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_soak")).args(args).output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output, text)
}

#[test]
fn planted_double_grant_fails_and_names_resource_and_both_holders() {
    let (output, text) = soak(&["--seconds=30", "--clients=60", "--plant-double-grant"]);
    assert!(!output.status.success(), "{text}");
    let found = text.lines().find(|line| line.starts_with("soak: VIOLATION")).unwrap_or_else(|| panic!("{text}"));
    let holders: BTreeSet<&str> =
        found.split([' ', ',', ';']).filter(|word| word.starts_with("soak-client-")).collect();
    assert!(found.contains("soak-slot-") && holders.len() >= 2, "{found}");
    assert!(!text.contains("nobody found it"), "{text}");
}

#[test]
fn short_soak_finds_nothing_and_everything_comes_back() {
    let (output, text) = soak(&["--seconds=10", "--clients=60"]);
    assert!(output.status.success(), "{text}");
    let kills = text.lines().find(|line| line.starts_with("kills")).unwrap_or_else(|| panic!("{text}"));
    assert!(!kills.contains(" 0 clients") && !kills.contains(" 0 daemons") && !kills.contains(" 0 times"), "{kills}");
}
