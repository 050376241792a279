//! The promise that an answer reached its connection.

/// What hangs on an answer reaching its connection, for example a grant.
///
/// A delivery that is dropped without [`Delivery::delivered`] was not delivered: its `Drop` undoes what the reply
/// promised. Either happens on the connection's task, so neither may block.
pub trait Delivery: Send {
    /// The socket accepted every byte of the reply.
    fn delivered(self: Box<Self>);
}
