//! How long to wait before something is tried again.

// backoff is unmaintained: this is the only module that uses it.
use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff as _};

/// How often one call is sent at most.
pub const ATTEMPTS: u32 = 5;

/// Delays that grow from a first to a longest one, each drawn from half to one and a half of its length, so that
/// those who lost a server together do not come back together.
#[derive(Debug)]
pub struct Delays(ExponentialBackoff);

impl Delays {
    /// Delays of one call: 0.2 s at first, 3 s at most; all [`ATTEMPTS`] take about three seconds.
    #[must_use]
    pub fn of_call() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(3))
    }

    /// Delays of a process whose server is away: 0.5 s at first, 10 s at most.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(10))
    }

    /// Delays that begin around `first`, double, and end around `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let delays = ExponentialBackoffBuilder::new()
            .with_initial_interval(first)
            .with_max_interval(longest)
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            // Who asks counts the attempts.
            .with_max_elapsed_time(None)
            .build();
        Self(delays)
    }

    /// The next delay.
    #[must_use]
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().expect("there is no end to them")
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_are_jittered_and_bounded() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut delays = Delays::new(first, longest);
            let begin = delays.next_delay();
            assert!(begin >= first / 2 && begin <= first * 3 / 2, "{begin:?}");
            seen.insert(begin);
            let later = (0..50).map(|_| delays.next_delay()).last().unwrap();
            assert!(later >= longest / 2 && later <= longest * 3 / 2, "{later:?}");
            delays.reset();
            assert!(delays.next_delay() <= first * 3 / 2);
        }
        assert!(seen.len() > 1, "no jitter");
    }
}
