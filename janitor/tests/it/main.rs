//! The janitor against real servers, with shell scripts for commands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod ends;
mod faults;
mod pass;
mod process;
mod scene;
mod stopped;
