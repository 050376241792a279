//! What can be wrong with a config.

use std::fmt;

use crate::{DurationError, ResourceType};

use super::Config;

/// Why a text is no config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// More bytes than [`Config::MAX_BYTES`].
    #[error("{bytes} bytes are too much: at most {} are read", Config::MAX_BYTES)]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Not a YAML document.
    #[error("line {line}, column {column}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Readable, but not by the rules.
    #[error(transparent)]
    Invalid(#[from] Violations),
}

/// All that is against the rules in one config; as text one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    pub(super) listed: Vec<Violation>,
    pub(super) unlisted: usize,
}

/// One thing that is against the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The entry, counted from 0, that it is in.
    pub(super) entry: Option<usize>,
    /// Where it is: `.2.names.0(Foo)`; empty for the whole config.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a place of a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There are no entries.
    #[error("empty config: at least one entry is needed")]
    NoEntries,
    /// One thing where another is due.
    #[error("must be {expected}, is {found}")]
    Kind {
        /// What is due.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A server's config where that of an older mason is due.
    #[error(
        "has the key resources, as a server's config has, and not the key configs: list the composite types under \
         configs, each with name, needs and config, or name no file, to go by the server's lifecycles"
    )]
    NotComposites,
    /// Nothing where something is due.
    #[error("must be set")]
    Unset,
    /// Not a name for a resource.
    #[error(
        "is invalid: a name has lower case letters, digits, '-' and '.', with a letter or digit on either side of each '.' and at both ends"
    )]
    Name,
    /// A name that is too long.
    #[error("is invalid: a name has at most {} characters, not {characters}", Config::MAX_NAME)]
    LongName {
        /// How long it is.
        characters: usize,
    },
    /// A name that came before.
    #[error("is a duplicate of {first}")]
    Duplicate {
        /// The place where it came before.
        first: String,
    },
    /// A count beyond what counts can be.
    #[error("must be a count from 0 to {}, is {found}", u32::MAX)]
    Count {
        /// The number.
        found: String,
    },
    /// A dynamic type that can have no resources.
    #[error("must be >0")]
    NoMaximum,
    /// More at least than at most.
    #[error("must be <= max-count, but {min} > {max}")]
    MinAboveMax {
        /// At least so many.
        min: u32,
        /// At most so many.
        max: u32,
    },
    /// A count beside names.
    #[error("must not be set where there are names")]
    CountBesideNames,
    /// A lifespan that is no duration.
    #[error("{0}")]
    Lifespan(#[from] DurationError),
    /// A number that is no number of nanoseconds.
    #[error("must be a duration like 48h or an integer of nanoseconds, is {found}")]
    LifespanNumber {
        /// The number.
        found: String,
    },
    /// A need for something that is not there.
    #[error("need for resource {0} that does not exist")]
    UnknownNeed(ResourceType),
    /// A need for more than there is.
    #[error("not enough resource of type {needed_type} for provisioning: {needed} needed in all, {available} at most")]
    TooFew {
        /// What is needed.
        needed_type: ResourceType,
        /// How many, by all dynamic types at their max-count.
        needed: u64,
        /// How many there can be.
        available: u64,
    },
}

// === impl Violations ===

impl Violations {
    pub(super) fn new() -> Self {
        Self { listed: Vec::new(), unlisted: 0 }
    }

    pub(super) fn push(&mut self, entry: Option<usize>, place: String, problem: Problem) {
        if self.listed.len() < Config::MAX_VIOLATIONS {
            self.listed.push(Violation { entry, place, problem });
        } else {
            self.unlisted += 1;
        }
    }

    /// Each violation, in the order of the entries; at most [`Config::MAX_VIOLATIONS`].
    #[must_use]
    pub fn listed(&self) -> &[Violation] {
        &self.listed
    }

    /// How many more there are.
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// How many there are, listed or not.
    pub(super) fn count(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// Puts those of one entry together.
    pub(super) fn sort(&mut self) {
        self.listed.sort_by_key(|violation| violation.entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, violation) in self.listed.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}{violation}")?;
        }
        if self.unlisted > 0 {
            write!(f, "\nand {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// `text` as it may stand in a place: on one line and not endless.
pub(super) fn in_place(text: &str) -> String {
    let shown = text.char_indices().nth(Config::MAX_NAME).map_or(text, |(end, _)| &text[..end]);
    let more = if shown.len() < text.len() { "…" } else { "" };
    shown.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect::<String>()
        + more
}
