//! The custom resources of the wire contract, read leniently: one odd object must not keep the
//! others from being served.

use std::collections::BTreeMap;

use boskos_kube::{Definition, Meta, Object};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

const GROUP: &str = "boskos.k8s.io";
const VERSION: &str = "v1";

/// A resource.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ResourceObject {
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) spec: ResourceSpec,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: ResourceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceSpec {
    #[serde(deserialize_with = "text")]
    pub(super) r#type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceStatus {
    #[serde(deserialize_with = "text")]
    pub(super) state: String,
    #[serde(deserialize_with = "text")]
    pub(super) owner: String,
    #[serde(deserialize_with = "text")]
    pub(super) last_update: String,
    #[serde(deserialize_with = "text")]
    pub(super) expiration_date: String,
    #[serde(deserialize_with = "texts")]
    pub(super) user_data: BTreeMap<String, String>,
}

/// A lifecycle, named after its type.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LifecycleObject {
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) spec: LifecycleSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct LifecycleSpec {
    #[serde(deserialize_with = "text")]
    pub(super) state: String,
    #[serde(deserialize_with = "count")]
    pub(super) min_count: u32,
    #[serde(deserialize_with = "count")]
    pub(super) max_count: u32,
    #[serde(deserialize_with = "nanos")]
    pub(super) lifespan: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) config: Option<LifecycleSpecConfig>,
    #[serde(deserialize_with = "counts")]
    pub(super) needs: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LifecycleSpecConfig {
    #[serde(deserialize_with = "text")]
    pub(super) r#type: String,
    #[serde(deserialize_with = "text")]
    pub(super) content: String,
}

impl Object for ResourceObject {
    const DEFINITION: Definition =
        Definition { group: GROUP, version: VERSION, plural: "resources", kind: "ResourceObject" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Object for LifecycleObject {
    const DEFINITION: Definition =
        Definition { group: GROUP, version: VERSION, plural: "dynamicresourcelifecycles", kind: "DRLCObject" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// The value, or the default where it is of another shape.
fn lenient<'de, D: Deserializer<'de>, T: Default + serde::de::DeserializeOwned>(input: D) -> Result<T, D::Error> {
    let value = Value::deserialize(input)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn text<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(text_of(Value::deserialize(input)?))
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

fn texts<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map: BTreeMap<String, Value> = lenient(input)?;
    Ok(map.into_iter().map(|(key, value)| (key, text_of(value))).collect())
}

fn count<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    Ok(count_of(&Value::deserialize(input)?))
}

fn count_of(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX)
}

fn counts<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, u32>, D::Error> {
    let map: BTreeMap<String, Value> = lenient(input)?;
    Ok(map.into_iter().map(|(key, value)| (key, count_of(&value))).collect())
}

fn nanos<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    Ok(Value::deserialize(input)?.as_i64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_object_is_read_as_far_as_it_makes_sense() {
        let odd = r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"7"},"spec":{"type":"t"},
            "status":{"state":5,"owner":null,"userData":{"a":1,"b":"2"},"lastUpdate":[],"more":{}}}"#;
        let object: ResourceObject = serde_json::from_str(odd).unwrap();
        assert_eq!((object.status.state.as_str(), object.status.owner.as_str()), ("5", ""));
        assert_eq!(
            object.status.user_data,
            [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into()
        );
        for odd in [r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":{"name":"a"},"spec":[],"status":7}"#] {
            let object: ResourceObject = serde_json::from_str(odd).unwrap();
            assert_eq!(object.status.state, "");
        }
    }
}
