//! What stands before the app where a server serves only while it leads.

use std::sync::Arc;

use ::http::{StatusCode, request::Parts};
use boskos_kube::Fence;
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::{
    app::{self, App},
    http::{Reply, RequestBody, Service},
    instruments::Instruments,
    route::Route,
    steward::Steward,
};

/// Seconds after which a client may find a leader here.
const RETRY_AFTER_SECONDS: u64 = 3;

/// True whether another leads, none does yet, or the objects are out of reach.
const STANDING_BY: &str =
    "not serving now: another replica leads, or the Kubernetes API cannot be reached; try again later";

/// Lets requests through to whatever serves now, and answers 503 to all others.
#[derive(Debug)]
pub struct Gate {
    reign: RwLock<Option<Arc<Reign>>>,
    instruments: Arc<Instruments>,
}

/// What serves, and for how long it may.
#[derive(Debug)]
struct Reign {
    app: App,
    fence: Fence,
}

// === impl Gate ===

impl Gate {
    /// A gate that is closed.
    #[must_use]
    pub fn closed(instruments: Arc<Instruments>) -> Self {
        Self { reign: RwLock::new(None), instruments }
    }

    /// Lets requests through to `app` as long as `fence` is open.
    pub fn open(&self, app: App, fence: Fence) {
        *self.reign.write() = Some(Arc::new(Reign { app, fence }));
    }

    /// Lets nothing through any more. Requests that wait are answered when the fence is shut.
    pub fn close(&self) {
        *self.reign.write() = None;
    }

    /// The keeper of the ranch that is served now.
    pub fn steward(&self) -> Option<Arc<Steward>> {
        self.reign.read().as_ref().map(|reign| reign.app.steward.clone())
    }

    fn standby(&self, head: &Parts, since: Instant) -> Reply {
        let reply = Reply::error(StatusCode::SERVICE_UNAVAILABLE, STANDING_BY).with_retry_after(RETRY_AFTER_SECONDS);
        self.instruments.request(Route::of(head.uri.path()), &head.method, &reply, since.elapsed());
        reply
    }
}

impl Service for Gate {
    fn reads_body(&self, head: &Parts) -> bool {
        app::reads_body(head)
    }

    async fn call(&self, head: &Parts, body: RequestBody) -> Reply {
        let since = Instant::now();
        let reign = self.reign.read().clone();
        let Some(reign) = reign.filter(|reign| reign.fence.is_open()) else { return self.standby(head, since) };
        let reply = tokio::select! {
            reply = reign.app.call(head, body) => reply,
            () = reign.fence.until_shut() => return self.standby(head, since),
        };
        // A process that was stopped in between must not tell what another may have changed since.
        if reign.fence.is_open() { reply } else { self.standby(head, since) }
    }
}
