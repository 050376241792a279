//! The cleaner: takes apart the composite resources that are to be deleted, and their parts go back to be cleaned.

mod cleaner;
mod flags;
mod orphans;
mod parts;
mod queue;

pub use self::{cleaner::Cleaner, flags::Flags};

/// For whom the cleaner acquires.
pub const OWNER: &str = "cleaner";
