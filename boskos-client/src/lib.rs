//! The client of boskos, which leases scarce things: the only way any process but the server speaks to the server.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use boskos_client::{Client, LeaseOptions};
//!
//! let client = Client::builder("http://boskos", "my-job-17").build()?;
//! let resource = client.acquire_wait("gce-project", "free", "busy", None).await?;
//! let lease = client.lease(resource, LeaseOptions::dropped_into("dirty"));
//! // ... use lease.name(); heartbeats are sent meanwhile ...
//! lease.release("dirty").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Daemons find flags, types, the pass loop and their metrics in [`flags`], [`types`] and [`frame`]; [`process`] runs
//! commands that end as a whole.

pub mod flags;
pub mod followed_file;
pub mod frame;
pub mod process;
pub mod retry;
pub mod types;

mod builder;
mod client;
mod clock;
mod credentials;
mod error;
mod held;
mod lease;
mod server_url;
mod tls;
mod transport;

pub use boskos_runtime::config_file;

pub use boskos_core::{
    GoDuration, Owner, Resource, ResourceName, ResourceType, State, UserData,
    ranch::{Metric, command::Filter},
    shown::{Difference, Info, ShownLifecycle, ShownPlace},
    user_data::UserDataPatch,
};

pub use self::{
    builder::{BuildError, ClientBuilder},
    client::{Client, HistoryRow, ReleaseAllError},
    clock::{Clock, Hand},
    credentials::CredentialsError,
    error::Error,
    lease::{Lease, LeaseOptions, Lost},
    server_url::UrlError,
    transport::Sequence,
};
