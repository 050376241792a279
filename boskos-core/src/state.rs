//! The states that the server and its daemons give a meaning to.
//!
//! Any text is a state; these are constants, not a closed set.

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
