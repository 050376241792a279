//! The resource itself.

use serde::{Deserialize, Serialize};

use crate::{Owner, ResourceName, ResourceType, State, UserData, WallTime, go_json};

/// One leasable thing: its committed form. Cloning copies no text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WireResource")]
pub struct Resource {
    /// What kind of thing it is.
    pub r#type: ResourceType,
    /// Its name, unique among all types.
    pub name: ResourceName,
    /// The state it is in.
    pub state: State,
    /// Who holds it.
    pub owner: Option<Owner>,
    /// When it last changed.
    pub last_update: WallTime,
    /// What its holders noted.
    pub user_data: UserData,
    /// When an unowned dynamic one is to be given up.
    pub expiration: Option<WallTime>,
}

/// A resource as JSON has it.
#[derive(Deserialize)]
struct WireResource {
    r#type: ResourceType,
    name: ResourceName,
    state: State,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    lastupdate: WallTime,
    #[serde(default)]
    userdata: UserData,
    #[serde(default, rename = "expiration-date")]
    expiration_date: Option<WallTime>,
}

impl Resource {
    /// A resource as it is when new: unowned, without user data or expiration.
    #[must_use]
    pub fn new(name: ResourceName, r#type: ResourceType, state: State, now: WallTime) -> Self {
        Self { r#type, name, state, owner: None, last_update: now, user_data: UserData::default(), expiration: None }
    }

    /// Appends the resource as JSON, byte for byte as the wire contract has it.
    pub fn write_json(&self, out: &mut String) {
        use std::fmt::Write as _;
        out.push_str("{\"type\":");
        go_json::push_string(out, self.r#type.as_str());
        out.push_str(",\"name\":");
        go_json::push_string(out, self.name.as_str());
        out.push_str(",\"state\":");
        go_json::push_string(out, self.state.as_str());
        out.push_str(",\"owner\":");
        go_json::push_string(out, self.owner.as_ref().map_or("", Owner::as_str));
        write!(out, ",\"lastupdate\":\"{}\",\"userdata\":", self.last_update).expect("a String takes all");
        out.push_str(self.user_data.as_json());
        if let Some(expiration) = self.expiration {
            write!(out, ",\"expiration-date\":\"{expiration}\"").expect("a String takes all");
        }
        out.push('}');
    }

    /// The resource as JSON, byte for byte as the wire contract has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(192 + self.user_data.as_json().len());
        self.write_json(&mut out);
        out
    }
}

impl Serialize for Resource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let fields = 6 + usize::from(self.expiration.is_some());
        let mut out = serializer.serialize_struct("Resource", fields)?;
        out.serialize_field("type", &self.r#type)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("state", &self.state)?;
        out.serialize_field("owner", self.owner.as_ref().map_or("", Owner::as_str))?;
        out.serialize_field("lastupdate", &self.last_update)?;
        out.serialize_field("userdata", &self.user_data)?;
        if let Some(expiration) = self.expiration {
            out.serialize_field("expiration-date", &expiration)?;
        }
        out.end()
    }
}

impl From<WireResource> for Resource {
    fn from(wire: WireResource) -> Self {
        Self {
            r#type: wire.r#type,
            name: wire.name,
            state: wire.state,
            owner: Owner::from_wire(&wire.owner),
            last_update: wire.lastupdate,
            user_data: wire.userdata,
            expiration: wire.expiration_date,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;

    const GOLDEN: &str = r#"{"type":"t","name":"res","state":"d","owner":"o","lastupdate":"2006-01-02T15:04:05.123456789Z","userdata":{"a":"1","b":"<"},"expiration-date":"2006-01-02T15:04:05Z"}"#;

    #[test]
    fn json_is_the_contracts_to_the_byte() {
        let resource: Resource = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(resource.to_json(), GOLDEN.replace('<', "\\u003c"));
    }

    #[test]
    fn new_resource_has_empty_user_data_and_no_expiration() {
        let resource = Resource::new("res".into(), "t".into(), "free".into(), crate::WallTime::default());
        assert_eq!(
            resource.to_json(),
            r#"{"type":"t","name":"res","state":"free","owner":"","lastupdate":"1970-01-01T00:00:00Z","userdata":{}}"#
        );
    }
}
