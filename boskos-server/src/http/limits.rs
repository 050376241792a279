//! What one server and one connection may use.

use std::time::Duration;

/// Bounds on everything a client can make the HTTP layer hold or wait for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections served at once; one more is answered 503 and closed.
    pub connections: usize,
    /// Connections being answered 503 at once; one more is closed without a word.
    pub refusals: usize,
    /// How long a connection may be silent between requests. Go clients keep theirs 90 s and lose a request that
    /// meets a close, so this must stay well above that.
    pub idle: Duration,
    /// How long a request's head may take from its first byte.
    pub head: Duration,
    /// How long a request's body may take from the end of its head.
    pub body: Duration,
    /// How long a reply may wait for the client to take its next byte.
    pub write: Duration,
    /// How long, once a stop has begun, a request that is not whole yet or a reply that is not taken may hold it up.
    pub stragglers: Duration,
    /// How long what a client still sends is thrown away after an answer that did not wait for it. Closing at once
    /// would reset the connection, and the client would lose the answer.
    pub linger: Duration,
    /// Bytes of a request's head, the request line included (431; 414 if the line alone is longer).
    pub head_bytes: usize,
    /// Bytes of a request's body (413).
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            refusals: 256,
            idle: Duration::from_secs(120),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            stragglers: Duration::from_secs(1),
            linger: Duration::from_secs(1),
            head_bytes: 64 * 1024,
            body_bytes: 1024 * 1024,
        }
    }
}
