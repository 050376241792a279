//! What the crate's users rely on, seen from outside.

mod config;
mod config_forms;
mod config_scalars;
mod conflicts;
mod driven;
mod model;
mod ranch;
mod resets;
mod seen;
mod stage;
mod steps;
