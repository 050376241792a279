//! The metrics port: `/metrics` in the text format of Prometheus.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use hyper::{StatusCode, header::HeaderValue};
use prometheus::{Encoder as _, Gauge, IntGauge, Opts, Registry, TextEncoder};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    port::{self, Answer},
    process::ProcessMetrics,
    version,
};

/// A registry with `boskos_build_info` and what is told of the process itself. Make it early: the start time is now.
///
/// # Errors
///
/// When the library refuses one of the names, which none has a reason to.
pub fn registry() -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let labels = [("version", version::VERSION), ("commit", version::COMMIT)];
    let opts =
        labels.iter().fold(Opts::new("boskos_build_info", "Which build this is; always 1."), |opts, (name, value)| {
            opts.const_label(*name, *value)
        });
    let build = IntGauge::with_opts(opts)?;
    build.set(1);
    registry.register(Box::new(build))?;
    let started = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
    started.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    registry.register(Box::new(started))?;
    registry.register(Box::new(ProcessMetrics::new()?))?;
    Ok(registry)
}

/// Answers on the metrics port until `stop` ends.
///
/// One scrape is gathered at a time, on a thread of its own: collectors may take their time and hold up no request.
pub async fn serve(listener: TcpListener, registry: Registry, stop: impl Future<Output = ()>) {
    let one = Arc::new(Semaphore::new(1));
    let respond = move |path: String| {
        let (registry, one) = (registry.clone(), Arc::clone(&one));
        async move {
            if path != "/metrics" {
                return port::text(StatusCode::NOT_FOUND, "404 page not found\n");
            }
            let permit = one.acquire_owned().await.expect("the semaphore is never closed");
            let gathered = tokio::task::spawn_blocking(move || {
                let answer = scrape(&registry);
                // Held to here: a scraper that hangs up ends its wait, not the gathering.
                drop(permit);
                answer
            });
            gathered.await.unwrap_or_else(|_| port::text(StatusCode::INTERNAL_SERVER_ERROR, "a collector panicked\n"))
        }
    };
    port::serve(listener, respond, stop).await;
}

fn scrape(registry: &Registry) -> Answer {
    let encoder = TextEncoder::new();
    let mut body = Vec::new();
    let Err(error) = encoder.encode(&registry.gather(), &mut body) else {
        let content_type = HeaderValue::from_static(prometheus::TEXT_FORMAT);
        return port::answer(StatusCode::OK, content_type, body);
    };
    tracing::error!(error = &error as &dyn std::error::Error, "metrics cannot be encoded");
    port::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n")
}
