//! Everything against a real API server, which the tests start and end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod all_or_none;
mod api_server;
mod between;
mod diary;
mod foreign;
mod guarded;
mod harness;
mod in_process;
mod leaders;
#[path = "../it/ledger.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod ledger;
#[allow(dead_code, reason = "shared with the tests of other stores")]
#[path = "../it/load.rs"]
mod load;
mod manifests;
mod mason_configs;
mod mirrors;
mod older_deployment;
mod outage;
mod replica;
mod rights;
mod standby;
#[path = "../it/store_claims.rs"]
mod store_claims;
mod store_contract;
#[path = "../it/store_support.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod store_support;
mod terms;
mod told;
mod tools;
mod unheard;
mod wire;
