//! Mason against real servers, with real commands.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod away;
mod configs;
mod converters;
mod cycle;
mod harness;
mod killed;
mod needs;
mod process;
