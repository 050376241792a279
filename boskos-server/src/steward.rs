//! Keeps ranch and store in step: what the ranch decides goes to the store, what the store
//! answers goes to the ranch, and replies go to whoever called.

mod drive;
mod grant;
mod halt;
mod health;
mod history;
mod outbox;
mod stall;

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use boskos_core::{
    Now, State,
    ranch::{
        Ranch, Wake,
        command::{CallId, Command, Effects, Receipt, Refusal, Reply},
        plan::{Outcome, PlanId, Sequence},
    },
};
use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::sleep,
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::grant::{Answer, Undo};
use self::outbox::Outbox;
use crate::{abort::AbortOnPanic, clock::Clock, store::Store};

/// How often it is looked whether the last writes are done.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(10);

/// The one keeper of the ranch. See the [module](self).
pub struct Steward {
    inner: Mutex<Inner>,
    store: Arc<dyn Store>,
    clock: Clock,
    /// There is something to do before the driver's next wake.
    rouse: Notify,
    outbox: Outbox,
    /// The store has kept a write to itself for too long.
    stalled: AtomicBool,
    /// Whoever reads history has it.
    history_turn: Arc<Semaphore>,
    /// The store can be written again.
    resumed: Notify,
    /// A listing has ended, and another may begin.
    listing_closed: Notify,
    /// Configs that are being applied.
    syncs: TaskTracker,
    /// Tells this ranch's sequences from those of another, which may begin anew.
    ranch_id: Uuid,
}

/// The ranch and what goes with it, locked. A panic here would leave it half changed and the lock free for the next.
struct Locked<'a> {
    // Dropped before the lock is given back.
    _abort: AbortOnPanic,
    inner: MutexGuard<'a, Inner>,
}

struct Inner {
    ranch: Ranch,
    calls: HashMap<CallId, oneshot::Sender<Answer>>,
    next_call: u64,
    effects: Effects,
    known: Vec<(PlanId, Outcome)>,
    /// When the driver wakes by itself.
    armed: Wake,
}

/// A reply on its way to the caller.
type Parcel = (oneshot::Sender<Answer>, Reply);

// === impl Steward ===

