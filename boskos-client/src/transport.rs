//! Calls on their way: credentials, timeouts, bounded answers, bounded retries.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use boskos_core::shown::ShownError;
use boskos_runtime::text;
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::de::DeserializeOwned;

use crate::{
    Clock, Error,
    credentials::Credentials,
    retry::{ATTEMPTS, Delays},
    server_url::ServerUrl,
};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// Characters kept of what a server says of an error.
const MAX_TEXT: usize = 500;

/// How long a call may take beyond what it asks the server to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// One try of a call.
    pub(crate) call: Duration,
    /// The least time between two acquires of one waiter.
    pub(crate) pace: Duration,
    /// The longest wait asked for.
    pub(crate) wait: Duration,
}

/// When a call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Done twice it does no more than once.
    Always,
    /// Only where the server cannot have done it.
    IfNotDone,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'a str, &'a str)>,
    /// JSON, mostly; may hold secrets and is never shown.
    pub(crate) body: Option<Secret>,
    /// What the server was asked to wait.
    pub(crate) wait: Duration,
    pub(crate) again: Again,
}

/// Up to where a listing of a server goes; of use to that server alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence(pub(crate) String);

/// Bytes that are not shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    is_json: bool,
    /// Up to where a listing goes.
    pub(crate) sequence: Option<Sequence>,
    body: Vec<u8>,
}

/// The HTTP client with what every call needs.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    url: ServerUrl,
    credentials: Option<Credentials>,
    pub(crate) times: Times,
    pub(crate) clock: Clock,
    /// Answers below 500 so far.
    answers: AtomicU64,
}

// === impl Times ===

impl Default for Times {
    fn default() -> Self {
        Self { call: Duration::from_secs(30), pace: Duration::from_secs(3), wait: Duration::from_secs(50) }
    }
}

// === impl Secret ===

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path, Again::Always)
    }

    pub(crate) fn post(path: &'a str, again: Again) -> Self {
        Self::new(Method::POST, path, again)
    }

    fn new(method: Method, path: &'a str, again: Again) -> Self {
        Self { method, path, query: Vec::new(), body: None, wait: Duration::ZERO, again }
    }

    pub(crate) fn with<const N: usize>(mut self, query: [(&'a str, &'a str); N]) -> Self {
        self.query.extend(query);
        self
    }
}

// === impl Transport ===

impl Transport {
    pub(crate) fn new(
        http: reqwest::Client,
        url: ServerUrl,
        credentials: Option<Credentials>,
        times: Times,
        clock: Clock,
    ) -> Self {
        Self { http, url, credentials, times, clock, answers: AtomicU64::new(0) }
    }

