//! What the tests of client, daemons and server share. None of them depends on it for anything else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod brake;
mod daemon;
mod flags;
mod http;
mod logs;
mod port;
mod proxy;
mod server;
mod stub;

use std::time::Duration;

use boskos_client::{Client, Resource};

pub use self::{
    brake::Brake,
    daemon::{Daemon, command, run},
    flags::spellings,
    http::{Answer, Request},
    logs::Logs,
    port::free_port,
    proxy::{Loss, Proxy},
    server::Server,
    stub::{OlderServer, Stub, answer_one, silent, turning},
};

/// What must happen is waited for this long; a machine under load may need much of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// State and owner of a resource as the server has them.
pub async fn look(client: &Client, name: &str) -> (String, String) {
    let Resource { state, owner, .. } = client.resource(name).await.unwrap();
    (state.as_str().to_owned(), owner.map_or_else(String::new, |owner| owner.as_str().to_owned()))
}

/// Waits until `check` holds.
///
/// # Panics
///
/// If it never does.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
