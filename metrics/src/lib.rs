//! How many resources are in which state: as JSON, for Prometheus, and as a plain page.
//!
//! A [`Watcher`] refreshes a [`Board`] every 30 s; [`Collector`] and [`Web`] show it. What could not be refreshed is
//! stale, and all of it while the server is away: shown as such, without the numbers of before.

pub mod flags;

mod board;
mod collector;
mod html;
mod query;
mod watcher;
mod web;

pub use self::{board::Board, collector::Collector, watcher::Watcher, web::Web};
