//! Resources as objects have them: whole seconds, and our additions in annotations.

use boskos_core::{Owner, Resource, State, WallTime, ranch::plan::Record};
use serde_json::{Map, Value, json};

use super::objects::ResourceObject;

/// Set while a resource is being cleaned on the way to `tombstone`.
const LEAVING: &str = "boskos.k8s.io/leaving";

/// What one object says of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) resource: Resource,
    pub(super) leaving: bool,
}

// === impl Form ===

impl Form {
    /// What is to be written of `record`.
    pub(super) fn of(record: &Record) -> Self {
        let mut resource = record.resource.clone();
        resource.last_update = resource.last_update.whole_seconds();
        resource.expiration = resource.expiration.map(WallTime::whole_seconds);
        Self { resource, leaving: record.leaving }
    }

    /// What an object says.
    pub(super) fn read(object: &ResourceObject) -> Self {
        let status = &object.status;
        let time = |text: &str| WallTime::parse(text).ok().map(WallTime::whole_seconds);
        let resource = Resource {
            r#type: object.spec.r#type.as_str().into(),
            name: object.metadata.name.as_str().into(),
            state: State::from(status.state.as_str()),
            owner: Owner::from_wire(&status.owner),
            last_update: time(&status.last_update).unwrap_or_default(),
            user_data: status.user_data.clone().into(),
            expiration: time(&status.expiration_date),
        };
        Self { resource, leaving: object.metadata.annotation(LEAVING) == Some("true") }
    }

    /// All of it, for an object that is not there yet.
    pub(super) fn body(&self) -> Value {
        let Resource { r#type, state, owner, last_update, user_data, expiration, .. } = &self.resource;
        let mut status = json!({
            "state": state.as_str(),
            "owner": owner.as_ref().map_or("", Owner::as_str),
            "lastUpdate": last_update.to_string(),
        });
        if !user_data.is_empty() {
            status["userData"] = json!(user_data.to_map());
        }
        if let Some(expiration) = expiration {
            status["expirationDate"] = expiration.to_string().into();
        }
        let mut body = json!({ "spec": { "type": r#type.as_str() }, "status": status });
        if self.leaving {
            body["metadata"] = json!({ "annotations": { LEAVING: "true" } });
        }
        body
    }

    /// The merge patch that makes `to` of this; `None` if nothing differs.
    pub(super) fn patch(&self, to: &Self) -> Option<Value> {
        let (from, new) = (&self.resource, &to.resource);
        let mut status = Map::new();
        if from.state != new.state {
            status.insert("state".to_owned(), new.state.as_str().into());
        }
        if from.owner != new.owner {
            status.insert("owner".to_owned(), new.owner.as_ref().map_or("", Owner::as_str).into());
        }
        if from.last_update != new.last_update {
            status.insert("lastUpdate".to_owned(), new.last_update.to_string().into());
        }
        if from.expiration != new.expiration {
            let text = new.expiration.map(|expiration| expiration.to_string());
            status.insert("expirationDate".to_owned(), text.map_or(Value::Null, Value::String));
        }
        if from.user_data != new.user_data {
            status.insert("userData".to_owned(), user_data_patch(from, new));
        }
        let mut patch = Map::new();
        if !status.is_empty() {
            patch.insert("status".to_owned(), Value::Object(status));
        }
        if from.r#type != new.r#type {
            patch.insert("spec".to_owned(), json!({ "type": new.r#type.as_str() }));
        }
        if self.leaving != to.leaving {
            let text = if to.leaving { json!("true") } else { Value::Null };
            patch.insert("metadata".to_owned(), json!({ "annotations": { LEAVING: text } }));
        }
        (!patch.is_empty()).then_some(Value::Object(patch))
    }
}

fn user_data_patch(from: &Resource, to: &Resource) -> Value {
    if to.user_data.is_empty() {
        return Value::Null;
    }
    let (old, new) = (from.user_data.to_map(), to.user_data.to_map());
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let set = new.iter().filter(|(key, text)| old.get(*key) != Some(text));
    let set = set.map(|(key, text)| (key.clone(), Value::String(text.clone())));
    Value::Object(removed.chain(set).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boskos_core::UserData;

    use super::*;

    fn user_data(pairs: &[(&str, &str)]) -> UserData {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>().into()
    }

    fn form(state: &str) -> Form {
        let stamp = WallTime::from_nanos(1_136_214_245_123_456_789);
        let mut resource = Resource::new("r".into(), "t".into(), state.into(), stamp);
        resource.user_data = user_data(&[("a", "1"), ("b", "2")]);
        Form::of(&Record { resource, sequence: 0, last_transition: 0, leaving: false })
    }

    fn read(body: &Value) -> Form {
        let mut object = body.clone();
        object["metadata"]["name"] = "r".into();
        object["metadata"]["resourceVersion"] = "1".into();
        Form::read(&serde_json::from_value(object).unwrap())
    }

    fn merge(target: &mut Value, patch: &Value) {
        match patch {
            Value::Object(patch) => {
                if !target.is_object() {
                    *target = json!({});
                }
                for (key, value) in patch {
                    if value.is_null() {
                        target.as_object_mut().unwrap().remove(key);
                    } else {
                        merge(&mut target[key], value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                target.clone_from(patch);
            }
        }
    }

    #[test]
    fn a_new_object_has_the_shape_of_older_ones() {
        let mut form = form("free");
        form.resource.user_data = UserData::default();
        assert_eq!(
            form.body(),
            json!({"spec": {"type": "t"}, "status": {"state": "free", "owner": "", "lastUpdate": "2006-01-02T15:04:05Z"}})
        );
    }

    #[test]
    fn a_patch_makes_one_form_of_the_other_and_back() {
        let from = form("free");
        let mut to = form("cleaning");
        to.leaving = true;
        to.resource.r#type = "u".into();
        to.resource.owner = Some("me".into());
        to.resource.expiration = Some(WallTime::from_nanos(7_000_000_000));
        to.resource.user_data = user_data(&[("b", "3"), ("c", "4")]);
        let mut object = from.body();
        object["status"]["unknown"] = 5.into();
        assert_eq!(read(&object), from);
        merge(&mut object, &from.patch(&to).unwrap());
        assert_eq!(read(&object), to);
        assert_eq!(object["status"]["unknown"], 5);
        merge(&mut object, &to.patch(&from).unwrap());
        assert_eq!(read(&object), from);
        assert_eq!(from.patch(&from), None);
    }
}
