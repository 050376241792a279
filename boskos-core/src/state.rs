//! The states that the server and its daemons give a meaning to.
//!
//! Any text is a state; these are constants, not a closed set.

use arcstr::{ArcStr, literal};

/// Ready to be acquired.
pub const FREE: &str = "free";
/// In use.
pub const BUSY: &str = "busy";
/// Given back, not cleaned yet.
pub const DIRTY: &str = "dirty";
/// Being cleaned.
pub const CLEANING: &str = "cleaning";
/// Part of a composite resource.
pub const LEASED: &str = "leased";
/// A dynamic resource that is no longer wanted.
pub const TO_BE_DELETED: &str = "toBeDeleted";
/// A dynamic resource whose leftovers are cleaned: the server deletes it.
pub const TOMBSTONE: &str = "tombstone";
/// The label under which metrics gather all other states.
pub const OTHER: &str = "other";

/// The states that metrics show by themselves, sorted.
pub const KNOWN: [&str; 7] = [BUSY, CLEANING, DIRTY, FREE, LEASED, TO_BE_DELETED, TOMBSTONE];

/// Whether `state` is one of [`KNOWN`].
#[must_use]
pub fn is_known(state: &str) -> bool {
    KNOWN.contains(&state)
}

/// `text` for a state to hold. Those with a meaning are in nearly all resources, and nobody counts who holds them.
pub(crate) fn text(text: &str) -> ArcStr {
    match text {
        FREE => literal!(FREE),
        BUSY => literal!(BUSY),
        DIRTY => literal!(DIRTY),
        CLEANING => literal!(CLEANING),
        LEASED => literal!(LEASED),
        TO_BE_DELETED => literal!(TO_BE_DELETED),
        TOMBSTONE => literal!(TOMBSTONE),
        OTHER => literal!(OTHER),
        any => any.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_they_were_made_of() {
        for state in KNOWN.into_iter().chain([OTHER]) {
            assert_eq!(text(state), state);
            assert!(ArcStr::is_static(&text(state)), "{state}");
        }
        for state in ["", "quarantined", "Free"] {
            assert_eq!(text(state), state);
        }
    }
}
