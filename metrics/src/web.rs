//! The port for programs and browsers: `GET /?type=T`, and a page.

use std::time::Duration;

use boskos_client::{Client, Error};
use boskos_core::wire;
use boskos_runtime::{
    health::Readiness,
    port::{self, Answer, HeaderMap, HeaderValue, Method, Parts, StatusCode, header},
};
use tokio::net::TcpListener;

use crate::{Board, html, query};

/// How long the server may take to answer; callers have their own limits, and do not wait for all our retries.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Answers on that port.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client,
    board: Board,
    readiness: Readiness,
}

// === impl Web ===

impl Web {
    /// Asks through `client` for one type, and shows `board` to browsers.
    #[must_use]
    pub fn new(client: Client, board: Board, readiness: Readiness) -> Self {
        Self { client, board, readiness }
    }

    /// Answers until `stop` ends.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let respond = move |request: Parts| {
            let web = self.clone();
            async move { web.answer(&request).await }
        };
        port::serve_requests(listener, respond, stop).await;
    }

    async fn answer(&self, request: &Parts) -> Answer {
        if request.method != Method::GET {
            let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "only accepts GET request");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        let wanted = query::first(request.uri.query().unwrap_or_default(), "type").filter(|text| !text.is_empty());
        match wanted {
            Some(r#type) => self.json(&r#type).await,
            None if wants_html(&request.headers) => self.page(),
            None => refusal(StatusCode::BAD_REQUEST, "type must be set in the request."),
        }
    }

    /// What the server says now; what it said before would look as fresh.
    async fn json(&self, r#type: &str) -> Answer {
        match tokio::time::timeout(ANSWER_WAIT, self.client.metric(r#type)).await {
            Ok(Ok(metric)) => port::answer(StatusCode::OK, JSON, wire::metric_as_told(&metric)),
            Ok(Err(Error::NotFound { text } | Error::TypeNotFound { text })) => refusal(StatusCode::NOT_FOUND, &text),
            Ok(Err(error)) => unavailable(&error.to_string()),
            Err(_) => unavailable(&format!("no answer from {} within {} s", self.client.url(), ANSWER_WAIT.as_secs())),
        }
    }

    fn page(&self) -> Answer {
        let page = html::page(&self.board, self.readiness.reason().as_deref());
        let mut answer = port::answer(StatusCode::OK, HTML, page);
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("text/html")
    })
}

fn refusal(status: StatusCode, text: &str) -> Answer {
    let mut answer = port::text(status, format!("{text}\n"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn unavailable(text: &str) -> Answer {
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, text);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    answer
}
