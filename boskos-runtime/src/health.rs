//! The health port: `/healthz` tells that the process is alive, `/healthz/ready` that it does its work.

use std::sync::Arc;

use hyper::StatusCode;
use tokio::{net::TcpListener, sync::watch};

use crate::{port, text};

/// Whether the process does its work, shared by who knows and who tells. Clones are the same.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// What it waits for, or nothing when ready.
    waits_for: Arc<watch::Sender<Option<Arc<str>>>>,
}

/// Answers on the health port until `stop` ends.
///
/// Keep it up while draining: not ready, but alive.
pub async fn serve(listener: TcpListener, readiness: Readiness, stop: impl Future<Output = ()>) {
    let respond = move |path: String| {
        let answer = match path.as_str() {
            "/healthz" => port::text(StatusCode::OK, "OK"),
            "/healthz/ready" => match readiness.reason() {
                None => port::text(StatusCode::OK, "OK"),
                Some(reason) => port::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}")),
            },
            _ => port::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        std::future::ready(answer)
    };
    port::serve(listener, respond, stop).await;
}

// === impl Readiness ===

impl Readiness {
    /// Not ready yet, for this reason. Reasons are shown to who asks and must hold no secrets.
    #[must_use]
    pub fn not_ready(reason: &str) -> Self {
        Self { waits_for: Arc::new(watch::Sender::new(Some(text::one_line(reason).into()))) }
    }

    /// From now on ready; true if it was not before.
    pub fn set_ready(&self) -> bool {
        self.waits_for.send_replace(None).is_some()
    }

    /// From now on not ready, for this reason; true if it was ready before.
    pub fn set_not_ready(&self, reason: &str) -> bool {
        self.waits_for.send_replace(Some(text::one_line(reason).into())).is_none()
    }

    /// Whether it is ready now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.waits_for.borrow().is_none()
    }

    /// Why it is not ready now, or nothing if it is.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<str>> {
        self.waits_for.borrow().clone()
    }

    /// Waits until it is ready; at once if it is. Safe to cancel.
    pub async fn ready(&self) {
        let mut waits_for = self.waits_for.subscribe();
        waits_for.wait_for(Option::is_none).await.expect("self holds the sender");
    }
}
