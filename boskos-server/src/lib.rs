//! The boskos server: HTTP in front, storage behind, the ranch in between.

pub mod clock;
pub mod http;
pub mod steward;
pub mod store;
