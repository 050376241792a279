//! Lifecycles as objects have them.

use std::collections::BTreeMap;

use boskos_core::{GoDuration, Lifecycle, LifecycleConfig, ResourceType, State, ranch::plan::LifecycleRecord, state};
use serde_json::{Value, json};

use super::objects::LifecycleObject;

/// Set while the type has left the config and waits for its last resource to go.
const DRAINING: &str = "boskos.k8s.io/draining";

/// What an object says.
pub(super) fn read(object: &LifecycleObject) -> LifecycleRecord {
    let spec = &object.spec;
    let state = if spec.state.is_empty() { state::FREE } else { &spec.state };
    let config = spec
        .config
        .as_ref()
        .map(|config| LifecycleConfig { r#type: config.r#type.clone(), content: config.content.clone() });
    let needs = spec.needs.iter().map(|(r#type, count)| (ResourceType::from(r#type.as_str()), *count));
    let lifecycle = Lifecycle {
        r#type: object.metadata.name.as_str().into(),
        state: State::from(state),
        min_count: spec.min_count,
        max_count: spec.max_count,
        lifespan: spec.lifespan.filter(|nanos| *nanos != 0).map(GoDuration::from_nanos),
        config,
        needs: needs.collect(),
    };
    LifecycleRecord { lifecycle, draining: object.metadata.annotation(DRAINING) == Some("true") }
}

/// What an object that is not there yet is to say.
pub(super) fn body(record: &LifecycleRecord) -> Value {
    let Lifecycle { state, min_count, max_count, lifespan, config, needs, .. } = &record.lifecycle;
    let mut spec = json!({ "state": state.as_str(), "min-count": min_count, "max-count": max_count });
    if let Some(lifespan) = lifespan {
        spec["lifespan"] = lifespan.as_nanos().into();
    }
    if let Some(config) = config {
        spec["config"] = json!({ "type": config.r#type, "content": config.content });
    }
    if !needs.is_empty() {
        let needs: BTreeMap<&str, u32> = needs.iter().map(|(r#type, count)| (r#type.as_str(), *count)).collect();
        spec["needs"] = json!(needs);
    }
    let mut body = json!({ "spec": spec });
    if record.draining {
        body["metadata"] = json!({ "annotations": { DRAINING: "true" } });
    }
    body
}

/// What is read of an object that was to say this: not all that a config can say has a form of its own.
pub(super) fn read_back(record: &LifecycleRecord) -> LifecycleRecord {
    let mut object = body(record);
    object["metadata"]["name"] = record.lifecycle.r#type.as_str().into();
    read(&serde_json::from_value(object).expect("what is written can be read"))
}

/// The merge patch that makes `to` of `object`.
pub(super) fn patch(object: &LifecycleObject, to: &LifecycleRecord) -> Value {
    let mut patch = body(to);
    for absent in ["lifespan", "config", "needs"] {
        if patch["spec"][absent].is_null() {
            patch["spec"][absent] = Value::Null;
        }
    }
    if let Some(needs) = patch["spec"]["needs"].as_object_mut() {
        for gone in object.spec.needs.keys() {
            needs.entry(gone.clone()).or_insert(Value::Null);
        }
    }
    if !to.draining {
        patch["metadata"] = json!({ "annotations": { DRAINING: null } });
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(body: &Value) -> LifecycleObject {
        let mut object = body.clone();
        object["metadata"]["name"] = "t".into();
        serde_json::from_value(object).unwrap()
    }

    fn full() -> LifecycleRecord {
        let lifecycle = Lifecycle {
            state: "dirty".into(),
            min_count: 1,
            max_count: 2,
            lifespan: Some(GoDuration::from_nanos(172_800_000_000_000)),
            config: Some(LifecycleConfig { r#type: "c".to_owned(), content: "x: y\n".to_owned() }),
            needs: [("a".into(), 1)].into(),
            ..Lifecycle::new("t".into())
        };
        LifecycleRecord { lifecycle, draining: true }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let plain = LifecycleRecord { lifecycle: Lifecycle::new("t".into()), draining: false };
        for record in [full(), plain] {
            assert_eq!(read(&object(&body(&record))), record);
            assert_eq!(read_back(&record), record);
        }
    }

    #[test]
    fn a_patch_takes_off_what_is_no_longer_said() {
        let to = LifecycleRecord { lifecycle: Lifecycle::new("t".into()), draining: false };
        let patch = patch(&object(&body(&full())), &to);
        assert_eq!(
            patch,
            json!({
                "metadata": {"annotations": {DRAINING: null}},
                "spec": {
                    "state": "free", "min-count": 0, "max-count": 0, "lifespan": null, "config": null, "needs": null,
                },
            })
        );
    }
}