impl Steward {
    /// Takes charge of a ranch that was loaded from `store`.
    pub fn new(ranch: Ranch, store: Arc<dyn Store>, clock: Clock) -> Arc<Self> {
        let inner = Inner {
            ranch,
            calls: HashMap::new(),
            next_call: 0,
            effects: Effects::default(),
            known: Vec::new(),
            armed: Wake::default(),
        };
        let (inner, rouse, outbox) = (Mutex::new(inner), Notify::new(), Outbox::default());
        let (resumed, listing_closed) = (Notify::new(), Notify::new());
        Arc::new(Self {
            inner,
            store,
            clock,
            rouse,
            outbox,
            stalled: AtomicBool::new(false),
            history_turn: Arc::new(Semaphore::new(1)),
            resumed,
            listing_closed,
            syncs: TaskTracker::new(),
            ranch_id: Uuid::new_v4(),
        })
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether changes can be written, as far as is known: neither refused by the store nor kept waiting for it.
    pub fn is_writable(&self) -> bool {
        !self.stalled.load(Relaxed) && !self.read(|ranch, _| ranch.is_halted())
    }

    /// Told when the store can be written again, for the one who follows the config.
    pub fn resumed(&self) -> &Notify {
        &self.resumed
    }

    /// Told whenever a listing has ended: of those that are read, there are only so many at once.
    pub fn listing_closed(&self) -> &Notify {
        &self.listing_closed
    }

    /// Has the ranch decide `command` and waits for its reply.
    ///
    /// Dropped before, the caller has hung up: what is not decided yet will not be, and a grant
    /// that is gets undone.
    pub async fn call(self: &Arc<Self>, command: Command) -> Answer {
        let waiter = {
            let mut inner = self.lock();
            let now = self.clock.now();
            let call = inner.new_call();
            inner.ranch.decide(call, command, now);
            let mut own = None;
            let parcels = self.exchange(&mut inner, now, Some((call, &mut own)));
            self.rouse_if_due(&mut inner);
            let waiter = match own {
                Some(reply) => Err(Answer::new(reply, self)),
                None => {
                    let (sender, receiver) = oneshot::channel();
                    inner.calls.insert(call, sender);
                    Ok(Waiter { steward: self, call, receiver: Some(receiver) })
                }
            };
            drop(inner);
            deliver(self, parcels);
            waiter
        };
        match waiter {
            Ok(waiter) => waiter.wait().await,
            Err(answer) => answer,
        }
    }

    /// Up to where the ranch has settled, as a text that is of use to nobody but [`Self::sequence_of`].
    pub fn sequence_text(&self) -> String {
        format!("{}.{}", self.ranch_id.simple(), self.read(|ranch, _| ranch.settled_up_to()))
    }

    /// The sequence in such a text; `None` if it is not of this ranch.
    pub fn sequence_of(&self, text: &str) -> Option<Sequence> {
        let (ranch_id, sequence) = text.split_once('.')?;
        (ranch_id == self.ranch_id.simple().to_string()).then(|| sequence.parse().ok()).flatten()
    }

    /// Reads the ranch as it is now: committed forms only.
    pub fn read<T>(&self, read: impl FnOnce(&Ranch, Now) -> T) -> T {
        let inner = self.inner.lock();
        read(&inner.ranch, self.clock.now())
    }

    /// Reads with a snapshot, which the ranch keeps track of.
    pub fn with_ranch<T>(&self, access: impl FnOnce(&mut Ranch, Now) -> T) -> T {
        let mut inner = self.lock();
        let result = access(&mut inner.ranch, self.clock.now());
        self.rouse_if_due(&mut inner);
        result
    }

    /// Gives every queue place a whole TTL from now.
    pub fn extend_places(&self) {
        let now = self.clock.now();
        self.lock().ranch.extend_places(now);
    }

    /// The steps of a config follow, which names these states.
    pub fn begin_sync(self: &Arc<Self>, states: HashSet<State>) {
        self.change(|ranch, _| ranch.begin_sync(states));
    }

    /// The steps of a config are done, or given up.
    pub fn end_sync(self: &Arc<Self>) {
        self.change(|ranch, _| ranch.end_sync());
    }

    /// Answers every waiting caller now; their queue places stay.
    pub fn release_waiters(self: &Arc<Self>) {
        self.change(|ranch, now| ranch.release_waiters(now));
    }

    /// Configs that are being applied, for [`Self::wind_down`] to wait for.
    pub fn syncs(&self) -> &TaskTracker {
        &self.syncs
    }

    /// Waits until no config is being applied, nothing is being written, and every grant that nobody read is taken
    /// back: what is not written before the store closes never will be, and its owner would be someone who knows
    /// nothing of it. For when nobody calls any more and [`Self::drive`] has ended; [`Self::carry`] must go on.
    pub async fn wind_down(self: &Arc<Self>) {
        self.syncs.close();
        self.syncs.wait().await;
        loop {
            let mut done = false;
            self.change(|ranch, now| done = ranch.wind_down(now));
            if done {
                return;
            }
            sleep(LOOK_FOR_END_EVERY).await;
        }
    }

    /// Takes back a grant that nobody read.
    fn undo(self: &Arc<Self>, receipt: Receipt) {
        self.change(|ranch, now| ranch.decide(NOBODY, Command::Undo(receipt), now));
    }

    fn lock(&self) -> Locked<'_> {
        Locked { _abort: AbortOnPanic::armed(), inner: self.inner.lock() }
    }

