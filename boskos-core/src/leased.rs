//! What a composite resource was made of: the user data key that mason and the cleaner share.

// serde_yaml is archived: this is the only module that uses it.
use serde_yaml::Value;

use crate::{ResourceName, config::scalar, go_json};

/// The user data key.
pub const LEASED_RESOURCES: &str = "leasedResources";

/// Why the text at [`LEASED_RESOURCES`] names no resources.
#[derive(Debug, thiserror::Error)]
pub enum LeasedError {
    /// Not YAML. The parser's own words would quote it, and user data may be secret.
    #[error("not YAML")]
    Yaml,
    /// YAML, but neither a list nor null.
    #[error("not a list of names")]
    NotAList,
    /// A list with something in it that is no name.
    #[error("item {index} of the list is not a name")]
    NotAName {
        /// Which item, from 0.
        index: usize,
    },
}

/// The names in the text at [`LEASED_RESOURCES`]: none if there is no text, or none in it.
///
/// # Errors
///
/// If the text is anything but a YAML list of names or null.
pub fn leased_resources(text: Option<&str>) -> Result<Vec<ResourceName>, LeasedError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    match serde_yaml::from_str(text).map_err(|_| LeasedError::Yaml)? {
        Value::Null => Ok(Vec::new()),
        Value::Sequence(items) => items.into_iter().enumerate().map(|(index, item)| name(index, item)).collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Mapping(_) | Value::Tagged(_) => {
            Err(LeasedError::NotAList)
        }
    }
}

fn name(index: usize, item: Value) -> Result<ResourceName, LeasedError> {
    match item {
        Value::String(name) if !name.is_empty() => Ok(name.into()),
        // Written by hand without quotes.
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => Ok(scalar::float_text(float).into()),
            None => Ok(number.to_string().into()),
        },
        Value::Bool(value) => Ok(value.to_string().into()),
        Value::String(_) | Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
            Err(LeasedError::NotAName { index })
        }
    }
}

/// The text for [`LEASED_RESOURCES`]: a YAML list, `null` if there are no names.
///
/// Names that YAML could take for anything else are quoted, so that every reader of YAML 1.1 or
/// 1.2 gets the same ones back.
#[must_use]
pub fn format_leased(names: &[ResourceName]) -> String {
    if names.is_empty() {
        return "null\n".to_owned();
    }
    let mut out = String::new();
    for name in names {
        let name = name.as_str();
        let is_simple = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        out.push_str("- ");
        if is_simple && !name.starts_with('-') && scalar::is_text_when_plain(name) {
            out.push_str(name);
        } else {
            go_json::push_string(&mut out, name);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{format_leased, leased_resources};
    use crate::ResourceName;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let names = leased_resources(Some(text)).map_err(|error| error.to_string())?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    fn names(texts: &[&str]) -> Vec<ResourceName> {
        texts.iter().map(|text| ResourceName::from(*text)).collect()
    }

    #[test]
    fn reads_lists_and_their_absence() {
        assert_eq!(leased_resources(None).unwrap(), []);
        for nothing in ["", " \n", "null", "null\n", "~", "[]\n", "---\n"] {
            assert_eq!(read(nothing), Ok(vec![]), "{nothing:?}");
        }
        assert_eq!(read("- account2\n"), Ok(vec!["account2".into()]));
        assert_eq!(read("[\"a\", b, 10.1.178.14]"), Ok(vec!["a".into(), "b".into(), "10.1.178.14".into()]));
    }

    #[test]
    fn unquoted_numbers_are_names() {
        let expected = ["123456789012", "1.1", "18446744073709551615", "-5", "true"].map(String::from);
        assert_eq!(read("[123456789012, 1.10, 18446744073709551615, -5, true]"), Ok(expected.to_vec()));
    }

    #[test]
    fn refuses_what_names_nothing() {
        for not_a_list in ["account2", "{a: b}", "12"] {
            assert_eq!(read(not_a_list), Err("not a list of names".into()), "{not_a_list}");
        }
        for not_a_name in ["[a, [b]]", "[a, null]", "[a, {b: c}]", "[a, \"\"]"] {
            assert_eq!(read(not_a_name), Err("item 1 of the list is not a name".into()), "{not_a_name}");
        }
        // A parser quotes what it cannot read, and that may be secret.
        for not_yaml in ["- 'a", "[c4n4ry", "- &c4n4ry *c4n4ry2", "c4n4ry: c4n4ry: c4n4ry"] {
            assert_eq!(read(not_yaml), Err("not YAML".into()), "{not_yaml}");
        }
    }

    #[test]
    fn writes_what_existing_clients_write() {
        assert_eq!(format_leased(&[]), "null\n");
        assert_eq!(format_leased(&names(&["account2"])), "- account2\n");
        assert_eq!(
            format_leased(&names(&["a", "123", "010", "yes", "1.10", "10.1.178.14", "1e3", "y", "null", "2001-01-01"])),
            "- a\n- \"123\"\n- \"010\"\n- \"yes\"\n- \"1.10\"\n- 10.1.178.14\n- \"1e3\"\n- \"y\"\n- \"null\"\n- \"2001-01-01\"\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(texts in prop::collection::vec("[a-z0-9.-]{1,12}|[ -~é\n\t]{1,12}", 0..6)) {
            let names: Vec<_> = texts.iter().map(|text| ResourceName::from(text.as_str())).collect();
            prop_assert_eq!(leased_resources(Some(&format_leased(&names))).unwrap(), names);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|[-a1: \\[\\]{},&*\"'|>\n]{0,40}") {
            let _ = leased_resources(Some(&text));
        }
    }
}
