//! What an operator wants there to be: static resources by name, dynamic ones by lifecycle.

mod check;
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not due at a place is refused, whatever it is")]
mod composite;
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not due at a place is refused, whatever it is")]
mod document;
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not due at a place is refused, whatever it is")]
mod entry;
#[expect(clippy::wildcard_enum_match_arm, reason = "of the parser's events few matter at any place")]
mod events;
pub(crate) mod scalar;
mod violation;

use std::{fmt, str};

use crate::{Lifecycle, ResourceName, ResourceType, State};

use self::{
    check::Checker,
    events::{Reader, SyntaxError},
};

pub use self::composite::Composite;
pub use self::violation::{ConfigError, Problem, Violation, Violations};

/// A config that keeps all the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The resources that are listed by name. A type may have several entries; no name is in two.
    pub statics: Vec<StaticEntry>,
    /// The dynamic types, one lifecycle each.
    pub lifecycles: Vec<Lifecycle>,
}

/// Resources of one type that begin in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticEntry {
    /// Their type.
    pub r#type: ResourceType,
    /// The state in which new ones begin.
    pub state: State,
    /// Their names, in the order of the config.
    pub names: Vec<ResourceName>,
}

/// Something in a config that is accepted, but may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A type has names and a lifecycle.
    StaticAndDynamic {
        /// The type.
        r#type: ResourceType,
    },
    /// A type has two dynamic entries, of which the last counts.
    DynamicTwice {
        /// The type.
        r#type: ResourceType,
        /// The entry that does not count, from 0.
        overruled: usize,
        /// The entry that does, from 0.
        counts: usize,
    },
    /// Another YAML document follows, which is not read.
    MoreDocuments,
}

// === impl Config ===

impl Config {
    /// The longest text that is read: about eight million names.
    pub const MAX_BYTES: usize = 256 << 20;
    /// The most characters of a name.
    pub const MAX_NAME: usize = 253;
    /// The most violations that are listed; further ones are counted.
    pub const MAX_VIOLATIONS: usize = 10_000;
    /// The most values, brackets counted, that aliases and `<<` may bring in.
    pub const MAX_ALIASED: usize = 1_000_000;
    /// The most `<<` within each other.
    pub const MAX_MERGES: usize = 64;

    /// Reads a config: YAML with the key `resources`, a list of entries, or one JSON entry or
    /// resource per line.
    ///
    /// # Errors
    ///
    /// If the text is too long or no YAML; else with everything that is against the rules.
    pub fn parse(text: &[u8]) -> Result<(Self, Vec<Warning>), ConfigError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ConfigError::TooLong { bytes: text.len() });
        }
        let text = readable(text)?;
        let mut checker = Checker::new();
        let mut more_documents = false;
        if document::is_entry_per_line(text) {
            document::read_lines(text, &mut checker)?;
        } else if let Some(mut reader) = Reader::new(text)? {
            document::read_document(&mut reader, &mut checker)?;
            more_documents = reader.finish()?;
        }
        let (config, mut warnings) = checker.finish()?;
        warnings.extend(more_documents.then_some(Warning::MoreDocuments));
        Ok((config, warnings))
    }

    /// Every listed name with its type and the state in which it begins.
    pub fn names(&self) -> impl Iterator<Item = (&ResourceName, &ResourceType, &State)> {
        self.statics.iter().flat_map(|entry| entry.names.iter().map(|name| (name, &entry.r#type, &entry.state)))
    }

    /// How many names are listed.
    #[must_use]
    pub fn names_count(&self) -> usize {
        self.statics.iter().map(|entry| entry.names.len()).sum()
    }
}

impl From<SyntaxError> for ConfigError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax { line: error.line, column: error.column, reason: error.reason.into_owned() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaticAndDynamic { r#type } => {
                write!(
                    f,
                    "type {:?} is static and dynamic: its listed names are exempt from min, max and expiry",
                    r#type
                )
            }
            Self::DynamicTwice { r#type, overruled, counts } => {
                write!(f, "type {:?} has two dynamic entries: .{counts} counts, .{overruled} does not", r#type)
            }
            Self::MoreDocuments => f.write_str("only the first YAML document is read, but another one follows"),
        }
    }
}

/// The text without a byte order mark, if it is text that YAML allows.
fn readable(bytes: &[u8]) -> Result<&str, ConfigError> {
    let error_at = |end: usize, reason: &str| {
        let before = String::from_utf8_lossy(&bytes[..end]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
        ConfigError::Syntax { line, column, reason: reason.to_owned() }
    };
    let text = str::from_utf8(bytes).map_err(|error| error_at(error.valid_up_to(), "not UTF-8"))?;
    // The parser would take a NUL for the end of the text.
    let allowed = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=0x7e | 0x80..);
    if let Some(at) = bytes.iter().position(|byte| !allowed(byte)) {
        return Err(error_at(at, "control characters are not allowed"));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
