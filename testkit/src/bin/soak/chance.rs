//! Chance that can be had again: splitmix64 from a seed.

use std::time::Duration;

/// A sequence of random numbers.
#[derive(Debug)]
pub(crate) struct Chance(u64);

// === impl Chance ===

impl Chance {
    /// The sequence of `seed`, and of `branch` of it.
    pub(crate) fn new(seed: u64, branch: u64) -> Self {
        let mut chance = Self(seed ^ branch.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        chance.number();
        chance
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound`, without it.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// Whether one of `percent` in a hundred cases is this one.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `all`.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(all.len()).unwrap_or(u64::MAX));
        all.get(usize::try_from(at).unwrap_or(usize::MAX))
    }

    /// A time from `least` to `most`, in milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_gives_the_same_again_and_another_something_else() {
        let four = |seed, branch| {
            let mut chance = Chance::new(seed, branch);
            [0; 4].map(|_| chance.number())
        };
        assert_eq!(four(1, 1), four(1, 1));
        assert_ne!(four(1, 1), four(1, 2));
        assert_ne!(four(1, 1), four(2, 1));
    }
}
