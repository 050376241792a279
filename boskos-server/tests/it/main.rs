//! A whole server from outside: real sockets, real files, real processes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contract_answers;
mod contract_requests;
mod harness;
