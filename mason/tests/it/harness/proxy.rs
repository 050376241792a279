//! A proxy before a server: counts calls that change something, and may make it look old.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A proxy in this process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    counted: Arc<AtomicUsize>,
    /// Whether the last call that is let through was carried out.
    pub(crate) cut: watch::Receiver<bool>,
}

// === impl Proxy ===

impl Proxy {
    /// Lets `last` calls that change something through; the answer to the last one and all calls after it are lost.
    pub(crate) async fn cutting(server: SocketAddr, last: usize) -> Self {
        Self::start(server, last, false).await
    }

    /// Answers `/api/v1` as an older server does.
    pub(crate) async fn older(server: SocketAddr) -> Self {
        Self::start(server, usize::MAX, true).await
    }

    async fn start(server: SocketAddr, last: usize, is_older: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::new(AtomicUsize::new(0));
        let (tell, cut) = watch::channel(false);
        let (counter, tell) = (Arc::clone(&counted), Arc::new(tell));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, server, last, is_older, Arc::clone(&counter), Arc::clone(&tell)));
            }
        });
        Self { address, counted, cut }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.counted.load(Ordering::SeqCst)
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    last: usize,
    is_older: bool,
    counted: Arc<AtomicUsize>,
    tell: Arc<watch::Sender<bool>>,
) -> Option<()> {
    let request = read(&mut client).await?;
    let text = String::from_utf8_lossy(&request).into_owned();
    if is_older && text.starts_with("GET /api/v1") {
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.ok()?;
        return Some(());
    }
    let number = if text.starts_with("POST ") { counted.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    if number > last || *tell.borrow() {
        return None;
    }
    let mut upstream = TcpStream::connect(server).await.ok()?;
    upstream.write_all(text.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.ok()?;
    if number == last {
        tell.send_replace(true);
        // Held until the process is gone: an answer that is lost is asked for again.
        std::future::pending::<()>().await;
    }
    client.write_all(&answer).await.ok()?;
    client.shutdown().await.ok()
}

/// One request with its body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let whole = end + length.unwrap_or(0);
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(bytes)
}
