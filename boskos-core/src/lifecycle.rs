//! What a dynamic type is to have: how many resources, how made, for how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{GoDuration, ResourceType, State, state};

/// How the resources of one dynamic type come and go.
///
/// Serialized with the keys of a config entry, the lifespan as nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lifecycle {
    /// The type.
    pub r#type: ResourceType,
    /// The state in which its resources begin.
    #[serde(default = "free", deserialize_with = "state_or_free")]
    pub state: State,
    /// How many there are at least, tombstones not counted.
    #[serde(default)]
    pub min_count: u32,
    /// How many there are at most.
    #[serde(default)]
    pub max_count: u32,
    /// How long after its release one expires; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifespan: Option<GoDuration>,
    /// How its resources are made into what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<LifecycleConfig>,
    /// How many resources of other types one of them is made of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<ResourceType, u32>,
}

/// How resources are made into what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleConfig {
    /// What converts the content.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// What the converter goes by.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
}

impl Lifecycle {
    /// A lifecycle that wants no resources, which begin `free`.
    #[must_use]
    pub fn new(r#type: ResourceType) -> Self {
        Self { r#type, state: free(), min_count: 0, max_count: 0, lifespan: None, config: None, needs: BTreeMap::new() }
    }
}

fn free() -> State {
    State::from(state::FREE)
}

fn state_or_free<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
    let state = Option::<State>::deserialize(deserializer)?;
    Ok(state.filter(|state| !state.as_str().is_empty()).unwrap_or_else(free))
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, LifecycleConfig};
    use crate::GoDuration;

    #[test]
    fn json_has_the_keys_of_a_config_entry() {
        let lifecycle = Lifecycle {
            state: "dirty".into(),
            min_count: 1,
            max_count: 2,
            lifespan: Some(GoDuration::parse("48h").unwrap()),
            config: Some(LifecycleConfig { r#type: "AWSClusterCreator".into(), content: "...".into() }),
            needs: [("aws-account".into(), 1)].into(),
            ..Lifecycle::new("aws-cluster".into())
        };
        let json = r#"{"type":"aws-cluster","state":"dirty","min-count":1,"max-count":2,"lifespan":172800000000000,"config":{"type":"AWSClusterCreator","content":"..."},"needs":{"aws-account":1}}"#;
        assert_eq!(serde_json::to_string(&lifecycle).unwrap(), json);
        assert_eq!(serde_json::from_str::<Lifecycle>(json).unwrap(), lifecycle);
    }

    #[test]
    fn what_json_leaves_out_is_the_default() {
        for json in [r#"{"type":"t"}"#, r#"{"type":"t","state":"","config":null,"lifespan":null}"#] {
            assert_eq!(serde_json::from_str::<Lifecycle>(json).unwrap(), Lifecycle::new("t".into()));
        }
        let json = serde_json::to_string(&Lifecycle::new("t".into())).unwrap();
        assert_eq!(json, r#"{"type":"t","state":"free","min-count":0,"max-count":0}"#);
    }
}
