//! After how long without a sign of life a resource is taken back.

use std::{collections::BTreeMap, str::FromStr};

use boskos_client::{GoDuration, ResourceType};
use boskos_core::duration::DurationError;

/// The time for each type.
#[derive(Clone, Debug)]
pub struct Expiry {
    others: GoDuration,
    by_type: BTreeMap<ResourceType, GoDuration>,
}

/// `TYPE=DURATION`, as one flag gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeExpiry {
    /// The type.
    pub r#type: ResourceType,
    /// Its time.
    pub expire: GoDuration,
}

/// Why a text is no time for a type.
#[derive(Debug, thiserror::Error)]
pub enum ExpiryError {
    /// There is no type in it.
    #[error("not TYPE=DURATION")]
    Form,
    /// The time is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
}

// === impl Expiry ===

impl Expiry {
    /// The times of `by_type`, the last of a type counts, and `others` for all other types.
    #[must_use]
    pub fn new(others: GoDuration, by_type: &[TypeExpiry]) -> Self {
        Self { others, by_type: by_type.iter().map(|one| (one.r#type.clone(), one.expire)).collect() }
    }

    /// The time for `type`.
    #[must_use]
    pub fn of(&self, r#type: &ResourceType) -> GoDuration {
        self.by_type.get(r#type).copied().unwrap_or(self.others)
    }
}

// === impl TypeExpiry ===

impl FromStr for TypeExpiry {
    type Err = ExpiryError;

    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        let (r#type, expire) = text.rsplit_once('=').ok_or(ExpiryError::Form)?;
        let r#type = r#type.trim();
        if r#type.is_empty() {
            return Err(ExpiryError::Form);
        }
        Ok(Self { r#type: r#type.into(), expire: GoDuration::parse(expire.trim())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_own_time_and_the_last_one_counts() {
        let given = ["a=1h", "b=2h", "a = 3m"].map(|text| text.parse().unwrap());
        let expiry = Expiry::new(GoDuration::parse("30m").unwrap(), &given);
        let shown = ["a", "b", "c"].map(|r#type| expiry.of(&r#type.into()).to_string());
        assert_eq!(shown, ["3m0s", "2h0m0s", "30m0s"]);
        for bad in ["a", "=1h", "a=", "a=1", "a=1d"] {
            assert!(bad.parse::<TypeExpiry>().is_err(), "{bad}");
        }
    }
}
