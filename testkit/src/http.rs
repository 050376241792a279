//! HTTP spoken by hand: one request, one answer, then the connection ends.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /acquire?type=t HTTP/1.1` and the headers.
    pub head: String,
    /// What follows them.
    pub body: Vec<u8>,
}

/// Status, content type, body.
pub type Answer = (u16, &'static str, String);

// === impl Request ===

impl Request {
    /// Reads one; none if the connection ends before it does.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let mut body = bytes.split_off(end);
        let request = Self { head: String::from_utf8(bytes).unwrap(), body: Vec::new() };
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        while body.len() < length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        Some(Self { body, ..request })
    }

    /// Its method and target: `POST /acquire?type=t`.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap()
    }

    /// The path of its target.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.split([' ', '?']).nth(1).unwrap()
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Sends it to `server`: the connection that the answer comes on. None if there is no server.
    pub(crate) async fn send_to(&self, server: SocketAddr) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(server).await.ok()?;
        let (line, headers) = self.head.split_once("\r\n").unwrap();
        let head = format!("{line}\r\nConnection: close\r\n{headers}");
        stream.write_all(&[head.as_bytes(), &self.body].concat()).await.ok()?;
        Some(stream)
    }
}

/// Writes an answer and ends the connection; a caller that is gone does not matter.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), (status, content_type, body): Answer) {
    let text = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}
