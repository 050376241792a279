//! What answers requests, and its place in a connection.

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header::CONNECTION, request::Parts};
use hyper::body::{Body, Incoming};

use super::{reply::Reply, reply_body::ReplyBody, request_body::RequestBody, server::Server, traffic::Traffic};

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Whether [`Service::call`] wants the body of this request. Where it does not, the body is read and thrown away
    /// before the call, so that a call that waits can tell a client that hung up from one that is still sending.
    fn reads_body(&self, head: &Parts) -> bool;

    /// Answers one request.
    ///
    /// The future is dropped when the client hangs up before the answer.
    fn call(&self, head: &Parts, body: RequestBody) -> impl Future<Output = Reply> + Send;
}

/// One connection's way to the service.
#[derive(Debug)]
pub(crate) struct Caller<S> {
    server: Arc<Server<S>>,
    traffic: Arc<Traffic>,
}

impl<S: Service> Caller<S> {
    pub(crate) fn new(server: Arc<Server<S>>, traffic: Arc<Traffic>) -> Self {
        Self { server, traffic }
    }

    /// Takes note of a request before anything of it is awaited; `None` if it has no body.
    pub(crate) fn begin(&self, incoming: Incoming) -> Option<Incoming> {
        let has_body = !incoming.is_end_stream();
        self.traffic.called(has_body);
        has_body.then_some(incoming)
    }

    /// Answers a request that has begun.
    pub(crate) async fn answer(&self, head: &mut Parts, incoming: Option<Incoming>) -> Response<ReplyBody> {
        let reply = match incoming {
            None => self.server.service.call(head, RequestBody::none()).await,
            // Boxed, as every call's future is moved into hyper in full size, and most have no body.
            Some(incoming) => Box::pin(self.answer_with_body(head, incoming)).await,
        };
        let response = self.hand_over(reply, head);
        self.traffic.answered();
        response
    }

    async fn answer_with_body(&self, head: &Parts, incoming: Incoming) -> Reply {
        let Server { service, limits, .. } = &*self.server;
        let body = RequestBody::new(incoming, self.traffic.clone(), limits.body_bytes, limits.body);
        if service.reads_body(head) {
            return service.call(head, body).await;
        }
        match body.discard().await {
            Ok(()) => service.call(head, RequestBody::none()).await,
            Err(error) => error.reply(),
        }
    }

    /// Ties the reply's delivery, if it has one, to the moment its last byte is in the write buffer.
    fn hand_over(&self, reply: Reply, head: &mut Parts) -> Response<ReplyBody> {
        let mut response = reply.into_response(std::mem::take(&mut head.headers));
        if self.server.ends_connections() {
            // Said beforehand: a client would lose a request that it sends into one that is closed.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(delivery) = response.body_mut().take_delivery() {
            // hyper asks such bodies for nothing: the head is all there is.
            let ends_with_head = head.method == Method::HEAD
                || response.body().is_end_stream()
                || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            if ends_with_head {
                self.traffic.encoded(delivery);
            } else {
                response.body_mut().report_end(delivery, self.traffic.clone());
            }
        }
        response
    }
}
