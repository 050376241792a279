//! Answers, and what undoes the grants in them.

use std::sync::{Arc, Weak};

use boskos_core::ranch::command::{Receipt, Reply};

use super::Steward;
use crate::http::Delivery;

/// A reply to one call. Dropped with a grant in it, it has the grant undone.
#[derive(Debug)]
pub struct Answer {
    reply: Option<Reply>,
    steward: Weak<Steward>,
}

/// A grant that is undone when this is dropped, unless its answer was delivered.
#[derive(Debug)]
pub struct Undo {
    receipt: Option<Receipt>,
    steward: Weak<Steward>,
}

impl Answer {
    pub(super) fn new(reply: Reply, steward: &Arc<Steward>) -> Self {
        Self { reply: Some(reply), steward: Arc::downgrade(steward) }
    }

    /// An answer that is under the steward's lock still, where nothing may be undone by a drop.
    pub(super) fn undecided(reply: Reply) -> Self {
        Self { reply: Some(reply), steward: Weak::new() }
    }

    pub(super) fn bind(mut self, steward: &Arc<Steward>) -> Self {
        self.steward = Arc::downgrade(steward);
        self
    }

    /// The reply, and with a grant what undoes it.
    #[must_use]
    pub fn open(mut self) -> (Reply, Undo) {
        let mut reply = self.reply.take().expect("an answer is opened once");
        let receipt = receipt_of(&mut reply);
        (reply, Undo { receipt, steward: self.steward.clone() })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let (Some(receipt), Some(steward)) = (self.reply.as_mut().and_then(receipt_of), self.steward.upgrade()) {
            steward.undo(receipt);
        }
    }
}

/// Takes out what undoes the grant in a reply, if it is one.
pub(super) fn receipt_of(reply: &mut Reply) -> Option<Receipt> {
    match reply {
        Reply::Granted(granted) => Some(granted.receipt.take()),
        Reply::GrantedAll(_, receipt) => Some(receipt.take()),
        Reply::Done | Reply::Reset(_) | Reply::Synced | Reply::Watched | Reply::Refused(_) => None,
    }
}

impl Undo {
    /// Whether there is something to undo.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.receipt.is_some()
    }
}

impl Delivery for Undo {
    fn delivered(mut self: Box<Self>) {
        self.receipt = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let (Some(receipt), Some(steward)) = (self.receipt.take(), self.steward.upgrade()) {
            steward.undo(receipt);
        }
    }
}
