//! The answer to one connection too many.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Duration, timeout},
};

use super::linger::say_and_linger;

const RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    x-content-type-options: nosniff\r\n\
    retry-after: 1\r\n\
    content-length: 22\r\n\
    connection: close\r\n\
    \r\n\
    Too many connections.\n";

/// Answers 503 to the first request of a connection that will not be served.
///
/// It waits for the request's head first: clients take an answer that comes before their request for a broken
/// connection. Each of its three steps takes at most `limit`.
pub(crate) async fn refuse<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, limit: Duration) {
    let mut head = [0; 1024];
    let mut tail = [0; 4];
    let read_head = async {
        loop {
            match io.read(&mut head).await {
                Ok(count) if count > 0 => {
                    for byte in &head[..count] {
                        tail.rotate_left(1);
                        tail[3] = *byte;
                        if &tail == b"\r\n\r\n" {
                            return true;
                        }
                    }
                }
                Ok(_) | Err(_) => return false,
            }
        }
    };
    if let Ok(true) = timeout(limit, read_head).await {
        say_and_linger(io, RESPONSE, limit).await;
    }
}
