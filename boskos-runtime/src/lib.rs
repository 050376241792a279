//! What every boskos process shares: flags, config files, logging, signals, health and metrics listeners.
//!
//! A `main` reads its flags with [`flags::parse`], hands its async body to [`exit::run`], starts logging with
//! [`log::init`] and asks [`signal::install`] for the token that ends it.

pub mod blocking;
pub mod config_file;
pub mod exit;
pub mod flags;
pub mod follow;
pub mod health;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod port;
pub mod signal;
pub mod stdout;
pub mod text;
pub mod version;

mod go_args;
mod log_line;
mod log_plain;
mod log_queue;
mod process;
