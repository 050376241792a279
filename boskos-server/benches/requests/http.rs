//! A client that blocks: one connection, one request at a time.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// Longer than anything measured here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes taken from the socket in one go.
const READ_BYTES: usize = 64 * 1024;

/// One kept connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

enum Length {
    Bytes(u64),
    Chunks,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(READ_BYTES, stream) })
    }

    pub(crate) fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.send(&request("GET", target, ""))?;
        self.answer()
    }

    pub(crate) fn post(&mut self, target: &str, body: &str) -> anyhow::Result<Answer> {
        self.send(&request("POST", target, body))?;
        self.answer()
    }

    /// Posts without a body, insists on 200 and gives the body.
    pub(crate) fn must_post(&mut self, target: &str) -> anyhow::Result<Vec<u8>> {
        let Answer { status, body } = self.post(target, "")?;
        ensure!(status == 200, "POST {} was answered {status}: {}", shown(target), shown_body(&body));
        Ok(body)
    }

    /// Gets and throws the body away; how long it was.
    pub(crate) fn drain(&mut self, target: &str) -> anyhow::Result<u64> {
        self.send(&request("GET", target, ""))?;
        let mut bytes = 0;
        let status = self.read(|part| bytes += part.len() as u64)?;
        ensure!(status == 200, "GET {target} was answered {status}");
        Ok(bytes)
    }

    /// Sends a request as it is, to be answered with [`Self::answer`].
    pub(crate) fn send(&mut self, request: &str) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(request.as_bytes()).context("cannot send a request")
    }

    pub(crate) fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut body = Vec::new();
        let status = self.read(|part| body.extend_from_slice(part))?;
        Ok(Answer { status, body })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    fn read(&mut self, mut part: impl FnMut(&[u8])) -> anyhow::Result<u16> {
        let (status, length) = self.head()?;
        match length {
            Length::Bytes(bytes) => self.bytes(bytes, &mut part)?,
            Length::Chunks => loop {
                let line = self.line()?;
                let bytes = u64::from_str_radix(&line, 16).with_context(|| format!("not a chunk's length: {line}"))?;
                self.bytes(bytes, &mut part)?;
                self.line()?;
                if bytes == 0 {
                    break;
                }
            },
        }
        Ok(status)
    }

    fn head(&mut self) -> anyhow::Result<(u16, Length)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("not a status line: {first:?}"))?;
        let mut length = Length::Bytes(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunks;
            }
        }
        Ok((status, length))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).context("no answer")? == 0 {
            bail!("the connection was closed under a request");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn bytes(&mut self, mut left: u64, part: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        while left > 0 {
            let buffer = self.stream.fill_buf().context("an answer broke off")?;
            ensure!(!buffer.is_empty(), "an answer broke off");
            let take = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            part(&buffer[..take]);
            self.stream.consume(take);
            left -= take as u64;
        }
        Ok(())
    }
}

/// A request's text.
pub(crate) fn request(method: &str, target: &str, body: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Enough of a target to know it by.
fn shown(target: &str) -> &str {
    target.get(..120).unwrap_or(target)
}

fn shown_body(body: &[u8]) -> String {
    let mut start = String::new();
    // A failed read leaves less to show.
    let _ = body.take(200).read_to_string(&mut start);
    start
}
