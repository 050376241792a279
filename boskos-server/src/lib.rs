//! The boskos server: HTTP in front, storage behind, the ranch in between.

mod abort;
pub mod api;
pub mod app;
pub mod args;
pub mod clock;
pub mod cluster;
pub mod config_file;
pub mod follower;
pub mod gate;
pub mod http;
pub mod instruments;
pub mod known_good;
mod listed;
pub mod replica;
pub mod route;
pub mod server;
mod serving;
pub mod shares;
pub mod steward;
pub mod store;
pub mod sync;
mod trouble;
pub mod verb;
