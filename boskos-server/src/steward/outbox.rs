//! What a store reports, on its way from the store's threads to the ranch.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use boskos_core::ranch::plan::{Foreign, Outcome, PlanId};
use boskos_runtime::text;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{MissedTickBehavior, interval},
};

use super::{
    Steward,
    health::{Health, LOOK_EVERY},
};
use crate::store::{Outcomes, StoreError};

/// Outcomes taken in under one lock.
const SETTLED_AT_ONCE: usize = 256;

/// What a store may say.
#[derive(Debug)]
enum Report {
    /// What became of a batch of plans.
    Settled(Vec<(PlanId, Outcome)>),
    /// What others made of objects.
    Observed(Vec<Foreign>),
    /// Nothing can be written, and why.
    Halted(String),
    /// Plans are written again.
    Resumed,
}

/// Reports in the order in which they came.
///
/// A store's thread leaves them here and goes on with its next batch. Callers are woken from a task of the runtime,
/// which costs a fraction of what it costs from outside.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    reports: Mutex<Vec<Report>>,
    arrived: Notify,
}

impl Outbox {
    fn push(&self, report: Report) {
        self.reports.lock().push(report);
        self.arrived.notify_one();
    }

    /// Waits for reports and moves them to `reports`, which is empty.
    async fn take(&self, reports: &mut Vec<Report>) {
        loop {
            mem::swap(&mut *self.reports.lock(), reports);
            if !reports.is_empty() {
                return;
            }
            self.arrived.notified().await;
        }
    }
}

impl Steward {
    /// Brings what the store reports to the ranch, for ever.
    pub async fn carry(self: Arc<Self>) {
        let mut reports = Vec::new();
        let mut health = Health::of(self.store.name());
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.outbox.take(&mut reports) => {}
                _ = looks.tick() => {
                    let oldest = self.read(|ranch, _| ranch.oldest_in_flight());
                    self.stalled.store(health.look(oldest), Relaxed);
                }
            }
            for report in reports.drain(..) {
                match report {
                    Report::Settled(batch) => self.settle(batch).await,
                    Report::Observed(news) => self.observe(news).await,
                    Report::Halted(why) => {
                        self.change(|ranch, _| ranch.halt());
                        health.halted(why);
                    }
                    Report::Resumed => {
                        self.change(|ranch, now| ranch.resume(now));
                        self.resumed.notify_one();
                        health.resumed();
                    }
                }
            }
        }
    }

    async fn settle(self: &Arc<Self>, mut batch: Vec<(PlanId, Outcome)>) {
        // In bites, so that requests come in between.
        while !batch.is_empty() {
            let bite = batch.len().min(SETTLED_AT_ONCE);
            self.change(|ranch, now| ranch.settle(batch.drain(..bite), now));
            if !batch.is_empty() {
                yield_now().await;
            }
        }
    }

    async fn observe(self: &Arc<Self>, mut news: Vec<Foreign>) {
        while !news.is_empty() {
            let bite = news.len().min(SETTLED_AT_ONCE);
            self.change(|ranch, now| news.drain(..bite).for_each(|foreign| ranch.observe(foreign, now)));
            if !news.is_empty() {
                yield_now().await;
            }
        }
    }
}

impl Outcomes for Arc<Steward> {
    fn settle(&self, batch: &mut Vec<(PlanId, Outcome)>) {
        self.outbox.push(Report::Settled(mem::take(batch)));
    }

    fn observed(&self, news: &mut Vec<Foreign>) {
        self.outbox.push(Report::Observed(mem::take(news)));
    }

    fn halted(&self, why: &StoreError) {
        self.outbox.push(Report::Halted(text::chain(why)));
    }

    fn resumed(&self) {
        self.outbox.push(Report::Resumed);
    }
}
