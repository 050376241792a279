//! Clusters made of accounts, as mason makes them.

use boskos_cleaner::{Cleaner, OWNER};
use boskos_client::{
    Client, Error, Resource, ResourceName,
    frame::{Frame, Pass as _, Pool},
    types::TypeSelection,
};
use boskos_core::leased::{LEASED_RESOURCES, format_leased};
use boskos_runtime::signal::Shutdown;
use boskos_testkit::Server;

/// `clusters` clusters and an account for each.
pub(crate) async fn server(clusters: usize) -> Server {
    Server::start(&config(clusters)).await
}

pub(crate) fn config(clusters: usize) -> String {
    let names: Vec<String> = (0..clusters).map(|number| format!("account-{number:04}")).collect();
    let names = names.join(", ");
    format!(
        "resources:
- {{type: account, state: free, names: [{names}]}}
- {{type: cluster, state: raw, min-count: {clusters}, max-count: {clusters}, needs: {{account: 1}}}}
- {{type: fixed, state: toBeDeleted, names: [fixed]}}
"
    )
}

/// Makes a cluster of `count` accounts, in state `state`.
pub(crate) async fn make(mason: &Client, count: usize, state: &str) -> (ResourceName, Vec<ResourceName>) {
    let cluster = loop {
        // The server makes clusters in its own time.
        match mason.acquire("cluster", "raw", "cleaning").await {
            Ok(cluster) => break cluster.name,
            Err(error) if error.is_none_now() => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(mason.acquire("account", "free", "leased").await.unwrap().name);
    }
    note(mason, &cluster, &format_leased(&parts)).await;
    for part in &parts {
        mason.release(part.as_str(), cluster.as_str()).await.unwrap();
    }
    mason.release(cluster.as_str(), state).await.unwrap();
    (cluster, parts)
}

/// Writes `leasedResources` of a cluster that is held and `cleaning`.
pub(crate) async fn note(mason: &Client, cluster: &ResourceName, text: &str) {
    let note = [(LEASED_RESOURCES.to_owned(), Some(text.to_owned()))].into();
    mason.update(cluster.as_str(), "cleaning", &note).await.unwrap();
}

pub(crate) fn cleaner(client: &Client) -> (Cleaner, Frame) {
    let frame = Frame::assemble("boskos-cleaner", client.clone(), Shutdown::new()).unwrap();
    (Cleaner::new(client.clone(), frame.work.clone(), TypeSelection::all()), frame)
}

/// One pass and all that it started.
pub(crate) async fn pass(cleaner: &mut Cleaner) {
    let mut pool = Pool::new(15, Shutdown::new());
    cleaner.pass(&mut pool).await.unwrap();
    pool.idle().await;
}

pub(crate) async fn find(client: &Client, name: &ResourceName) -> Option<Resource> {
    match client.resource(name.as_str()).await {
        Ok(resource) => Some(resource),
        Err(Error::NotFound { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn cleaner_client(server: &Server) -> Client {
    server.client(OWNER)
}
