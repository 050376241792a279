//! Answers, and what undoes the grants in them.

use std::sync::{Arc, Weak};

use boskos_core::ranch::command::{Receipt, Reply};

use super::Steward;
use crate::http::Delivery;

/// A reply to one call. Dropped with a grant in it, it has the grant undone.
#[derive(Debug)]
pub struct Answer {
    reply: Reply,
    undo: Option<Undo>,
}

/// A grant that is undone when this is dropped, unless its answer was delivered.
#[derive(Debug)]
pub struct Undo {
    receipt: Option<Receipt>,
    steward: Weak<Steward>,
}

// === impl Answer ===

impl Answer {
    /// Not under the steward's lock: a drop may ask for an undo.
    pub(super) fn new(mut reply: Reply, steward: &Arc<Steward>) -> Self {
        let undo =
            receipt_of(&mut reply).map(|receipt| Undo { receipt: Some(receipt), steward: Arc::downgrade(steward) });
        Self { reply, undo }
    }

    /// The reply, and with a grant what undoes it.
    #[must_use]
    pub fn open(self) -> (Reply, Option<Undo>) {
        (self.reply, self.undo)
    }
}

/// Takes out what undoes the grant in a reply, if it is one.
pub(super) fn receipt_of(reply: &mut Reply) -> Option<Receipt> {
    match reply {
        Reply::Granted(granted) => Some(granted.receipt.take()),
        Reply::GrantedAll(_, receipt) => Some(receipt.take()),
        Reply::Done | Reply::Reset(_) | Reply::Synced | Reply::Watched { .. } | Reply::Refused(_) => None,
    }
}

// === impl Undo ===

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
