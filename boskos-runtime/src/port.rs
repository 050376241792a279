//! A small HTTP server for probes, scrapes and plain pages: few connections, one request on each, every step bounded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
pub use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{self, HeaderValue},
    http::request::Parts,
};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::signal::{Cause, Shutdown, drain};

/// Connections at a time; further ones wait in the backlog.
const CONNECTIONS: usize = 64;
/// From a connection to the end of its request's header.
const HEADER_WAIT: Duration = Duration::from_secs(10);
/// From a connection to its end: one answer, slowly read.
const CONNECTION_WAIT: Duration = Duration::from_secs(60);
/// From the stop to the end of the last connection.
const DRAIN_WAIT: Duration = Duration::from_secs(2);
/// Pause after an accept that failed, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request's header.
const HEADER_BYTES: usize = 16 * 1024;

/// One answer, whole.
pub type Answer = Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A body of plain text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

/// A body of some type.
#[must_use]
pub fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Answers GET (and HEAD) requests by their path with `respond` until `stop` ends, then lets the last ones finish.
pub(crate) async fn serve<R, F>(listener: TcpListener, respond: R, stop: impl Future<Output = ()>)
where
    R: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let respond = Arc::new(respond);
    let respond = move |request: Parts| {
        let respond = Arc::clone(&respond);
        async move {
            if request.method != Method::GET && request.method != Method::HEAD {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                return answer;
            }
            respond(request.uri.path().to_owned()).await
        }
    };
    serve_requests(listener, respond, stop).await;
}

/// Answers requests with `respond`, whatever their method, until `stop` ends, then lets the last ones finish. Their
/// bodies are not read.
pub async fn serve_requests<R, F>(listener: TcpListener, respond: R, stop: impl Future<Output = ()>)
where
    R: Fn(Parts) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let respond = Arc::new(respond);
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let stopping = Shutdown::new();
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, Arc::clone(&respond), stopping.clone());
                    connections.spawn(async move {
                        // Probers come and go; what became of a connection is their matter.
                        tokio::time::timeout(CONNECTION_WAIT, connection).await.ok();
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = accept => {}
    }
    drop(listener);
    stopping.trigger(Cause::Requested);
    drain(DRAIN_WAIT, async { while connections.join_next().await.is_some() {} }).await.ok();
}

async fn connection<R, F>(stream: TcpStream, respond: Arc<R>, stopping: Shutdown)
where
    R: Fn(Parts) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = respond(request.into_parts().0);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(HEADER_BYTES)
        // Scrapes are seconds apart: a connection kept would only hold one of the few.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopping.triggered() => {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn connection_beyond_the_bound_is_served_when_another_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (enter, mut entered) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let respond = move |_path: String| {
            enter.send(()).unwrap();
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.unwrap().forget();
                text(StatusCode::OK, "done")
            }
        };
        tokio::spawn(serve(listener, respond, std::future::pending()));
        let mut streams = Vec::new();
        for _ in 0..=CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        for _ in 0..CONNECTIONS {
            entered.recv().await.unwrap();
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(entered.try_recv().is_err(), "one too many");
        gate.add_permits(1);
        entered.recv().await.unwrap();
        gate.add_permits(CONNECTIONS);
        for mut stream in streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("done"), "{answer}");
        }
    }
}
