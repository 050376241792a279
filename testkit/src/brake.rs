//! A way to a server that can be stopped.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A way to a server that can be stopped as SIGSTOP stops one: connections are taken, and nothing comes of them until it
/// goes on.
pub struct Brake {
    address: SocketAddr,
    stopped: watch::Sender<bool>,
    /// What went through to the server, as text.
    asked: Arc<Mutex<String>>,
}

impl Brake {
    /// A way to `server`, open.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stopped) = (listener.local_addr().unwrap(), watch::Sender::new(false));
        let asked = Arc::new(Mutex::new(String::new()));
        let (brake, log) = (stopped.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (here, _) = listener.accept().await.unwrap();
                let (stopped, log) = (brake.subscribe(), Arc::clone(&log));
                tokio::spawn(async move {
                    let there = TcpStream::connect(server).await.unwrap();
                    let ((from_here, to_here), (from_there, to_there)) = (here.into_split(), there.into_split());
                    tokio::join!(
                        carry(from_here, to_there, stopped.clone(), Some(log)),
                        carry(from_there, to_here, stopped, None)
                    );
                });
            }
        });
        Self { address, stopped, asked }
    }

    /// Where to call.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets nothing through from now on.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Lets through what was held back, and what comes.
    pub fn go_on(&self) {
        self.stopped.send_replace(false);
    }

    /// How often `text` went through to the server.
    pub fn count(&self, text: &str) -> usize {
        self.asked.lock().matches(text).count()
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut stopped: watch::Receiver<bool>,
    log: Option<Arc<Mutex<String>>>,
) {
    let mut bytes = Vec::new();
    while from.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        if stopped.wait_for(|stopped| !stopped).await.is_err() {
            return;
        }
        if let Some(log) = &log {
            log.lock().push_str(&String::from_utf8_lossy(&bytes));
        }
        to.write_all(&bytes).await.ok();
        bytes.clear();
    }
    to.shutdown().await.ok();
}
