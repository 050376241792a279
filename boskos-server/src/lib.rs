//! The boskos server: HTTP in front, storage behind, the ranch in between.

pub mod store;
