//! That the store keeps what it was given to itself: neither written nor failed.

use std::time::Duration;

use boskos_core::ranch::plan::PlanId;
use tokio::time::Instant;

use crate::trouble::Trouble;

/// A write that takes longer is told of. Disks and API servers that are well take far less, and those that are not
/// mostly fail sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether writes come to an end.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// The first write under way, and since when it is known to be the first.
    oldest: Option<(PlanId, Instant)>,
    trouble: Trouble,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is under way for long.
    Well {
        /// It was spoken of that something is.
        was_told: bool,
    },
    /// A write has been under way for so long, or longer.
    Stalled(Duration),
}

impl Stall {
    /// Looks at the first write under way; `say` says that it has been for too long, if it is time to.
    pub(super) fn look(&mut self, oldest: Option<PlanId>, say: impl FnOnce(Duration)) -> Look {
        let Some(plan) = oldest else {
            self.oldest = None;
            return Look::Well { was_told: self.trouble.end() };
        };
        let since = match self.oldest {
            Some((known, since)) if known == plan => since,
            Some(_) | None => self.oldest.insert((plan, Instant::now())).1,
        };
        let lasts = since.elapsed();
        if lasts < PATIENCE {
            return Look::Well { was_told: self.trouble.end() };
        }
        self.trouble.tell(|| say(lasts));
        Look::Stalled(lasts)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use tokio::time::advance;

    use super::*;

    fn plan(number: u64) -> PlanId {
        PlanId::new(NonZeroU64::new(number).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn write_that_never_ends_is_told_of_once_a_minute() {
        let (mut stall, mut told) = (Stall::default(), Vec::new());
        let seconds = |look| if let Look::Stalled(lasts) = look { Some(lasts.as_secs()) } else { None };
        let mut looks = Vec::new();
        for _ in 0..15 {
            looks.push(seconds(stall.look(Some(plan(1)), |lasts| told.push(lasts.as_secs()))));
            advance(Duration::from_secs(5)).await;
        }
        assert_eq!(looks[..3], [None, None, Some(10)]);
        assert!(looks[3..].iter().all(Option::is_some), "{looks:?}");
        assert_eq!(told, [10], "in a minute");
        advance(Duration::from_secs(1)).await;
        stall.look(Some(plan(1)), |lasts| told.push(lasts.as_secs()));
        assert_eq!(told, [10, 76]);
        assert_eq!(stall.look(None, |_| unreachable!()), Look::Well { was_told: true });
        assert_eq!(stall.look(None, |_| unreachable!()), Look::Well { was_told: false });
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_end_are_no_stall_however_many_follow() {
        let mut stall = Stall::default();
        for number in 1..20 {
            for _ in 0..2 {
                assert_eq!(stall.look(Some(plan(number)), |_| unreachable!()), Look::Well { was_told: false });
                advance(Duration::from_secs(4)).await;
            }
        }
    }
}
