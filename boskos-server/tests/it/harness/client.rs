//! A client that shows bytes as they are.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::with_capacity(1024, stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends the head of a request without a body, and without a Content-Length.
    pub(crate) fn send_request(&mut self, method: &str, target: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: boskos\r\n\r\n"));
    }

    pub(crate) fn request(&mut self, method: &str, target: &str) -> Response {
        self.send_request(method, target);
        let response = self.head();
        if method == "HEAD" { response } else { self.body_of(response) }
    }

    /// Posts the way scripts do: JSON under the content type of forms.
    pub(crate) fn post_body(&mut self, target: &str, body: &str) -> Response {
        self.send(format!(
            "POST {target} HTTP/1.1\r\nHost: boskos\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        self.body_of(head)
    }

    /// The answer, or `None` if the connection ends before its first byte.
    pub(crate) fn response_or_end(&mut self) -> Option<Response> {
        let ended = match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => {
                assert!(error.kind() == ErrorKind::ConnectionReset, "no answer and no end: {error}");
                true
            }
        };
        (!ended).then(|| self.response())
    }

    /// Hangs up as far as the server can tell; what it still sends can be read.
    pub(crate) fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Everything until the server ends the connection, in order or not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut read) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        read
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.stream.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap_or_else(|error| panic!("no line: {error}"));
        assert!(line.ends_with("\r\n"), "a line broke off: {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    fn head(&mut self) -> Response {
        let line = self.line();
        let status = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("a status line: {line:?}"));
        let status = status.split(' ').next().unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Response { status, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn body_of(&mut self, mut response: Response) -> Response {
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                self.read_into(&mut response.body, size);
                assert_eq!(self.line(), "");
                if size == 0 {
                    return response;
                }
            }
        }
        let size = response.header("content-length").map_or(0, |size| size.parse().unwrap());
        self.read_into(&mut response.body, size);
        response
    }

    fn read_into(&mut self, body: &mut Vec<u8>, size: usize) {
        let start = body.len();
        body.resize(start + size, 0);
        self.stream.read_exact(&mut body[start..]).unwrap();
    }
}

// === impl Response ===

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{:?}", String::from_utf8_lossy(&self.body));
        self
    }

    /// An error as the wire has them: plain text and one newline.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text()), (status, format!("{text}\n").as_str()));
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()));
    }

    /// A success as most of the wire has them: plain text.
    #[track_caller]
    pub(crate) fn expect_text(&self, text: &str) {
        self.expect_status(200);
        assert_eq!(without_times(self.text()), text);
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("x-content-type-options"), None);
    }

    #[track_caller]
    pub(crate) fn expect_empty(&self) {
        assert_eq!((self.status, self.text()), (200, ""));
        assert_eq!(self.header("content-length"), Some("0"));
    }

    /// An error of the API.
    #[track_caller]
    pub(crate) fn expect_json_error(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.json()), (status, serde_json::json!({ "error": text })));
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}

/// `body` with each time in it, whose form is checked, replaced by `T`.
pub(crate) fn without_times(body: &str) -> String {
    let mut text = body.to_owned();
    for key in ["\"lastupdate\":\"", "\"expiration-date\":\""] {
        let mut from = 0;
        while let Some(at) = text[from..].find(key) {
            let start = from + at + key.len();
            let end = start + text[start..].find('"').unwrap();
            assert_is_time(&text[start..end]);
            text.replace_range(start..end, "T");
            from = start;
        }
    }
    text
}

/// RFC 3339 in UTC with a `Z`; the fraction, if any, has no trailing zero.
#[track_caller]
pub(crate) fn assert_is_time(time: &str) {
    assert_is_rfc3339(time);
    assert!(!time.contains('.') || !time.ends_with("0Z"), "{time} has a trailing zero");
}

/// RFC 3339 in UTC with a `Z`.
#[track_caller]
pub(crate) fn assert_is_rfc3339(time: &str) {
    let digits: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (whole, rest) = digits.split_at(19);
    assert_eq!(whole, "0000-00-00T00:00:00", "{time}");
    if rest != "Z" {
        let fraction =
            rest.strip_prefix('.').and_then(|rest| rest.strip_suffix('Z')).unwrap_or_else(|| panic!("{time}"));
        assert!((1..=9).contains(&fraction.len()) && fraction.chars().all(|c| c == '0'), "{time}");
    }
}
