//! Serving clients until told to stop.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::http::{self, Drained, Limits, Service};

/// How long requests in flight may take to finish once the server stops.
const DRAIN: Duration = Duration::from_secs(20);

/// How often calls that came in late are released while the server drains.
const RELEASE_EVERY: Duration = Duration::from_millis(50);

/// A port that is served. Dropped, it drains by itself, for no time.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: oneshot::Sender<Instant>,
    draining: oneshot::Receiver<()>,
    drained: JoinHandle<Drained>,
}

impl Serving {
    /// Begins to have `service` answer what comes to the port.
    pub(crate) fn begin(listener: TcpListener, service: Arc<impl Service>, limits: Limits) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (begun, draining) = oneshot::channel();
        let drained = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_else(|_| Instant::now()) };
            let rest = http::serve(listener, service, limits, stopped).await;
            // Nobody asks where nobody stops it.
            let _ = begun.send(());
            rest.drained().await
        });
        Self { stop, draining, drained }
    }

    /// Stops in order: no new connections, waiting callers answered, requests in flight finished.
    pub(crate) async fn stop(mut self, release_waiters: impl Fn()) {
        // The receivers are gone only if serving ended by itself.
        let _ = self.stop.send(Instant::now() + DRAIN);
        // Only now does every answer say that its connection ends with it.
        let _ = self.draining.await;
        let drained = loop {
            // Calls that came in after the last round may have been parked.
            release_waiters();
            tokio::select! {
                drained = &mut self.drained => break drained,
                () = sleep(RELEASE_EVERY) => {}
            }
        };
        match drained {
            Ok(Drained { cut: 0 }) => {}
            Ok(Drained { cut }) => tracing::warn!(cut, "requests were cut at the end of the drain"),
            Err(failed) => tracing::error!(error = %failed, "serving ended abnormally"),
        }
    }
}