    /// The server's URL, without secrets.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// How many answers below 500 there were so far, whatever was asked.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Sends a call, again where that is allowed, until there is an answer below 500.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut delays = Delays::of_call();
        for attempt in 1.. {
            let (error, may_repeat) = match self.try_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if attempt == ATTEMPTS || !may_repeat {
                return Err(error);
            }
            let delay = delays.next_delay();
            tracing::debug!(%error, path = call.path, attempt, ?delay, "trying again");
            self.clock.sleep(delay).await;
        }
        unreachable!("the last attempt returns");
    }

    /// One try, and whether another may be made if it fails.
    async fn try_once(&self, call: &Call<'_>) -> Result<Answer, (Error, bool)> {
        let url = self.url.join(call.path, &call.query);
        let timeout = self.times.call + call.wait;
        let answer = match tokio::time::timeout(timeout, self.exchange(call, url)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure { error, sent })) => return Err((error, !sent || call.again == Again::Always)),
            Err(_) => return Err((Error::TimedOut { url: self.url(), timeout }, call.again == Again::Always)),
        };
        if answer.status.is_server_error() {
            let error =
                Error::Unavailable { url: self.url(), status: answer.status.as_u16(), text: answer.said(call.path) };
            // 503 is what a server says that did nothing.
            let may_repeat = call.again == Again::Always || answer.status == StatusCode::SERVICE_UNAVAILABLE;
            return Err((error, may_repeat));
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    async fn exchange(&self, call: &Call<'_>, url: Url) -> Result<Answer, Failure> {
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials.header());
        }
        if let Some(Secret(body)) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        } else if call.method == Method::POST {
            // Some proxies refuse a POST without a length.
            request = request.body(Vec::new());
        }
        let mut response = request.send().await.map_err(|error| self.failure(error))?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| value.starts_with("application/json"));
        let sequence = response.headers().get("boskos-sequence").and_then(|value| value.to_str().ok());
        let sequence = sequence.map(|text| Sequence(text.to_owned()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let what = format!("an answer of more than {} MiB", MAX_ANSWER >> 20);
                return Err(Failure { error: Error::NotBoskos { url: self.url(), what }, sent: true });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, is_json, sequence, body })
    }

    fn failure(&self, error: reqwest::Error) -> Failure {
        let sent = !(error.is_connect() || error.is_builder());
        let is_astray = error.is_redirect();
        let error = error.without_url();
        let mut cause = String::new();
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            let said = error.to_string();
            // Each layer repeats what is below it.
            if !cause.contains(&said) {
                let separator = if cause.is_empty() { "" } else { ": " };
                write!(cause, "{separator}{said}").expect("a String takes what is written");
            }
            next = error.source();
        }
        let (url, cause) = (self.url(), fit(&cause));
        match is_astray {
            true => Failure { error: Error::NotBoskos { url, what: cause }, sent },
            false => Failure { error: Error::Unreachable { url, cause }, sent },
        }
    }

    /// The error that an answer other than 200 stands for.
    pub(crate) fn refusal(&self, path: &str, answer: &Answer) -> Error {
        let text = answer.said(path);
        let status = answer.status.as_u16();
        match status {
            404 if text.contains("resource type") && text.contains("does not exist") => Error::TypeNotFound { text },
            404 if answer.is_refusal() => Error::NotFound { text },
            401 if text.contains("owner mismatch") => Error::NotOwner { text },
            401 | 403 | 407 => Error::Unauthorized { url: self.url(), status, text },
            409 => Error::WrongState { text },
            400 | 413 | 414 | 431 => Error::BadRequest { text },
            _ => Error::NotBoskos { url: self.url(), what: format!("{path} is answered {status} {text}") },
        }
    }

    /// The value in a body that must be JSON.
    pub(crate) fn value<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            // Its own text may quote user data.
            let what = match error.classify() {
                serde_json::error::Category::Eof if answer.body.is_empty() => "is answered with nothing",
                serde_json::error::Category::Eof => "is answered with half a JSON text",
                serde_json::error::Category::Data => "is answered with JSON of another shape",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is not answered with JSON",
            };
            Error::NotBoskos { url: self.url(), what: format!("{path} {what}") }
        })
    }

    /// Sends a call of `/api/v1` and reads its answer; what is no JSON is an older server's.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        Ok(self.ask_up_to(call).await?.0)
    }

    /// The same, with the answer's sequence.
    pub(crate) async fn ask_up_to<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<(T, Option<Sequence>), Error> {
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK if answer.is_json => Ok((self.value(call.path, &answer)?, answer.sequence)),
            StatusCode::OK if answer.body.is_empty() => {
                Err(Error::OlderServer { url: self.url(), path: call.path.to_owned() })
            }
            StatusCode::OK => {
                Err(Error::NotBoskos { url: self.url(), what: format!("{} is not answered with JSON", call.path) })
            }
            _ => Err(self.refusal(call.path, &answer)),
        }
    }
}

struct Failure {
    error: Error,
    /// Whether the server may have seen the call.
    sent: bool,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// Whether it says that there is no such thing in the words of a boskos server: anything else at the URL says 404
    /// to paths that it does not know.
    fn is_refusal(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        text.contains("no available resource") || serde_json::from_slice::<ShownError>(&self.body).is_ok()
    }

    /// What the server says of an error, fit for one line.
    fn said(&self, path: &str) -> String {
        if path == "/update" && self.status == StatusCode::BAD_REQUEST {
            // It may quote the user data that was sent.
            return "the server refuses the update as malformed".to_owned();
        }
        let text = match serde_json::from_slice::<ShownError>(&self.body) {
            Ok(shown) => shown.error,
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        fit(&text)
    }
}

/// `text` without passwords, on one line, not too long.
fn fit(text: &str) -> String {
    let clean = without_basic(&text::without_userinfo(text.trim()));
    let line = text::one_line(&clean);
    line.chars().take(MAX_TEXT).collect()
}

/// `text` with `***` in place of what follows `Basic`, where that is a user and a password: some proxies answer with
/// the request that they refuse.
fn without_basic(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut clean = String::with_capacity(text.len());
    let mut after_basic = false;
    for word in text.split_inclusive(|c: char| !is_token(c)) {
        let token = word.trim_end_matches(|c: char| !is_token(c));
        let hidden = after_basic && BASE64_STANDARD.decode(token).is_ok_and(|user| user.contains(&b':'));
        clean.push_str(if hidden { "***" } else { token });
        clean.push_str(&word[token.len()..]);
        after_basic = token.eq_ignore_ascii_case("basic") || after_basic && token.is_empty();
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::without_basic;

    #[test]
    fn credentials_are_left_out_wherever_they_are_repeated() {
        for (text, clean) in [
            ("authorization: Basic bWU6d29yZA==\r\nhost: x", "authorization: Basic ***\r\nhost: x"),
            (r#"{"Proxy-Authorization":"basic bWU6d29yZA=="}"#, r#"{"Proxy-Authorization":"basic ***"}"#),
            ("Basic: [bWU6d29yZA==]", "Basic: [***]"),
            ("Basic authentication is wanted, Basic realm=\"x\"", "Basic authentication is wanted, Basic realm=\"x\""),
            ("basic", "basic"),
            ("grün Basic ✓", "grün Basic ✓"),
        ] {
            assert_eq!(without_basic(text), clean);
        }
    }
}
