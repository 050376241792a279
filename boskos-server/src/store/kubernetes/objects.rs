//! The custom resources of the wire contract, read leniently: one odd object must not keep the
//! others from being served.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use boskos_kube::{Definition, Meta, Object};
use serde::{
    Deserialize, Deserializer,
    de::{
        IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
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
    #[serde(deserialize_with = "present")]
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

/// The value, or the default where it is no object. Read as it comes: echoes of our own writes are
/// most of what is heard.
fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    input.deserialize_any(Lenient(PhantomData))
}

struct Lenient<T>(PhantomData<T>);

impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }
}

fn text<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Text::deserialize(input).map(|text| text.0)
}

/// Text, or what stands where text should.
#[derive(Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        Ok(Text(Value::deserialize(MapAccessDeserializer::new(map))?.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text, A::Error> {
        Ok(Text(Value::deserialize(SeqAccessDeserializer::new(seq))?.to_string()))
    }
}

fn texts<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map: BTreeMap<String, Text> = lenient(input)?;
    Ok(map.into_iter().map(|(key, text)| (key, text.0)).collect())
}

fn count<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    Ok(count_of(&Value::deserialize(input)?))
}

fn count_of(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX)
}

fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<LifecycleSpecConfig>, D::Error> {
    let config: LifecycleSpecConfig = lenient(input)?;
    Ok((!config.r#type.is_empty() || !config.content.is_empty()).then_some(config))
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
