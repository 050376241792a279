//! Mason builds resources out of other resources: a cluster out of an account, say.
//!
//! A dynamic type whose config names a converter is *composite*. Its dirty resources are recycled, given what they
//! need, constructed, and set free; [`Mason`] is that as a pass, [`MasonClient`] leases the results with all they are
//! made of. A program with converters of its own registers them with [`Mason::register_config_converter`].

pub mod command;
pub mod config;
pub mod flags;
pub mod source;
pub mod storage;

mod client;
mod construction;
mod failure;
mod mason;
mod masonable;
mod needs;
mod pauses;
mod run;
mod shop;

pub use self::{
    client::{Composite, CompositeError, MasonClient},
    config::{MasonConfig, parse_config, validate_config},
    mason::{MAX_JOBS, Mason},
    masonable::{ConfigConverter, ConstructError, Constructing, Converters, Masonable},
    source::ConfigSource,
    storage::Storage,
};
