//! What the HTTP layer adds to the yardstick: the same constant body, served through it.

use std::{net::Ipv4Addr, sync::Arc};

use boskos_server::http::{Delivery, Limits, Reply, RequestBody, Service, serve};
use clap::Parser;
use http::request::Parts;
use tokio::{net::TcpListener, time::Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static BODY: &[u8] = br#"{"type":"gce-project","name":"project-0000001","state":"busy","owner":"bench","lastupdate":"2006-01-02T15:04:05.123456789Z","userdata":{},"pad":"xxx"}"#;

#[derive(Debug, Parser)]
struct Args {
    /// The port to listen on, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Let a delivery hang on every reply.
    #[arg(long)]
    deliveries: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let stop = async {
        // Without a handler the process would end at once; either way it is over.
        let _ = tokio::signal::ctrl_c().await;
        Instant::now()
    };
    serve(listener, Arc::new(Constant { deliveries: args.deliveries }), Limits::default(), stop).await.drained().await;
    Ok(())
}

struct Constant {
    deliveries: bool,
}

struct Nothing(#[expect(dead_code, reason = "stands for what a grant holds")] u64);

impl Delivery for Nothing {
    fn delivered(self: Box<Self>) {}
}

impl Service for Constant {
    fn reads_body(&self, _: &Parts) -> bool {
        false
    }

    async fn call(&self, _: &Parts, _: RequestBody) -> Reply {
        let reply = Reply::text(BODY);
        if self.deliveries { reply.with_delivery(Some(Nothing(1))) } else { reply }
    }
}
