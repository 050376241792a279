//! Types of custom resources.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};

/// A `resourceVersion`. Those of one type compare as integers.
pub type Version = u64;

/// What a type of custom resource is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The API group.
    pub group: &'static str,
    /// The version in that group.
    pub version: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// The kind.
    pub kind: &'static str,
}

/// An object of one type of custom resource, read leniently: what it does not know stays as it is
/// in the object, since writes are merge patches.
pub trait Object: DeserializeOwned + Clone + Send + Sync + 'static {
    /// What the type is called.
    const DEFINITION: Definition;

    /// The object's metadata.
    fn meta(&self) -> &Meta;
}

/// The part of an object's metadata that conditional writes need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// What tells it from others of the same name before and after it.
    #[serde(default)]
    pub uid: String,
    /// The version of this form.
    #[serde(default, deserialize_with = "integer")]
    pub resource_version: Version,
    /// When its deletion was asked for; it then only waits for its finalizers.
    #[serde(default)]
    pub deletion_timestamp: Option<String>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

// === impl Definition ===

impl Definition {
    /// What `apiVersion` says.
    #[must_use]
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// The path of all objects in a namespace.
    pub(crate) fn path(&self, namespace: &str) -> String {
        format!("/apis/{}/{}/namespaces/{namespace}/{}", self.group, self.version, self.plural)
    }
}

// === impl Meta ===

impl Meta {
    /// Whether its deletion was asked for.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The text of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format!("the resourceVersion {text:?} is not an integer")))
}

#[cfg(test)]
mod tests {
    use super::Meta;

    #[test]
    fn versions_are_integers() {
        let meta: Meta = serde_json::from_str(r#"{"name":"a","resourceVersion":"17"}"#).unwrap();
        assert_eq!(meta.resource_version, 17);
        assert!(serde_json::from_str::<Meta>(r#"{"resourceVersion":"x"}"#).is_err());
    }
}
