//! The rules of a config.

use boskos_core::{Config, ConfigError, Warning, config::Violations};

fn violations(text: &str) -> Violations {
    match Config::parse(text.as_bytes()) {
        Err(ConfigError::Invalid(violations)) => violations,
        other => panic!("{text:?} gave {other:?}"),
    }
}

fn assert_violations(text: &str, expected: &[&str]) {
    let found: Vec<_> = violations(text).listed().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{text}");
}

fn assert_accepted(text: &str) -> (Config, Vec<Warning>) {
    Config::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

const NAME: &str = "is invalid: a name has lower case letters, digits, '-' and '.', with a letter or digit on either side of each '.' and at both ends";

#[test]
fn at_least_one_entry() {
    for text in ["", "\n", "# nothing\n", "---\n", "{}", "null", "[]", "resources:", "resources: []", "other: 1"] {
        assert_violations(text, &["empty config: at least one entry is needed"]);
    }
}

#[test]
fn an_entry_by_itself_is_one_only_if_it_is_a_line_in_braces() {
    for text in ["{\"type\":\"a\",\n\"names\":[\"x\"]}", "type: {a: b}", "type: a\nnames: [x]", "{names: [x]} # x"] {
        assert_violations(text, &["empty config: at least one entry is needed"]);
    }
}

#[test]
fn entries_are_a_list_of_mappings() {
    assert_violations("resources: {a: b}", &[".resources: must be a list, is a mapping"]);
    assert_violations("text", &["must be a mapping with the key resources, or a list, is text"]);
    assert_violations(
        "[null, 3, [x], {type: a, names: [x]}, text]",
        &[
            ".0: must be a mapping, is null",
            ".1: must be a mapping, is an integer",
            ".2: must be a mapping, is a list",
            ".4: must be a mapping, is text",
        ],
    );
}

#[test]
fn type_is_set() {
    for entry in ["names: [x]", "max-count: 1", "names: [x], type: null", "names: [x], type: \"\""] {
        assert_violations(&format!("resources: [{{{entry}}}]"), &[".0.type: must be set"]);
    }
    assert_violations("resources: [{type: [a], names: [x]}]", &[".0.type: must be text, is a list"]);
}

#[test]
fn dynamic_entry_has_a_maximum_not_below_the_minimum() {
    for entry in ["type: a", "type: a, names: []", "type: a, names: null", "type: a, max-count: 0"] {
        assert_violations(&format!("resources: [{{{entry}}}]"), &[".0.max-count: must be >0"]);
    }
    assert_violations(
        "resources: [{type: a, min-count: 3, max-count: 2}, {type: b, min-count: 1}]",
        &[
            ".0.min-count: must be <= max-count, but 3 > 2",
            ".1.max-count: must be >0",
            ".1.min-count: must be <= max-count, but 1 > 0",
        ],
    );
    assert_accepted("resources: [{type: a, min-count: 2, max-count: 2}]");
}

#[test]
fn static_entry_has_no_counts() {
    assert_violations(
        "resources: [{type: a, names: [x], min-count: 1, max-count: 2}]",
        &[".0.min-count: must not be set where there are names", ".0.max-count: must not be set where there are names"],
    );
    assert_accepted("resources: [{type: a, names: [x], min-count: 0, max-count: null}]");
}

#[test]
fn names_are_rfc_1123_subdomains() {
    for name in ["10.1.178.14", "a", "0", "a-b.c--d.9", "4f2b--x"] {
        assert_accepted(&format!("resources: [{{type: a, names: [\"{name}\"]}}]"));
    }
    for name in ["Foo", "", "-a", "a-", "a..b", ".a", "a.", "a_b", "a b", "é", "a.-b", "a-.b", "x/u"] {
        assert_violations(
            &format!("resources: [{{type: a, names: [ok, \"{name}\"]}}]"),
            &[&format!(".0.names.1({name}): {NAME}")],
        );
    }
    assert_violations(
        "resources: [{type: a, names: [[x], null, {u: z}]}]",
        &[
            &format!(".0.names.1(): {NAME}"),
            ".0.names.0: must be text, is a list",
            ".0.names.2: must be text, is a mapping",
        ],
    );
    assert_violations("resources: [{type: a, names: x}]", &[".0.names: must be a list, is text"]);
}

#[test]
fn names_have_at_most_253_characters() {
    let longest = "a".repeat(253);
    assert_accepted(&format!("resources: [{{type: a, names: [{longest}]}}]"));
    let problem = format!(".0.names.0({longest}…): is invalid: a name has at most 253 characters, not 254");
    assert_violations(&format!("resources: [{{type: a, names: [a{longest}]}}]"), &[&problem]);
}

#[test]
fn control_characters_do_not_reach_the_report() {
    assert_violations(
        r#"resources: [{type: a, names: ["a\nb\e"]}]"#,
        &[&format!(".0.names.0(a\\nb\\u{{1b}}): {NAME}")],
    );
}

#[test]
fn names_are_unique_across_the_file() {
    assert_violations(
        "resources: [{type: a, names: [x, u, x]}, {type: d, max-count: 1}, {type: b, names: [z, u, x]}]",
        &[
            ".0.names.2(x): is a duplicate of .0.names.0(x)",
            ".2.names.1(u): is a duplicate of .0.names.1(u)",
            ".2.names.2(x): is a duplicate of .0.names.0(x)",
        ],
    );
    assert_violations(
        "{\"type\":\"a\",\"name\":\"x\"}\n{\"type\":\"a\",\"name\":\"x\"}\n",
        &[".1.names.0(x): is a duplicate of .0.names.0(x)"],
    );
}

#[test]
fn what_is_needed_exists_and_suffices() {
    let config = |needs: &str| {
        format!(
            "resources:
- {{type: account, names: [a, b]}}
- {{type: account, state: dirty, names: [c]}}
- {{type: project, max-count: 4, min-count: 1}}
- {{type: cluster, max-count: 2, needs: {needs}}}
- {{type: other, max-count: 1, needs: {{account: 1}}}}
"
        )
    };
    assert_accepted(&config("{account: 1, project: 2}"));
    assert_violations(
        &config("{account: 2, project: 3, nothing: 0}"),
        &[
            ".3.needs.account: not enough resource of type account for provisioning: 5 needed in all, 3 at most",
            ".3.needs.nothing: need for resource nothing that does not exist",
            ".3.needs.project: not enough resource of type project for provisioning: 6 needed in all, 4 at most",
        ],
    );
    assert_violations(
        &config("{account: \"1\", project: -1, nothing: [x]}"),
        &[
            ".3.needs.account: must be an integer, is text",
            ".3.needs.project: must be a count from 0 to 4294967295, is -1",
            ".3.needs.nothing: must be an integer, is a list",
            ".3.needs.nothing: need for resource nothing that does not exist",
        ],
    );
    assert_violations(&config("[account]"), &[".3.needs: must be a mapping, is a list"]);
}

#[test]
fn sums_of_needs_do_not_overflow() {
    let needy: String =
        (0..3).map(|at| format!("- {{type: t{at}, max-count: 4294967295, needs: {{a: 4294967295}}}}\n")).collect();
    assert_violations(
        &format!("{needy}- {{type: a, names: [x]}}\n"),
        &[".0.needs.a: not enough resource of type a for provisioning: 18446744073709551615 needed in all, 1 at most"],
    );
}

#[test]
fn a_flaw_is_not_reported_twice_over() {
    // A maximum that cannot be read is not also too low, for itself or for those that need it.
    assert_violations(
        "resources: [{type: a, min-count: 1, max-count: \"3\"}, {type: b, max-count: 1, needs: {a: 3}}]",
        &[".0.max-count: must be an integer, is text"],
    );
}

#[test]
fn config_is_a_mapping_of_text() {
    let (config, _) =
        assert_accepted("resources: [{type: a, max-count: 1, config: {TYPE: 5, Content: 0x10, more: [1]}}]");
    let found = config.lifecycles[0].config.as_ref().unwrap();
    assert_eq!((found.r#type.as_str(), found.content.as_str()), ("5", "16"));
    for none in ["null", "{}", "{type: null}"] {
        let (config, _) = assert_accepted(&format!("resources: [{{type: a, max-count: 1, config: {none}}}]"));
        assert_eq!(config.lifecycles[0].config, None);
    }
    assert_violations(
        "resources: [{type: a, max-count: 1, config: {type: [x], content: {u: z}}}, {type: b, max-count: 1, config: x}]",
        &[
            ".0.config.type: must be text, is a list",
            ".0.config.content: must be text, is a mapping",
            ".1.config: must be a mapping, is text",
        ],
    );
}

#[test]
fn everything_wrong_is_said_at_once_in_the_order_of_entries() {
    let text = "
resources:
- {type: a, names: [x, Foo]}
- {type: d, min-count: 5, max-count: 1, needs: {none: 1}}
- {names: [x]}
";
    assert_eq!(
        violations(text).to_string(),
        format!(
            ".0.names.1(Foo): {NAME}
.1.min-count: must be <= max-count, but 5 > 1
.1.needs.none: need for resource none that does not exist
.2.type: must be set
.2.names.0(x): is a duplicate of .0.names.0(x)"
        )
    );
}

#[test]
fn endless_violations_are_counted() {
    let names = "X, ".repeat(Config::MAX_VIOLATIONS + 5);
    let found = violations(&format!("[{{type: a, names: [{names}]}}]"));
    assert_eq!(found.listed().len(), Config::MAX_VIOLATIONS);
    // Each is a bad name, and each but the first a duplicate.
    assert_eq!(found.unlisted(), Config::MAX_VIOLATIONS + 9);
    assert!(found.to_string().ends_with("\nand 10009 more"));
}

#[test]
fn a_flaw_beyond_those_that_are_listed_is_not_reported_twice_over() {
    let names: String = (0..Config::MAX_VIOLATIONS).map(|number| format!("X{number}, ")).collect();
    let flawed = "{type: b, max-count: none}, {type: c, max-count: 1, needs: {b: 1}}";
    let found = violations(&format!("[{{type: a, names: [{names}]}}, {flawed}]"));
    assert_eq!((found.listed().len(), found.unlisted()), (Config::MAX_VIOLATIONS, 1));
}

#[test]
fn static_entries_of_one_type_add_up() {
    let (config, warnings) = assert_accepted(
        "[{type: a, names: [x]}, {type: a, names: [u]}, {type: a, state: dirty, names: [z]}, {type: b, names: [w]}]",
    );
    let names: Vec<_> = config.names().map(|(name, r#type, state)| format!("{name}:{type}:{state}")).collect();
    assert_eq!(names, ["x:a:free", "u:a:free", "z:a:dirty", "w:b:free"]);
    assert_eq!(warnings, []);
}

#[test]
fn a_type_may_be_static_and_dynamic_with_a_warning() {
    let (config, warnings) = assert_accepted("[{type: a, names: [x]}, {type: a, max-count: 1}]");
    assert_eq!((config.statics.len(), config.lifecycles.len()), (1, 1));
    assert_eq!(warnings, [Warning::StaticAndDynamic { r#type: "a".into() }]);
    let text = "type \"a\" is static and dynamic: its listed names are exempt from min, max and expiry";
    assert_eq!(warnings[0].to_string(), text);
}

#[test]
fn of_two_dynamic_entries_the_last_counts_with_a_warning() {
    let (config, warnings) = assert_accepted(
        "[{type: a, max-count: 9, needs: {none: 1}}, {type: b, max-count: 1}, {type: a, state: dirty, max-count: 2}]",
    );
    let found: Vec<_> = config.lifecycles.iter().map(|found| (found.r#type.as_str(), found.max_count)).collect();
    assert_eq!(found, [("b", 1), ("a", 2)]);
    assert_eq!(warnings, [Warning::DynamicTwice { r#type: "a".into(), overruled: 0, counts: 2 }]);
    assert_eq!(warnings[0].to_string(), "type \"a\" has two dynamic entries: .2 counts, .0 does not");
}
