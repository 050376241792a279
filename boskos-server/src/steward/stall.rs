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
    /// Nothing has been under way for long.
    Well,
    /// A write has been under way for too long.
    Stalled,
    /// None is any more, after it was spoken of.
    Ended,
}

impl Stall {
    /// Looks at the first write under way; `say` says for how long it has been, if that is too long and it is time to.
    pub(super) fn look(&mut self, oldest: Option<PlanId>, say: impl FnOnce(Duration)) -> Look {
        let since = oldest.map(|plan| match self.oldest {
            Some((known, since)) if known == plan => since,
            Some(_) | None => self.oldest.insert((plan, Instant::now())).1,
        });
        match since.map(|since| since.elapsed()) {
            Some(lasts) if lasts >= PATIENCE => {
                self.trouble.tell(|| say(lasts));
                Look::Stalled
            }
            Some(_) | None if self.trouble.end() => Look::Ended,
            Some(_) | None => Look::Well,
        }
    }

    /// Something else is wrong, which is spoken of instead.
    pub(super) fn forget(&mut self) {
        self.oldest = None;
        self.trouble.end();
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
        let mut looks = Vec::new();
        for _ in 0..15 {
            looks.push(stall.look(Some(plan(1)), |lasts| told.push(lasts.as_secs())));
            advance(Duration::from_secs(5)).await;
        }
        assert_eq!(looks[..3], [Look::Well, Look::Well, Look::Stalled]);
        assert!(looks[3..].iter().all(|look| *look == Look::Stalled), "{looks:?}");
        assert_eq!(told, [10], "in a minute");
        advance(Duration::from_secs(1)).await;
        assert_eq!(stall.look(Some(plan(1)), |lasts| told.push(lasts.as_secs())), Look::Stalled);
        assert_eq!(told, [10, 76]);
        assert_eq!([(); 2].map(|()| stall.look(None, |_| unreachable!())), [Look::Ended, Look::Well]);
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_end_are_no_stall_however_many_follow() {
        let mut stall = Stall::default();
        for number in 1..20 {
            for _ in 0..2 {
                assert_eq!(stall.look(Some(plan(number)), |_| unreachable!()), Look::Well);
                advance(Duration::from_secs(4)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn write_that_is_under_way_after_other_trouble_is_timed_anew() {
        let (mut stall, mut told) = (Stall::default(), Vec::new());
        for seconds in [11, 9, 1, 0] {
            stall.look(Some(plan(1)), |lasts| told.push(lasts.as_secs()));
            advance(Duration::from_secs(seconds)).await;
            if seconds == 11 {
                stall.forget();
            }
        }
        assert_eq!(told, [10]);
    }
}
