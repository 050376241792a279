//! What answers a request: from the path to the verb.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::{Method, request::Parts};
use boskos_core::shown::Info;

use crate::{
    api,
    http::{Reply, RequestBody, Service, path},
    instruments::Instruments,
    route::Route,
    steward::Steward,
    verb,
};

/// Everything that requests are answered from.
#[derive(Debug)]
pub struct App {
    /// Keeper of the ranch.
    pub steward: Arc<Steward>,
    /// What is counted.
    pub instruments: Arc<Instruments>,
    /// The longest that a call is parked for.
    pub max_wait: Duration,
    /// What `/api/v1/info` tells.
    pub info: Info,
}

impl App {
    async fn answer(&self, route: Route, head: &Parts, body: RequestBody) -> Reply {
        if let Some(location) = path::redirect(&head.method, &head.uri) {
            return Reply::redirect(&head.method, &location);
        }
        let query = head.uri.query().unwrap_or("");
        match route {
            Route::Acquire if head.method == Method::POST => verb::acquire::answer(self, query).await,
            Route::AcquireByState if head.method == Method::POST => verb::acquire_by_state::answer(self, query).await,
            Route::Release if head.method == Method::POST => verb::release::answer(self, query).await,
            Route::Update if head.method == Method::POST => verb::update::answer(self, query, body).await,
            Route::Reset if head.method == Method::POST => verb::reset::answer(self, query).await,
            Route::Metric if head.method == Method::GET => verb::metric::answer(self, query),
            Route::Metric => verb::wrong_method("/metric only accepts GET".to_owned(), "GET"),
            // The original names the wrong path here, and clients know it so.
            Route::AcquireByState => verb::only_post(&head.method, "/acquire"),
            Route::Acquire | Route::Release | Route::Update | Route::Reset => {
                verb::only_post(&head.method, route.label())
            }
            Route::Api => api::answer(self, head, body).await,
            Route::Unmatched => Reply::empty(),
        }
    }
}

/// Whether the body of this request means anything.
pub(crate) fn reads_body(head: &Parts) -> bool {
    head.method == Method::POST && matches!(Route::of(head.uri.path()), Route::Update | Route::Api)
}

impl Service for App {
    fn reads_body(&self, head: &Parts) -> bool {
        reads_body(head)
    }

    async fn call(&self, head: &Parts, body: RequestBody) -> Reply {
        let start = Instant::now();
        let route = Route::of(head.uri.path());
        let reply = self.answer(route, head, body).await;
        let took = start.elapsed();
        self.instruments.request(route, &head.method, &reply, took);
        // Not what was called for: a query may hold what is nobody's business.
        let (path, status) = (route.label(), reply.status().as_u16());
        tracing::debug!(path, method = %head.method, status, seconds = took.as_secs_f64(), "request");
        reply
    }
}
