//! What the crate's users rely on, seen from outside.

mod composites;
mod config;
mod config_forms;
mod config_scalars;
mod conflicts;
mod driven;
mod following;
mod kept_up;
mod model;
mod places;
mod planned;
mod queue;
mod ranch;
mod resets;
mod seen;
mod stage;
mod steps;
mod waits;
