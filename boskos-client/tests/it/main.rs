//! The client and boskosctl against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ctl;
mod frame;
mod harness;
mod loss;
mod older;
mod secrets;
mod verbs;
