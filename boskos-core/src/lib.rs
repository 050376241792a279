//! What a boskos resource is and how it may change.
//!
//! This crate does no I/O, reads no clock and knows no runtime: times, generated names and
//! everything else that comes from outside are arguments.

pub mod comparison;
pub mod config;
pub mod duration;
pub mod leased;
pub mod lifecycle;
pub mod name;
pub mod ranch;
pub mod resource;
pub mod shown;
pub mod state;
pub mod time;
pub mod user_data;
pub mod wire;

mod go_json;
mod go_quote;

pub use comparison::Comparison;
pub use config::{Config, ConfigError, StaticEntry, Warning};
pub use duration::{DurationError, GoDuration};
pub use lifecycle::{Lifecycle, LifecycleConfig};
pub use name::{Owner, ResourceName, ResourceType, State};
pub use resource::Resource;
pub use time::{MonoTime, Now, WallTime};
pub use user_data::UserData;
