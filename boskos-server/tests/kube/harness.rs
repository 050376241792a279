//! What these tests share with those of other stores.

#[path = "../it/harness/client.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
pub(crate) mod client;

/// What must happen is waited for this long.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) use crate::replica::eventually;
