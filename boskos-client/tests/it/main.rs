//! The client and boskosctl against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ctl;
mod harness;
mod verbs;
