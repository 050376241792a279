//! HTTP/1 in front of whatever answers: connections, their limits and deadlines, and the one thing a lease
//! server must know that HTTP libraries do not tell: whether an answer left this process.
//!
//! [`serve`] takes a [`Listener`], a [`Service`], [`Limits`] and a future that says when to stop. A service gets
//! the head of a request and its [`RequestBody`], and returns a [`Reply`], which may carry a [`Delivery`].
//!
//! Architecture invariants:
//!
//! - A service's future is dropped as soon as the client hangs up (a FIN counts), so it must hold nothing that its
//!   drop does not give back.
//! - A [`Delivery`] is delivered if and only if the socket accepted every byte of its reply.
//! - Every task that is started here is joined before [`Draining::drained`] returns.

mod alarm;
mod connection;
mod delivery;
mod limits;
mod linger;
mod listener;
pub mod path;
pub mod query;
mod refusal;
mod reply;
mod reply_body;
mod request_body;
mod server;
mod service;
mod traffic;
mod watched;

pub use delivery::Delivery;
pub use limits::Limits;
pub use listener::Listener;
pub use reply::Reply;
pub use reply_body::{BodySender, BrokenOff, ReplyBody, Unread};
pub use request_body::{BodyError, RequestBody};
pub use server::{Drained, Draining, serve};
pub use service::Service;
