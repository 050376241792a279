//! The crate from outside: command lines, sockets and a whole process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod daemon;
mod flags;
mod ports;
