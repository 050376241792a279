//! What every store guarantees, in a namespace.

use std::{path::Path, sync::Arc};

use boskos_core::ranch::plan::Record;
use boskos_kube::{Client, Fence, Lease};
use boskos_server::store::{
    KubernetesStore, Store,
    kubernetes::{KubernetesOptions, LEASE, Outage, Warm},
};

use crate::{
    api_server::{runtime, shared},
    store_claims::{Kind, claims_hold_on},
    store_support::Contents,
};

/// A store in a namespace, as the only replica.
pub(crate) fn open(client: Client, namespace: &str) -> KubernetesStore {
    let lease = Arc::new(Lease::new(client.clone(), namespace, LEASE));
    let namespace = namespace.to_owned();
    let warm = Arc::new(Warm::new(&client, &namespace));
    let (fence, outage) = (Fence::open(), Outage::default());
    let options = KubernetesOptions { client, namespace, lease, holder: None, fence, warm, outage };
    KubernetesStore::new(options, runtime().handle().clone())
}

struct Kubernetes;

impl Kind for Kubernetes {
    const MANY: u32 = 600;

    fn open(dir: &Path) -> Arc<dyn Store> {
        let server = shared();
        // One folder is one namespace.
        let noted = dir.join("namespace");
        let namespace = std::fs::read_to_string(&noted).unwrap_or_else(|_| {
            let namespace = server.namespace("claim");
            std::fs::write(&noted, &namespace).unwrap();
            namespace
        });
        let store = open(server.client(), &namespace);
        // Which a server does before anything else.
        store.load(&mut Contents::default()).unwrap();
        Arc::new(store)
    }

    fn kept(contents: &mut Contents) {
        let mut records: Vec<Record> = std::mem::take(&mut contents.resources).into_values().collect();
        records.sort_by(|one, other| one.resource.name.cmp(&other.resource.name));
        for record in &mut records {
            (record.sequence, record.last_transition) = (0, 0);
            record.resource.last_update = record.resource.last_update.whole_seconds();
            record.resource.expiration = record.resource.expiration.map(|at| at.whole_seconds());
        }
        contents.resources = (0..).zip(records).collect();
        contents.places.clear();
        contents.totals.clear();
        (contents.sequence, contents.place_number) = (0, 0);
    }

    fn name(index: usize, _text: &str) -> String {
        format!("r{index}")
    }
}

claims_hold_on! {
    kubernetes: Kubernetes,
}
