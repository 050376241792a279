//! One connection.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    alarm::Alarm,
    linger::{linger, say_and_linger},
    server::Server,
    service::{Caller, Service},
    traffic::{Phase, Traffic},
    watched::Watched,
};

const LINE_TOO_LONG: &[u8] = b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// As HTTP foresees.
    Done,
    /// By an error of the client, the network, or a reply that broke off.
    Failed(hyper::Error),
    /// By a client that was waited for too long.
    Overdue(Phase),
}

/// Serves one connection to its end.
pub(crate) async fn run<I, S>(io: I, server: Arc<Server<S>>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service,
{
    let traffic = Arc::new(Traffic::new(server.limits.head_bytes));
    let caller = Arc::new(Caller::new(server.clone(), traffic.clone()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut head, incoming) = request.into_parts();
        let incoming = caller.begin(incoming);
        let caller = caller.clone();
        async move { Ok::<_, Infallible>(caller.answer(&mut head, incoming).await) }
    });
    let watched = TokioIo::new(Watched::new(io, traffic.clone()));
    let mut http = server.http.serve_connection(watched, service);

    let mut alarm = Alarm::new();
    let mut stopped = pin!(server.stop.notified());
    // Polled once: it keeps this task's waker, and the flag tells the rest.
    let mut is_listening = false;
    let mut is_stopping = false;
    let end = poll_fn(|cx| {
        traffic.woken();
        if !is_listening {
            is_listening = true;
            let _ = stopped.as_mut().poll(cx);
        }
        let mut http = Pin::new(&mut http);
        let mut end = http.as_mut().poll(cx);
        if end.is_pending() && !is_stopping && server.stop.is_given() {
            // Only now, after what has already arrived was taken up.
            is_stopping = true;
            alarm.hurry(Instant::now() + server.limits.stragglers);
            http.as_mut().graceful_shutdown();
            end = http.as_mut().poll(cx);
        }
        match end {
            Poll::Ready(Ok(())) => Poll::Ready(End::Done),
            Poll::Ready(Err(error)) => Poll::Ready(End::Failed(error)),
            Poll::Pending => alarm.poll(cx, &traffic, &server.limits).map(End::Overdue),
        }
    })
    .await;

    let io = http.into_parts().io.into_inner().into_inner();
    traffic.ended();
    let limit = server.limits.linger;
    match end {
        End::Failed(_) if traffic.is_line_too_long() => say_and_linger(io, LINE_TOO_LONG, limit).await,
        End::Failed(error) if error.is_parse() => {
            tracing::debug!(%error, "malformed request");
            linger(io, limit).await;
        }
        End::Failed(error) => tracing::debug!(%error, "connection failed"),
        End::Done if traffic.has_unread_body() => linger(io, limit).await,
        End::Done => {}
        End::Overdue(phase) => tracing::debug!(?phase, "connection overdue"),
    }
}
