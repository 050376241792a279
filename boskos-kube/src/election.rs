//! Leading through a Lease, as client-go does it.

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    clock::since_boot,
    error::WriteError,
    fence::Fence,
    lease::{Lease, LeaseError},
};

/// Times have six digits below the second, as client-go writes them.
const MICRO_TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// What the Lease says: for how long it stands without being renewed.
    pub lease: Duration,
    /// How often the leader renews it.
    pub renew_every: Duration,
    /// How long after the beginning of its last renewal a leader may write.
    pub write_for: Duration,
    /// How often a follower looks.
    pub look_every: Duration,
}

/// One candidate. See the [module](crate).
#[derive(Debug)]
pub struct Election {
    lease: Arc<Lease>,
    identity: String,
    timing: Timing,
}

/// Why a leader leads no more.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It could not be renewed in time.
    #[error("the lease could not be renewed within {within:?}")]
    NotRenewed {
        /// How long there was time for it.
        within: Duration,
        /// What came of the last attempt; nothing if this process did not run meanwhile.
        #[source]
        last: Option<LeaseError>,
    },
    /// Someone else has it.
    #[error("the lease is held by {0:?}")]
    Taken(String),
}

/// What a follower saw of the Lease, and when it saw that change.
#[derive(Debug, Default)]
struct Seen {
    record: Option<Value>,
    since: Duration,
}

// === impl Timing ===

impl Default for Timing {
    /// What client-go leaders of the field go by, with a margin before the Lease ends.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_every: Duration::from_secs(2),
            write_for: Duration::from_secs(10),
            look_every: Duration::from_secs(1),
        }
    }
}

// === impl Election ===

impl Election {
    /// A candidate called `identity`, which must be no other's, ever.
    #[must_use]
    pub fn new(lease: Arc<Lease>, identity: String, timing: Timing) -> Self {
        Self { lease, identity, timing }
    }

    /// What the candidate is called.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this candidate holds the Lease. `told` hears of each look that failed, and with
    /// `None` of each that did not.
    pub async fn win(&self, mut told: impl FnMut(Option<&LeaseError>)) -> Fence {
        let mut seen = Seen::default();
        loop {
            match self.look(&mut seen).await {
                Ok(Some(fence)) => {
                    told(None);
                    return fence;
                }
                Ok(None) | Err(LeaseError::Refused) => told(None),
                Err(error) => told(Some(&error)),
            }
            sleep(self.timing.look_every).await;
        }
    }

    /// Takes the Lease if nobody has it.
    async fn look(&self, seen: &mut Seen) -> Result<Option<Fence>, LeaseError> {
        if let Some(lease) = self.lease.get().await?
            && self.is_held_by_other(&lease)
            && !seen.has_ended(&lease)
        {
            return Ok(None);
        }
        let begun = since_boot();
        let taken = self.lease.change(|lease| {
            // Another candidate may have been faster.
            if self.is_held_by_other(lease) && !seen.has_ended(lease) {
                return false;
            }
            self.take(lease);
            true
        });
        taken.await?;
        Ok(Some(Fence::until(begun + self.timing.write_for)))
    }

    fn is_held_by_other(&self, lease: &Value) -> bool {
        holder(lease).is_some_and(|holder| holder != self.identity)
    }

    fn take(&self, lease: &mut Value) {
        let now = now();
        let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        let exists = !lease["spec"]["acquireTime"].is_null();
        let spec = &mut lease["spec"];
        spec["holderIdentity"] = self.identity.as_str().into();
        spec["leaseDurationSeconds"] = self.timing.lease.as_secs().into();
        spec["acquireTime"] = now.as_str().into();
        spec["renewTime"] = now.as_str().into();
        spec["leaseTransitions"] = (transitions + i64::from(exists)).into();
    }

    /// Renews the Lease until it is lost. The fence is shut by then.
    pub async fn hold(&self, fence: &Fence) -> Lost {
        let mut renewed = since_boot();
        loop {
            sleep(self.timing.renew_every).await;
            let begun = since_boot();
            // A renewal that takes longer than it may is as good as none.
            let left = self.timing.write_for.saturating_sub(begun.saturating_sub(renewed));
            let left = left.max(Duration::from_millis(1));
            let last = match timeout(left, self.renew()).await {
                Ok(Ok(())) => {
                    renewed = begun;
                    fence.extend(begun + self.timing.write_for);
                    None
                }
                Ok(Err(LeaseError::Refused)) => {
                    fence.shut();
                    return Lost::Taken(self.other_holder().await);
                }
                Ok(Err(error @ (LeaseError::Read(_) | LeaseError::Write(_)))) => Some(error),
                Err(_) => Some(WriteError::Unknown(format!("no answer within {left:?}")).into()),
            };
            if !fence.is_open() {
                fence.shut();
                return Lost::NotRenewed { within: self.timing.write_for, last };
            }
        }
    }

    async fn renew(&self) -> Result<(), LeaseError> {
        let renewed = self.lease.change(|lease| {
            if holder(lease) != Some(&self.identity) {
                return false;
            }
            lease["spec"]["renewTime"] = now().into();
            true
        });
        renewed.await
    }

    async fn other_holder(&self) -> String {
        let lease = self.lease.get().await.ok().flatten();
        lease.as_ref().and_then(holder).unwrap_or("").to_owned()
    }

    /// Gives the Lease up, so that another need not wait. The fence is shut by then.
    ///
    /// # Errors
    ///
    /// If the API server cannot be reached or says no: then the others wait until it ends.
    pub async fn give_up(&self, fence: &Fence) -> Result<(), LeaseError> {
        fence.shut();
        let given_up = self.lease.change(|lease| {
            if holder(lease) != Some(&self.identity) {
                return false;
            }
            let spec = &mut lease["spec"];
            spec["holderIdentity"] = "".into();
            // As client-go does: who knows no empty holder finds it over soon.
            spec["leaseDurationSeconds"] = 1.into();
            spec["renewTime"] = now().into();
            true
        });
        match given_up.await {
            // It is another's already.
            Err(LeaseError::Refused) => Ok(()),
            result => result,
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Whether nothing was heard of the holder for as long as the Lease lasts. Clocks of others are
    /// not looked at: what counts is when this process saw it change.
    fn has_ended(&mut self, lease: &Value) -> bool {
        let now = since_boot();
        let record = &lease["spec"];
        if self.record.as_ref() != Some(record) {
            *self = Self { record: Some(record.clone()), since: now };
            return false;
        }
        let lasts = record["leaseDurationSeconds"].as_u64().unwrap_or(0);
        now.saturating_sub(self.since) > Duration::from_secs(lasts)
    }
}

fn holder(lease: &Value) -> Option<&str> {
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())
}

fn now() -> String {
    MICRO_TIME.timestamp_to_string(&Timestamp::now())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_have_six_digits_and_a_z() {
        let text = now();
        assert_eq!(text.len(), "2006-01-02T15:04:05.000000Z".len(), "{text}");
        assert!(text.ends_with('Z'), "{text}");
    }

    #[test]
    fn a_lease_ends_only_after_it_was_seen_unchanged_for_its_whole_time() {
        let mut seen = Seen::default();
        let lease = json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "1"}});
        assert!(!seen.has_ended(&lease));
        seen.since = since_boot().saturating_sub(Duration::from_secs(14));
        assert!(!seen.has_ended(&lease));
        seen.since = since_boot().saturating_sub(Duration::from_secs(16));
        let renewed = json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2"}});
        assert!(seen.has_ended(&lease));
        assert!(!seen.has_ended(&renewed));
    }
}
