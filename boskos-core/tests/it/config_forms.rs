//! The forms that configs come in, and the ways in which YAML can say one thing.

use boskos_core::{Config, ConfigError, Warning, config::Composite};
use proptest::prelude::*;

fn parse(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}")).0
}

/// The config on one line: static entries with their names, then lifecycles with their counts.
fn told(text: &str) -> String {
    let config = parse(text);
    let statics = config.statics.iter().map(|entry| {
        let names: Vec<_> = entry.names.iter().map(ToString::to_string).collect();
        format!("{}/{}={}", entry.r#type, entry.state, names.join(","))
    });
    let lifecycles = config.lifecycles.iter().map(|lifecycle| {
        format!("{}/{}:{}-{}", lifecycle.r#type, lifecycle.state, lifecycle.min_count, lifecycle.max_count)
    });
    statics.chain(lifecycles).collect::<Vec<_>>().join(" ")
}

fn syntax_error(text: &[u8]) -> (usize, usize, String) {
    match Config::parse(text) {
        Err(ConfigError::Syntax { line, column, reason }) => (line, column, reason),
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn configs_of_the_field_have_their_entries_and_names() {
    for (file, text, statics, lifecycles, names) in [
        ("dynamic", &include_bytes!("../configs/dynamic.yaml")[..], 1, 1, 2),
        ("k8s-infra", &include_bytes!("../configs/k8s-infra.yaml")[..], 5, 0, 240),
        ("legacy-array", &include_bytes!("../configs/legacy-array.json")[..], 2, 0, 72),
        // Two neighbours of one type, but in different states.
        ("legacy-lines", &include_bytes!("../configs/legacy-lines.json")[..], 3, 0, 3),
        ("openshift-ci", &include_bytes!("../configs/openshift-ci.yaml")[..], 25, 8, 6232),
    ] {
        let (config, warnings) = Config::parse(text).unwrap();
        assert_eq!(
            (config.statics.len(), config.lifecycles.len(), config.names().count()),
            (statics, lifecycles, names),
            "{file}"
        );
        assert_eq!(config.names_count(), names, "{file}");
        assert_eq!(warnings, [], "{file}");
    }
}

#[test]
fn dynamic_entry_has_all_its_fields() {
    let config = parse(include_str!("../configs/dynamic.yaml"));
    assert_eq!(
        serde_json::to_string(&config.lifecycles).unwrap(),
        r#"[{"type":"aws-cluster","state":"dirty","min-count":1,"max-count":2,"lifespan":172800000000000,"config":{"type":"AWSClusterCreator","content":"..."},"needs":{"aws-account":1}}]"#
    );
}

#[test]
fn entries_come_in_a_mapping_an_array_or_line_by_line() {
    for text in [
        "resources:\n- type: a\n  names: [x, u]\n- {type: b, state: dirty, max-count: 2}\n",
        "RESOURCES:\n- TYPE: a\n  Names: [x, u]\n- {tYPE: b, STATE: dirty, Max-Count: 2}\n",
        "- type: a\n  names: [x, u]\n- {type: b, state: dirty, max-count: 2}\n",
        "[{\"type\":\"a\",\"names\":[\"x\",\"u\"]},{\"type\":\"b\",\"state\":\"dirty\",\"max-count\":2}]",
        "{\"resources\":[{\"type\":\"a\",\"names\":[\"x\",\"u\"]},{\"type\":\"b\",\"state\":\"dirty\",\"max-count\":2}]}",
        "{\"type\":\"a\",\"names\":[\"x\",\"u\"]}\n{\"type\":\"b\",\"state\":\"dirty\",\"max-count\":2}\n",
        "\n# old\n  {\"type\":\"a\",\"name\":\"x\"}\n\n# more\n{\"name\":\"u\",\"type\":\"a\",\"owner\":\"\"}\r\n{\"type\":\"b\",\"state\":\"dirty\",\"max-count\":2}",
    ] {
        assert_eq!(told(text), "a/free=x,u b/dirty:0-2", "{text}");
    }
    assert_eq!(told("{\"type\":\"a\",\"name\":\"x\"}"), "a/free=x");
}

#[test]
fn a_single_name_means_something_on_a_line_of_its_own_only() {
    assert_eq!(told("resources: [{type: a, names: [x], name: [what, ever]}]"), "a/free=x");
}

#[test]
fn unknown_keys_are_ignored_and_the_last_of_a_key_counts() {
    let text = "
future: {resources: [1, {a: b}], ? [x] : u}
resources: [{type: bad}]
resources:
- type: [no text]
  colour: {deep: [blue, {er: 1}]}
  type: a
  names: [Bad]
  max-count: \"bad\"
  Max-Count: 0
  12: 13
  ? [a, key]
  : {and: its value}
  names: [x]
  NAMES: [u, z]
";
    assert_eq!(told(text), "a/free=u,z");
    assert_eq!(told("resources: [{type: d, max-count: 1, needs: {a: 9}, needs: null}]"), "d/free:0-1");
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "
base: &base {type: a, state: dirty}
more: &more {state: clean, max-count: 7}
names: &names [x1, &two x2]
resources:
- {<<: *base, names: *names}
- {<<: *base, state: used, names: [u]}
- {state: used, <<: *base, names: [z]}
- {<<: [*base, *more], type: b}
- <<: [{<<: *more, max-count: 8}, *base]
  type: c
- type: *two
  names: [v]
";
    assert_eq!(told(text), "a/dirty=x1,x2 a/used=u a/dirty=z x2/free=v b/dirty:0-7 c/clean:0-8");
    assert_eq!(
        told("resources: [&e {type: a, names: [x]}, {type: b, \"<<\": *e, max-count: 1}]"),
        "a/free=x b/free:0-1"
    );
}

#[test]
fn merge_keys_need_mappings() {
    for text in ["resources: [{<<: x}]", "resources: [{<<: [a]}]", "resources: [{<<: [{a: b}, [c]]}]"] {
        assert_eq!(syntax_error(text.as_bytes()).2, "the value of << must be a mapping or a list of mappings");
    }
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    // What is not looked at is not expanded.
    assert_eq!(told(&format!("{bomb}resources: [{{type: a, names: [x], skip: *a11}}]")), "a/free=x");
    let merges: String = (1..200).map(|at| format!("m{at}: &m{at} {{<<: [*m{}, *m{}]}}\n", at - 1, at - 1)).collect();
    let text = format!("m0: &m0 {{type: a}}\n{merges}resources: [{{<<: *m199}}]");
    assert_eq!(syntax_error(text.as_bytes()).2, "too many << within each other");
    let text = format!("m0: &m0 {{type: a}}\n{merges}resources: [{{<<: *m50}}]");
    assert_eq!(syntax_error(text.as_bytes()).2, "the aliases make too much of the document");
}

/// A config whose aliases make `scalars` more values than are allowed.
fn aliases_beyond_the_limit_by(scalars: usize) -> ConfigError {
    let list = "x, ".repeat(998);
    let lists = "*list, ".repeat(Config::MAX_ALIASED / 1_000);
    let one_by_one = "*one, ".repeat(scalars);
    let text = format!("list: &list [{list}]\none: &one x\nresources: [{{type: a, names: [{lists}{one_by_one}]}}]");
    Config::parse(text.as_bytes()).expect_err("lists are no names")
}

#[test]
fn as_many_values_as_are_allowed_may_come_from_aliases() {
    assert!(matches!(aliases_beyond_the_limit_by(0), ConfigError::Invalid(_)));
    let refused = aliases_beyond_the_limit_by(1);
    assert!(refused.to_string().ends_with("the aliases make too much of the document"), "{refused}");
}

#[test]
fn as_many_merges_within_each_other_as_are_allowed_are_read() {
    let nested = |depth: usize| {
        let text = format!("[{}type: a, names: [x]{}]", "{<<: ".repeat(depth) + "{", "}".repeat(depth + 1));
        Config::parse(text.as_bytes()).map(|(config, _)| config.names().count()).map_err(|error| error.to_string())
    };
    assert_eq!(nested(Config::MAX_MERGES), Ok(1));
    let refused = nested(Config::MAX_MERGES + 1).unwrap_err();
    assert!(refused.ends_with("too many << within each other"), "{refused}");
}

#[test]
fn an_anchor_within_itself_is_refused() {
    assert_eq!(syntax_error(b"resources: &a\n- type: b\n- *a\n"), (3, 3, "an anchor's value contains itself".into()));
}

#[test]
fn byte_order_mark_line_ends_and_comments_do_not_matter() {
    let text = "# head\n---\nresources: # here\n- type: a\n  names:\n  - x # no name\n  - u\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")] {
        assert_eq!(told(&text), "a/free=x,u", "{text:?}");
    }
}

#[test]
fn of_several_documents_the_first_is_read() {
    let text = "resources: [{type: a, names: [x]}]\n---\nresources: [{type: b, names: [Y]}]\n";
    let (config, warnings) = Config::parse(text.as_bytes()).unwrap();
    assert_eq!(config.names().count(), 1);
    assert_eq!(warnings, [Warning::MoreDocuments]);
    assert_eq!(warnings[0].to_string(), "only the first YAML document is read, but another one follows");
    assert_eq!(Config::parse(b"---\nresources: [{type: a, names: [x]}]\n...\n").unwrap().1, []);
}

#[test]
fn a_bad_document_says_where() {
    for (text, line, column) in [
        (&b"resources:\n- type: a\n  names:\n\t- x\n"[..], 4, 2),
        (b"resources: [{type: a}]\n}", 2, 1),
        (b"resources: *nowhere", 1, 12),
        (b"resources: [{type: a", 1, 21),
        (b"resources:\n- type: \"a", 2, 9),
        (b"resources:\n- type: \xff", 2, 9),
        (b"resources:\n- type: \xc3\xa9\0", 2, 10),
        (b"{\"type\":\"a\",\"name\":\"x\"}\n{\"type\":\"a\",\n", 2, 13),
        (b"{\"type\":\"a\",\"name\":\"x\"}\n{\"type\":\"a\",\"name\":\"u\"} x\n", 2, 25),
        (b"{\"type\":\"a\",\"name\":\"x\"}\n{\"type\":\"a\",\"name\":\"u\"}\r---\r{}\n", 2, 1),
    ] {
        let (found_line, found_column, reason) = syntax_error(text);
        let shown = String::from_utf8_lossy(text);
        assert_eq!((found_line, found_column), (line, column), "{shown:?}: {reason}");
        let told = Config::parse(text).expect_err("refused above").to_string();
        assert_eq!(told, format!("line {line}, column {column}: {reason}"));
    }
}

#[test]
fn a_text_beyond_the_limit_is_not_read() {
    let text = vec![b' '; Config::MAX_BYTES + 1];
    assert_eq!(
        Config::parse(&text).unwrap_err().to_string(),
        "268435457 bytes are too much: at most 268435456 are read"
    );
    assert_eq!(Composite::parse_all(&text).unwrap_err(), ConfigError::TooLong { bytes: Config::MAX_BYTES + 1 });
}

#[test]
fn a_text_at_the_limit_is_read() {
    let mut text = vec![0; Config::MAX_BYTES];
    text[0] = 0xff;
    let refused = "line 1, column 1: not UTF-8";
    assert_eq!(Config::parse(&text).unwrap_err().to_string(), refused);
    assert_eq!(Composite::parse_all(&text).unwrap_err().to_string(), refused);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&bytes);
    }

    #[test]
    fn anything_like_a_config_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(vec![
            "resources", "type", "names", "max-count", "needs", "config", "lifespan", ":", ": ", "- ", "\n", "\n  ",
            "\n- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "<<: *a", "!!int ", "\"", "'", "|", ">", "? ", "#",
            "---\n", "...\n", "x", "1", "1e9", "null", "\t", "\r", "é", "%", "@", "\\",
        ]), 0..60)
    ) {
        let _ = Config::parse(parts.concat().as_bytes());
    }

    #[test]
    fn a_config_cut_anywhere_is_read_or_refused(cut in 0..311_usize) {
        let _ = Config::parse(&include_bytes!("../configs/dynamic.yaml")[..cut]);
    }
}
