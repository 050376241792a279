//! A whole server from outside: real sockets, real files, real processes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contract_answers;
mod contract_queue;
mod contract_requests;
mod contract_verbs;
mod contract_waiting;
mod harness;
