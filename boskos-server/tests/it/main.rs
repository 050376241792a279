//! A whole server from outside: real sockets, real files, real processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod contract_answers;
mod contract_api;
mod contract_configs;
mod contract_cuts;
mod contract_flags;
mod contract_following;
mod contract_limits;
mod contract_logs;
mod contract_ports;
mod contract_queue;
mod contract_requests;
mod contract_verbs;
mod contract_waiting;
mod crash;
mod doubles;
mod ending;
mod full_disk;
mod harness;
mod http_deadlines;
mod http_delivery;
mod http_hang_ups;
mod http_limits;
mod http_replies;
mod http_server;
mod http_support;
mod ledger;
mod load;
mod log_reader;
mod mount;
mod steward;
mod stopped;
mod store_claims;
mod store_contract;
mod store_copies;
mod store_damage;
mod store_deferred;
mod store_directory;
mod store_doubles;
mod store_format;
mod store_outage;
mod store_served;
mod store_support;
mod two_servers;
