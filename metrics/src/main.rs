//! The metrics daemon.

use std::process::ExitCode;

use boskos_client::frame::Frame;
use boskos_metrics::{Board, Collector, Watcher, Web, flags::Flags};
use boskos_runtime::listen;

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-metrics", || metrics(flags))
}

async fn metrics(flags: Flags) -> anyhow::Result<ExitCode> {
    let frame = Frame::start("boskos-metrics", "Metrics", &flags.daemon).await?;
    let types = flags.types.select(frame.client.clock())?;
    let listener = listen::bind(flags.daemon.listen.listen_address, flags.port, "port")?;
    tracing::info!(http = %listener.local_addr()?, "serving");
    let board = Board::new(flags.states(), frame.client.clock().clone(), frame.readiness.clone());
    frame.registry.register(Box::new(Collector::new(board.clone())?))?;
    let watcher = Watcher::new(frame.client.clone(), frame.work.clone(), types, board.clone());
    let web = Web::new(frame.client.clone(), board, frame.readiness.clone());
    let shutdown = frame.shutdown.clone();
    let served = tokio::spawn(web.serve(listener, async move {
        shutdown.triggered().await;
    }));
    // One pass at a time is all there is.
    let code = frame.run(watcher, 1).await?;
    served.await?;
    Ok(code)
}
