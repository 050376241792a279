//! Answers.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use hyper::body::Body;

use super::{delivery::Delivery, reply_body::ReplyBody};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// One answer to one request.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    /// Further headers; rarely any.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: ReplyBody,
}

impl Reply {
    /// 200 without a body.
    #[must_use]
    pub fn empty() -> Self {
        Self { status: StatusCode::OK, content_type: None, headers: Vec::new(), body: ReplyBody::empty() }
    }

    /// 200 with `body` as plain text.
    #[must_use]
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::empty().with_body(TEXT, ReplyBody::full(body))
    }

    /// 200 with `body` as JSON.
    #[must_use]
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::empty().with_body(JSON, ReplyBody::full(body))
    }

    /// 200 with JSON in chunks.
    #[must_use]
    pub fn json_stream(body: ReplyBody) -> Self {
        Self::empty().with_body(JSON, body)
    }

    /// An error: `text` and a newline.
    #[must_use]
    pub fn error(status: StatusCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push('\n');
        Self::text(text).with_status(status).with_header(X_CONTENT_TYPE_OPTIONS, NOSNIFF)
    }

    /// A temporary redirect (307: method and body stay) to `location`, a path with its query. Browsers that do not
    /// follow it are shown a link.
    #[must_use]
    pub fn redirect(method: &Method, location: &str) -> Self {
        let mut reply = Self::empty().with_status(StatusCode::TEMPORARY_REDIRECT);
        if method == Method::GET || method == Method::HEAD {
            let link = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape_html(location));
            reply = reply.with_body(HTML, ReplyBody::full(link));
        }
        // A location made of a request's target holds no control characters; one that does is left out.
        match HeaderValue::try_from(escape_non_ascii(location)) {
            Ok(location) => reply.with_header(LOCATION, location),
            Err(_) => reply,
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with another body of the given type.
    #[must_use]
    pub fn with_body(mut self, content_type: HeaderValue, body: ReplyBody) -> Self {
        self.content_type = Some(content_type);
        self.body.replace(body);
        self
    }

    /// The same, asking the client to come back after `seconds`.
    #[must_use]
    pub fn with_retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The same, closing the connection behind it.
    #[must_use]
    pub fn closing(self) -> Self {
        self.with_header(CONNECTION, CLOSE)
    }

    /// The same with something that hangs on its delivery, if there is such a thing.
    #[must_use]
    pub fn with_delivery(mut self, delivery: Option<impl Delivery + 'static>) -> Self {
        if let Some(delivery) = delivery {
            self.body.set_delivery(Box::new(delivery));
        }
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The bytes of the body, where they are known beforehand.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Takes the request's own header map for the response: hyper takes it back for the next request, so that a
    /// connection needs no more than the one.
    pub(crate) fn into_response(self, mut headers: HeaderMap) -> Response<ReplyBody> {
        headers.clear();
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn escape_non_ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            escaped.extend(percent_encoding::utf8_percent_encode(
                character.encode_utf8(&mut [0; 4]),
                percent_encoding::NON_ALPHANUMERIC,
            ));
        }
    }
    escaped
}
