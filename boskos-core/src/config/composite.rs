//! Composite types as the configs of older masons list them: under `configs`, apart from the resources.

use std::collections::BTreeMap;

use crate::{LifecycleConfig, ResourceType};

use super::{
    Config, ConfigError,
    entry::{Entry, Field, read_mapping},
    events::{Event, Reader, SyntaxError},
    readable,
    scalar::Scalar,
    violation::{Problem, Violations},
};

/// The key of the entries.
const CONFIGS: &str = "configs";

/// The key of a server's config, which is often taken for one of these.
const RESOURCES: &str = "resources";

/// How the resources of one type are made of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    /// The type that is made.
    pub name: ResourceType,
    /// How many resources of other types one of them is made of.
    pub needs: BTreeMap<ResourceType, u32>,
    /// What makes it, and what that goes by.
    pub config: LifecycleConfig,
}

impl Composite {
    /// Reads a mapping with the key `configs`, as leniently as [`Config::parse`]. What an entry leaves out is empty.
    ///
    /// # Errors
    ///
    /// If the text is too long, no YAML, or of another shape; then with every place that is.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, ConfigError> {
        if text.len() > Config::MAX_BYTES {
            return Err(ConfigError::TooLong { bytes: text.len() });
        }
        let (mut all, mut violations) = (Vec::new(), Violations::new());
        if let Some(mut reader) = Reader::new(readable(text)?)? {
            read_document(&mut reader, &mut all, &mut violations)?;
            reader.finish()?;
        }
        if violations.is_empty() { Ok(all) } else { Err(violations.into()) }
    }

    /// The entry at `index`, and what is wrong with it.
    fn of_entry(entry: Entry, index: usize, violations: &mut Violations) -> Self {
        for flaw in entry.flaws {
            if matches!(flaw.field, Field::Name | Field::Needs | Field::Config) {
                violations.push(Some(index), format!(".{index}{}", flaw.place), flaw.problem);
            }
        }
        let name = entry.name.map_or_else(|| "".into(), |name| name.as_str().into());
        Self { name, needs: entry.needs, config: entry.config }
    }
}

fn read_document(
    reader: &mut Reader<'_>,
    all: &mut Vec<Composite>,
    violations: &mut Violations,
) -> Result<(), SyntaxError> {
    match reader.next()? {
        Event::MappingStart => {
            let (mut has_configs, mut has_resources) = (false, false);
            read_mapping(reader, &mut |reader, key| {
                let value = reader.next()?;
                let key = key.into_text();
                let is = |name: &str| key.as_ref().is_some_and(|key| key.eq_ignore_ascii_case(name));
                has_resources |= is(RESOURCES);
                if !is(CONFIGS) {
                    return reader.skip(&value);
                }
                has_configs = true;
                // Of a key that comes twice the last counts.
                all.clear();
                *violations = Violations::new();
                read_entries(reader, &value, all, violations)
            })?;
            if has_resources && !has_configs {
                violations.push(None, String::new(), Problem::NotComposites);
            }
            Ok(())
        }
        Event::Scalar(Scalar::Null) => Ok(()),
        other => {
            let problem = Problem::Kind { expected: "a mapping with the key configs", found: other.kind() };
            violations.push(None, String::new(), problem);
            reader.skip(&other)
        }
    }
}

fn read_entries(
    reader: &mut Reader<'_>,
    value: &Event<'_>,
    all: &mut Vec<Composite>,
    violations: &mut Violations,
) -> Result<(), SyntaxError> {
    match value {
        Event::SequenceStart => {}
        Event::Scalar(Scalar::Null) => return Ok(()),
        other => {
            let problem = Problem::Kind { expected: "a list", found: other.kind() };
            violations.push(None, format!(".{CONFIGS}"), problem);
            return reader.skip(other);
        }
    }
    for index in 0.. {
        match reader.next()? {
            Event::SequenceEnd => break,
            Event::MappingStart => all.push(Composite::of_entry(Entry::read(reader)?, index, violations)),
            other => {
                let problem = Problem::Kind { expected: "a mapping", found: other.kind() };
                violations.push(Some(index), format!(".{index}"), problem);
                reader.skip(&other)?;
            }
        }
    }
    Ok(())
}
