//! Plans that touch a common object are carried out in the order in which they came.

use boskos_core::{
    ResourceName, ResourceType,
    ranch::plan::{Plan, Write},
};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Who comes after whom. See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    /// The end of the last plan that touches an object.
    last: HashMap<Touched, (u64, oneshot::Receiver<()>)>,
    next: u64,
}

/// An object that a plan is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Touched {
    Resource(ResourceName),
    Lifecycle(ResourceType),
}

/// One plan's turn: it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    touched: Vec<Touched>,
    before: Vec<oneshot::Receiver<()>>,
    ended: Vec<oneshot::Sender<()>>,
}

// === impl Turns ===

impl Turns {
    /// Lines up behind those that touch the same objects.
    pub(super) fn line_up(&self, all: impl IntoIterator<Item = Touched>) -> Turn {
        let mut lines = self.0.lock();
        lines.next += 1;
        let number = lines.next;
        let mut turn = Turn { number, touched: Vec::new(), before: Vec::new(), ended: Vec::new() };
        for touched in all {
            if turn.touched.contains(&touched) {
                continue;
            }
            let (ended, end) = oneshot::channel();
            if let Some((_, before)) = lines.last.insert(touched.clone(), (number, end)) {
                turn.before.push(before);
            }
            turn.touched.push(touched);
            turn.ended.push(ended);
        }
        turn
    }

    /// The turn is over: those behind it may go on.
    pub(super) fn end(&self, turn: Turn) {
        let mut lines = self.0.lock();
        for touched in &turn.touched {
            if lines.last.get(touched).is_some_and(|(number, _)| *number == turn.number) {
                lines.last.remove(touched);
            }
        }
    }
}

// === impl Turn ===

impl Turn {
    /// Waits until all before it have ended.
    pub(super) async fn come(&mut self) {
        for before in self.before.drain(..) {
            // The sender is dropped at the end and says nothing.
            let _ = before.await;
        }
    }
}

// === impl Touched ===

impl Touched {
    /// What a plan touches.
    pub(super) fn all_by(plan: &Plan) -> impl Iterator<Item = Self> {
        plan.writes.iter().filter_map(Self::by)
    }

    fn by(write: &Write) -> Option<Self> {
        match write {
            Write::Put(put) => Some(Self::Resource(put.record.resource.name.clone())),
            Write::Delete(delete) => Some(Self::Resource(delete.name.clone())),
            Write::PutLifecycle(record) => Some(Self::Lifecycle(record.lifecycle.r#type.clone())),
            Write::DeleteLifecycle(r#type) => Some(Self::Lifecycle(r#type.clone())),
            Write::PutPlace(_) | Write::DeletePlace(_) => None,
        }
    }
}
