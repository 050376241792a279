//! Objects that know nothing of leases: what mason's configs would be, kept by the same module.

use boskos_core::LifecycleConfig;
use boskos_kube::{Collection, Definition, Meta, Object, ReadError, WriteError, install};
use boskos_mason::{
    MasonConfig, Storage,
    storage::{Keeper, StorageError},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_server::{runtime, shared};

const TYPE: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "metadata":{"name":"masonconfigs.mason.example.org"},
    "spec":{"group":"mason.example.org","scope":"Namespaced","names":{"kind":"MasonConfig","plural":"masonconfigs"},
    "versions":[{"name":"v1","served":true,"storage":true,
    "schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#;

/// A config, named as its type is.
#[derive(Clone, Deserialize)]
struct ConfigObject {
    metadata: Meta,
    spec: ConfigSpec,
}

#[derive(Clone, Deserialize)]
struct ConfigSpec {
    needs: std::collections::BTreeMap<String, u32>,
    config: LifecycleConfig,
}

/// Keeps each config as an object.
struct ObjectKeeper(Collection<ConfigObject>);

impl Object for ConfigObject {
    const DEFINITION: Definition =
        Definition { group: "mason.example.org", version: "v1", plural: "masonconfigs", kind: "MasonConfig" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl ConfigObject {
    fn config(self) -> MasonConfig {
        let needs = self.spec.needs.into_iter().map(|(r#type, count)| (r#type.into(), count)).collect();
        MasonConfig { name: self.metadata.name.into(), needs, config: self.spec.config }
    }
}

fn body(config: &MasonConfig) -> Value {
    let needs: Value = config.needs.iter().map(|(r#type, count)| (r#type.as_str().to_owned(), json!(count))).collect();
    json!({ "spec": { "needs": needs, "config": config.config } })
}

/// What takes off needs that there were before.
fn patch(from: &ConfigObject, to: &MasonConfig) -> Value {
    let mut patch = body(to);
    let needs = patch["spec"]["needs"].as_object_mut().unwrap();
    for gone in from.spec.needs.keys() {
        needs.entry(gone.clone()).or_insert(Value::Null);
    }
    patch
}

fn read(error: ReadError) -> StorageError {
    StorageError::Unreachable(error.to_string())
}

fn written(error: WriteError, name: &boskos_core::ResourceType) -> StorageError {
    if matches!(error, WriteError::Missing) {
        return StorageError::Missing(name.clone());
    }
    StorageError::Unreachable(error.to_string())
}

impl Keeper for ObjectKeeper {
    async fn add(&self, config: MasonConfig) -> Result<(), StorageError> {
        match self.0.create(config.name.as_str(), body(&config)).await {
            Ok(_) => Ok(()),
            Err(WriteError::Conflict) => Err(StorageError::Exists(config.name)),
            Err(error) => Err(written(error, &config.name)),
        }
    }

    async fn get(&self, name: &boskos_core::ResourceType) -> Result<MasonConfig, StorageError> {
        let object = self.0.get(name.as_str()).await.map_err(read)?;
        object.map(ConfigObject::config).ok_or_else(|| StorageError::Missing(name.clone()))
    }

    async fn list(&self) -> Result<Vec<MasonConfig>, StorageError> {
        Ok(self.0.list().await.map_err(read)?.items.into_iter().map(ConfigObject::config).collect())
    }

    async fn update(&self, config: MasonConfig) -> Result<(), StorageError> {
        let name = config.name.as_str();
        let object = self.0.get(name).await.map_err(read)?.ok_or_else(|| StorageError::Missing(config.name.clone()))?;
        let done = self.0.patch(name, object.metadata.resource_version, patch(&object, &config)).await;
        done.map(drop).map_err(|error| written(error, &config.name))
    }

    async fn delete(&self, name: &boskos_core::ResourceType) -> Result<(), StorageError> {
        let object = self.0.get(name.as_str()).await.map_err(read)?;
        let meta = object.ok_or_else(|| StorageError::Missing(name.clone()))?.metadata;
        let done = self.0.delete(&meta.name, &meta.uid, meta.resource_version).await;
        done.map_err(|error| written(error, name))
    }
}

fn config(name: &str, needs: &[(&str, u32)]) -> MasonConfig {
    MasonConfig {
        name: name.into(),
        needs: needs.iter().map(|(r#type, count)| ((*r#type).into(), *count)).collect(),
        config: LifecycleConfig { r#type: "Creator".to_owned(), content: "a: b\n".to_owned() },
    }
}

#[test]
fn masons_configs_can_be_kept_as_objects() {
    let api = shared();
    let client = api.client();
    runtime().block_on(install(&client, &serde_json::from_str(TYPE).unwrap())).unwrap();
    api.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "masonconfigs.mason.example.org"]);
    let namespace = api.namespace("mason");
    let storage = Storage::new(ObjectKeeper(Collection::new(client, &namespace)));
    let (one, two) = (config("one", &[("a", 1)]), config("two", &[("a", 2), ("b", 1)]));
    runtime().block_on(async {
        storage.add(one.clone()).await.unwrap();
        assert_eq!(storage.add(one.clone()).await, Err(StorageError::Exists("one".into())));
        assert_eq!(storage.get(&"two".into()).await, Err(StorageError::Missing("two".into())));
        assert_eq!(storage.update(two.clone()).await, Err(StorageError::Missing("two".into())));
        assert_eq!(storage.delete(&"two".into()).await, Err(StorageError::Missing("two".into())));
        assert_eq!(storage.sync([one.clone(), two.clone()]).await, Ok(1));
        assert_eq!(storage.sync([one.clone(), two.clone()]).await, Ok(0));
    });
    api.kubectl(&["-n", &namespace, "label", "masonconfig", "two", "team=x"]);
    let fewer = config("two", &[("b", 3)]);
    runtime().block_on(async {
        assert_eq!(storage.sync([fewer.clone(), config("three", &[])]).await, Ok(3));
        assert_eq!(storage.list().await.unwrap(), [config("three", &[]), fewer]);
    });
    assert_eq!(api.object(&namespace, "masonconfig", "two")["metadata"]["labels"]["team"], "x");
}
