//! The server's integration tests, one module per claim area.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod http_deadlines;
mod http_delivery;
mod http_hang_ups;
mod http_limits;
mod http_replies;
mod http_server;
mod http_support;
