//! Closing a connection whose client may still be sending.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, timeout},
};

/// Throws away what still arrives until the client closes, for at most `limit`.
///
/// Closing a socket with unread bytes sends RST, which makes the client lose the answer that it has not read yet.
pub(crate) async fn linger<I: AsyncRead + Unpin>(mut io: I, limit: Duration) {
    let mut waste = [0; 4096];
    let drain = async { while matches!(io.read(&mut waste).await, Ok(count) if count > 0) {} };
    // Past the limit the client has had its chance.
    let _ = timeout(limit, drain).await;
}

/// Sends a whole response, ends the stream and lingers, for at most `limit` each.
pub(crate) async fn say_and_linger<I>(mut io: I, response: &[u8], limit: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let say = async {
        io.write_all(response).await?;
        io.shutdown().await
    };
    if let Ok(Ok(())) = timeout(limit, say).await {
        linger(io, limit).await;
    }
}
