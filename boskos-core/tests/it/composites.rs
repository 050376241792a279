//! Composite types in the configs of older masons.

use boskos_core::{
    ConfigError,
    config::{Composite, Violations},
};

fn parse(text: &str) -> Vec<Composite> {
    Composite::parse_all(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The composites in short: name, needs and config.
fn told(text: &str) -> Vec<String> {
    let shown =
        |one: &Composite| format!("{} of {:?} by {} {}", one.name, one.needs, one.config.r#type, one.config.content);
    parse(text).iter().map(shown).collect()
}

fn violations(text: &str) -> Violations {
    match Composite::parse_all(text.as_bytes()) {
        Err(ConfigError::Invalid(violations)) => violations,
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn composites_are_listed_under_configs() {
    for text in [
        "configs: [{name: c, needs: {a: 1, b: 2}, config: {type: x, content: text}}, {name: d}]",
        "other: 1\nCONFIGS:\n- NAME: c\n  needs: {a: 1, b: 2}\n  config: {type: x, content: text}\n- name: d\n  more: [1]",
        "resources: [1]\nconfigs: [{name: bad}, [no entry]]\nconfigs: [{name: c, needs: {a: 1, b: 2}, config: {type: x, content: text}}, {name: d}]",
    ] {
        assert_eq!(told(text), [r#"c of {"a": 1, "b": 2} by x text"#, "d of {} by  "], "{text}");
    }
}

#[test]
fn no_composites_are_none() {
    for text in ["", "# nothing", "null", "{}", "configs:", "configs: []", "other: [1]"] {
        assert_eq!(parse(text), [], "{text:?}");
    }
}

#[test]
fn what_an_entry_says_of_resources_is_no_concern_of_a_mason() {
    assert_eq!(told("configs: [{name: c, names: x, max-count: none, lifespan: [1]}]"), ["c of {} by  "]);
    assert_eq!(told("configs: [{needs: {a: 1}}]"), [r#" of {"a": 1} by  "#]);
}

#[test]
fn every_place_of_another_shape_is_told() {
    for (text, told) in [
        ("[]", "must be a mapping with the key configs, is a list"),
        ("text", "must be a mapping with the key configs, is text"),
        ("configs: {a: b}", ".configs: must be a list, is a mapping"),
        (
            "configs: [{name: [c]}, {name: c}, text, {name: d, needs: [a]}, {name: e, config: x}]",
            ".0.name: must be text, is a list\n.2: must be a mapping, is text\n.3.needs: must be a mapping, is a list\n\
             .4.config: must be a mapping, is text",
        ),
    ] {
        assert_eq!(violations(text).to_string(), told, "{text}");
    }
}

#[test]
fn a_servers_config_is_told_apart() {
    let told = violations("resources: [{type: a, names: [x]}]").to_string();
    assert!(told.starts_with("has the key resources, as a server's config has, and not the key configs"), "{told}");
}

#[test]
fn what_is_no_yaml_is_refused() {
    for text in ["configs: [", "configs: []\n}", "configs: [{name: c}]\n\u{1}"] {
        let refused = Composite::parse_all(text.as_bytes());
        assert!(matches!(refused, Err(ConfigError::Syntax { .. })), "{text:?} gave {refused:?}");
    }
}
