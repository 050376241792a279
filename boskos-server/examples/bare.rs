//! The yardstick of the benchmarks: hyper alone, answering a constant body to everything.

use std::{convert::Infallible, net::Ipv4Addr};

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As long as a resource is on the wire: 150 bytes.
static BODY: &[u8] = br#"{"type":"gce-project","name":"project-0000001","state":"busy","owner":"bench","lastupdate":"2006-01-02T15:04:05.123456789Z","userdata":{},"pad":"xxx"}"#;

#[derive(Debug, Parser)]
struct Args {
    /// The port to listen on, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    assert_eq!(BODY.len(), 150, "the yardstick must not change its length");
    let args = Args::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let http = http1::Builder::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(answer));
        // The yardstick is killed, so nobody waits for its connections.
        tokio::spawn(connection);
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(BODY))))
}
