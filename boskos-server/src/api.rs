//! `/api/v1`: what readers beyond the original's clients ask for.

pub mod config_diff;
pub mod history;
pub mod info;
pub mod lifecycles;
pub mod queue;
pub mod resources;
pub mod types;

use ::http::{Method, StatusCode, request::Parts};
use boskos_core::shown::ShownError;
use serde::Serialize;

use crate::{
    app::App,
    http::{Reply, RequestBody},
};

/// Answers a request below `/api/v1`.
pub(crate) async fn answer(app: &App, head: &Parts, body: RequestBody) -> Reply {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or("");
    let below: Vec<&str> = path.strip_prefix("/api/v1/").unwrap_or("").split('/').collect();
    if below == ["config", "diff"] {
        if head.method != Method::POST {
            return wrong_method(&head.method, path, "POST");
        }
        return config_diff::answer(app, body).await;
    }
    let known = matches!(
        below[..],
        ["resources" | "types" | "lifecycles" | "queue" | "info"] | ["resources", _] | ["resources", _, "history"]
    );
    if known && head.method != Method::GET && head.method != Method::HEAD {
        return wrong_method(&head.method, path, "GET");
    }
    match below[..] {
        ["resources"] => resources::list(app, query).await,
        ["resources", name] => resources::one(app, &decoded(name)),
        ["resources", name, "history"] => history::answer(app, &decoded(name), query).await,
        ["types"] => types::answer(app).await,
        ["lifecycles"] => lifecycles::answer(app),
        ["queue"] => queue::answer(app).await,
        ["info"] => info::answer(app),
        _ => error(StatusCode::NOT_FOUND, &format!("no such path: {path}")),
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn wrong_method(method: &Method, path: &str, allowed: &'static str) -> Reply {
    error(StatusCode::METHOD_NOT_ALLOWED, &format!("{path} takes {allowed}, not {method}"))
        .with_header(::http::header::ALLOW, ::http::HeaderValue::from_static(allowed))
}

/// An error as JSON.
fn error(status: StatusCode, text: &str) -> Reply {
    json(&ShownError { error: text.to_owned() }).with_status(status)
}

fn no_such_resource(name: &str) -> Reply {
    error(StatusCode::NOT_FOUND, &format!("no resource is called {name:?}"))
}

fn json(value: &impl Serialize) -> Reply {
    Reply::json(serde_json::to_string(value).expect("keys are text and no value refuses"))
}
