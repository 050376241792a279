//! What holders note on a resource: a map of text to text.

use std::{collections::BTreeMap, fmt};

use arcstr::ArcStr;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};

use crate::go_json;

/// Text by key, keys sorted.
///
/// Kept as one JSON text and not as a map: a million resources have one each. Cloning shares
/// the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserData(Option<ArcStr>);

/// Changes to user data: a key with text is set, one with none or with empty text is deleted.
pub type UserDataPatch = BTreeMap<String, Option<String>>;

/// Why a text is no user data.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object of text by key: {0}")]
pub struct UserDataError(#[from] serde_json::Error);

impl UserData {
    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The JSON object, keys sorted; `{}` when empty.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("{}")
    }

    /// Reads a JSON object of text by key.
    ///
    /// # Errors
    ///
    /// If it is not one.
    pub fn from_json(text: &str) -> Result<Self, UserDataError> {
        if text == "{}" {
            return Ok(Self::default());
        }
        let map: BTreeMap<String, String> = serde_json::from_str(text)?;
        Ok(map.into())
    }

    /// Takes text as it is that [`Self::as_json`] gave out before, which costs less than
    /// [`Self::from_json`].
    ///
    /// # Errors
    ///
    /// If it is not a JSON object of text by key.
    pub fn from_sorted_json(text: &str) -> Result<Self, UserDataError> {
        serde_json::from_str::<Checked>(text)?;
        Ok(Self((text != "{}").then(|| text.into())))
    }

    /// The text at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.to_map().remove(key)
    }

    /// All keys and texts.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.0.as_deref().map_or_else(BTreeMap::new, |text| {
            serde_json::from_str(text).expect("written by From<BTreeMap>, the only way in")
        })
    }

    /// This user data with `patch` applied.
    #[must_use]
    pub fn merged(&self, patch: &UserDataPatch) -> Self {
        if patch.is_empty() {
            return self.clone();
        }
        let mut map = self.to_map();
        for (key, text) in patch {
            match text.as_deref() {
                None | Some("") => drop(map.remove(key)),
                Some(text) => drop(map.insert(key.clone(), text.to_owned())),
            }
        }
        map.into()
    }
}

/// A JSON object of text by key that is looked at and not kept.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of text by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<CheckedText, CheckedText>()?.is_some() {}
        Ok(self)
    }
}

/// Text that is looked at and not kept.
struct CheckedText;

impl<'de> Deserialize<'de> for CheckedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl Visitor<'_> for CheckedText {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, _text: &str) -> Result<Self, E> {
        Ok(self)
    }
}

impl From<BTreeMap<String, String>> for UserData {
    fn from(map: BTreeMap<String, String>) -> Self {
        if map.is_empty() {
            return Self(None);
        }
        let mut json = String::from("{");
        for (key, text) in &map {
            if json.len() > 1 {
                json.push(',');
            }
            go_json::push_string(&mut json, key);
            json.push(':');
            go_json::push_string(&mut json, text);
        }
        json.push('}');
        Self(Some(json.into()))
    }
}

impl fmt::Debug for UserData {
    /// The keys alone: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.to_map().keys()).finish()
    }
}

impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = self.to_map();
        let mut out = serializer.serialize_map(Some(map.len()))?;
        for (key, text) in map {
            out.serialize_entry(&key, &text)?;
        }
        out.end()
    }
}

impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Option::<BTreeMap<String, String>>::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok(map.unwrap_or_default().into())
    }
}

#[cfg(test)]
mod tests {
    use super::{UserData, UserDataPatch};

    fn patch(json: &str) -> UserDataPatch {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn merging_sets_keeps_and_deletes() {
        let data = UserData::default().merged(&patch(r#"{"b":"2","a":"1","c":"3"}"#));
        assert_eq!(data.as_json(), r#"{"a":"1","b":"2","c":"3"}"#);
        let data = data.merged(&patch(r#"{"a":"","b":null,"d":"4"}"#));
        assert_eq!(data.as_json(), r#"{"c":"3","d":"4"}"#);
        assert_eq!((data.get("c").as_deref(), data.get("a"), data.is_empty()), (Some("3"), None, false));
        assert!(data.merged(&patch(r#"{"c":"","d":""}"#)).is_empty());
    }

    #[test]
    fn sorted_json_is_taken_as_it_is_if_it_is_user_data() {
        let data = UserData::default().merged(&patch(r#"{"b":"<\u00e9\n","a":"1"}"#));
        assert_eq!(UserData::from_sorted_json(data.as_json()).unwrap(), data);
        assert!(UserData::from_sorted_json("{}").unwrap().is_empty());
        for other in ["", "[]", r#"{"a":1}"#, r#"{"a":"1""#, r#"{"a":null}"#, r#"{"a":"1"} x"#] {
            assert!(UserData::from_sorted_json(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_no_user_data_is_told_with_what_is_due() {
        for (other, due) in [("[]", "a map of text by key"), (r#"{"a":1}"#, "text")] {
            let told = UserData::from_sorted_json(other).unwrap_err().to_string();
            assert!(told.contains(&format!("expected {due} at line 1")), "{told}");
        }
    }

    #[test]
    fn debug_text_has_no_values() {
        let data = UserData::from_json(r#"{"secret-access-key":"hunter2"}"#).unwrap();
        assert_eq!(format!("{data:?}"), r#"{"secret-access-key"}"#);
    }
}
