//! stub replaced on merge
use crate::{ResourceType, State};
use std::collections::BTreeMap;
/// d
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub i64);
impl GoDuration {
    /// n
    pub fn as_nanos(self) -> i64 {
        self.0
    }
}
/// l
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// t
    pub r#type: ResourceType,
    /// s
    pub state: State,
    /// m
    pub min_count: u32,
    /// m
    pub max_count: u32,
    /// l
    pub lifespan: Option<GoDuration>,
    /// n
    pub needs: BTreeMap<ResourceType, u32>,
}
