//! The real binaries, each as a process: the server, every daemon, and jobs that come and die.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod cycle;
mod demo;
mod faults;
mod flags;
mod fleet;
mod manifests;
mod replicas;
mod secrets;
#[path = "../../../boskos-server/tests/kube/tools.rs"]
#[allow(dead_code, reason = "shared with the tests against an API server")]
mod tools;
