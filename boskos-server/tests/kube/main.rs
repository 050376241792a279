//! Everything against a real API server, which the tests start and end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod api_server;
mod foreign;
mod guarded;
mod harness;
mod leaders;
mod manifests;
mod older_deployment;
mod replica;
mod rights;
#[path = "../it/store_claims.rs"]
mod store_claims;
mod store_contract;
#[path = "../it/store_support.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod store_support;
mod tools;
