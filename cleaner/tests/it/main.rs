//! The cleaner against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod kills;
mod older;
mod orphans;
mod pass;
mod process;
mod scene;
