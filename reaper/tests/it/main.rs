//! The reaper against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod pass;
mod process;