    fn cancel(self: &Arc<Self>, call: CallId) {
        let mut inner = self.lock();
        // The sender goes first: a reply that comes up now has nowhere to go.
        let sender = inner.calls.remove(&call);
        let now = self.clock.now();
        if sender.is_some() {
            inner.ranch.cancel(call, now);
        }
        let parcels = self.exchange(&mut inner, now, None);
        self.rouse_if_due(&mut inner);
        drop(inner);
        deliver(self, parcels);
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Ranch, Now)) {
        let mut inner = self.lock();
        let now = self.clock.now();
        change(&mut inner.ranch, now);
        let parcels = self.exchange(&mut inner, now, None);
        self.rouse_if_due(&mut inner);
        drop(inner);
        deliver(self, parcels);
    }

    /// Passes plans to the store and outcomes to the ranch until there are no more, and does a
    /// bounded part of what follows. The reply of the `own` call is put aside; the others are
    /// for [`deliver`], once the lock is gone.
    fn exchange(&self, inner: &mut Inner, now: Now, mut own: Option<(CallId, &mut Option<Reply>)>) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        let mut worked = false;
        loop {
            inner.ranch.swap_effects(&mut inner.effects);
            for (call, mut reply) in inner.effects.replies.drain(..) {
                match &mut own {
                    Some((id, slot)) if *id == call => **slot = Some(reply),
                    _ => match inner.calls.remove(&call) {
                        Some(sender) => parcels.push((sender, reply)),
                        None => {
                            if let Some(receipt) = grant::receipt_of(&mut reply) {
                                inner.ranch.decide(NOBODY, Command::Undo(receipt), now);
                            }
                        }
                    },
                }
            }
            if !inner.effects.plans.is_empty() {
                self.store.submit(&mut inner.effects.plans, &mut inner.known);
                // A store that refuses at once refuses whatever comes next, and what it says of that is still on its
                // way: what is decided anew now would be refused again, for ever.
                if inner.known.iter().any(|(_, outcome)| matches!(outcome, Outcome::NotWritten)) {
                    inner.ranch.halt();
                }
            }
            if !inner.known.is_empty() {
                inner.ranch.settle(inner.known.drain(..), now);
            }
            if inner.ranch.has_effects() {
                continue;
            }
            if worked || !inner.ranch.has_work() {
                return parcels;
            }
            worked = true;
            inner.ranch.work(now);
        }
    }

    /// Wakes the driver if something is due before it would wake by itself.
    fn rouse_if_due(&self, inner: &mut Inner) {
        let wake = inner.ranch.next_wake();
        let earlier = |new: Option<_>, armed: Option<_>| new.is_some() && (armed.is_none() || new < armed);
        let armed = inner.armed;
        if wake.at_once
            || earlier(wake.mono, armed.mono)
            || wake.wall.is_some() && (armed.wall.is_none() || wake.wall < armed.wall)
        {
            inner.armed = wake;
            self.rouse.notify_one();
        }
    }
}

// === impl Locked ===

impl Deref for Locked<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

/// The call of commands whose reply nobody waits for.
const NOBODY: CallId = CallId(0);

impl Inner {
    fn new_call(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }
}

/// Hands replies to their callers. A grant whose caller has gone is undone.
fn deliver(steward: &Arc<Steward>, parcels: Vec<Parcel>) {
    for (sender, reply) in parcels {
        // A caller that has gone drops the answer, and that asks for the undo.
        drop(sender.send(Answer::new(reply, steward)));
    }
}

/// A caller that waits for its reply.
struct Waiter<'a> {
    steward: &'a Arc<Steward>,
    call: CallId,
    receiver: Option<oneshot::Receiver<Answer>>,
}

impl Waiter<'_> {
    async fn wait(mut self) -> Answer {
        let receiver = self.receiver.as_mut().expect("taken only below");
        let answer = receiver.await;
        self.receiver = None;
        answer.unwrap_or_else(|_| Answer::new(Reply::Refused(Refusal::Unavailable), self.steward))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.receiver.is_some() {
            self.steward.cancel(self.call);
        }
    }
}

impl std::fmt::Debug for Steward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steward").field("store", &self.store.name()).finish_non_exhaustive()
    }
}
