//! The reaper: takes back what nobody has kept alive for too long.
//!
//! It asks the server to reset, and the server judges ages by its own clock. The reaper itself holds nothing.

mod expiry;
mod flags;
mod reaper;
mod untaken;

pub use self::{
    expiry::{Expiry, ExpiryError, TypeExpiry},
    flags::Flags,
    reaper::Reaper,
};

/// For whom the reaper speaks.
pub const OWNER: &str = "Reaper";
