//! stub replaced on merge
pub use crate::lifecycle::GoDuration;
