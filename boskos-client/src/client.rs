//! The client: one value per server and owner.

mod acquire;
mod api;
mod give_back;
mod grant;
mod update;

use std::sync::Arc;

use boskos_core::{Owner, Resource};

use crate::{
    ClientBuilder, Clock,
    held::{Held, Loose},
    transport::Transport,
};

pub(crate) use self::give_back::{Release, Since};
pub use self::{api::HistoryRow, give_back::ReleaseAllError};

/// Speaks to one server for one owner. Clones are the same client.
///
/// It knows what it was granted ([`Client::held`]); `release_all`, `update_all` and `sync_all` touch that and nothing
/// else, since replicas of a daemon share an owner's name.
///
/// Every call has a timeout. Connection errors and answers from 500 on are tried again, up to
/// [`crate::retry::ATTEMPTS`] times with growing jittered delays, where doing the call twice does no harm.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    owner: Owner,
    held: Arc<Held>,
}

// === impl Client ===

impl Client {
    /// A client of the server at `url`, which acquires for `owner`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), boskos_client::BuildError> {
    /// let client = boskos_client::Client::builder("http://boskos", "my-job-17").build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder(url: impl Into<String>, owner: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into(), owner.into())
    }

    pub(crate) fn new(transport: Transport, owner: Owner) -> Self {
        Self { shared: Arc::new(Shared { transport, owner, held: Arc::new(Held::new()) }) }
    }

    /// For whom it acquires.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.shared.owner
    }

    /// The server's URL, without user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.transport.url()
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.transport.clock
    }

    /// What this process was granted and has not given back, by name.
    #[must_use]
    pub fn held(&self) -> Vec<Resource> {
        self.shared.held.all()
    }

    /// Waits until all that was dropped is given back: grants of cancelled acquires, leases that were not released.
    /// Call it before the process ends, with a deadline.
    ///
    /// ```no_run
    /// # async fn example(client: boskos_client::Client) {
    /// let deadline = std::time::Duration::from_secs(5);
    /// if tokio::time::timeout(deadline, client.settled()).await.is_err() {
    ///     eprintln!("not given back: {:?}", client.held());
    /// }
    /// # }
    /// ```
    pub async fn settled(&self) {
        self.shared.held.settled().await;
    }

    /// No longer this process's, unless it was granted anew.
    pub(crate) fn forget(&self, name: &str, since: Since) {
        match since {
            Since::Grant(granted) => self.shared.held.remove_granted(name, granted),
            Since::Row(_) | Since::Unknown => self.shared.held.remove(name),
        }
    }

    /// Counts a task that [`Client::settled`] waits for.
    pub(crate) fn loose(&self) -> Loose {
        self.shared.held.loose()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }
}
