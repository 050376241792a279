//! The cleaner against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kills;
mod orphans;
mod pass;
mod process;
mod scene;
