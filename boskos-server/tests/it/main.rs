//! A whole server from outside: real sockets, real files, real processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod doubles;
mod store_contract;
mod store_copies;
mod store_damage;
mod store_directory;
mod store_doubles;
mod store_format;
mod store_outage;
mod store_support;
