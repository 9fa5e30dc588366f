//! Numbers that look random and are the same for the same seed, on every machine and in every version.

use coupon_core::Money;
use coupon_core::random::{SplitMix64, mix};

/// The choices of one purpose. Another purpose's are unrelated, so that asking for more users does not change the
/// coupons.
#[derive(Debug, Clone)]
pub(crate) struct Stream(SplitMix64);

impl Stream {
    /// The choices of a seed for a purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let folded = purpose.bytes().fold(seed, |state, byte| mix(state ^ u64::from(byte)));
        Self(SplitMix64::new(mix(folded)))
    }

    /// A number below `bound`, or 0 when that is 0. Its bias of at most `bound` ÷ 2^64 does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times out of a thousand.
    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// One of the words; nothing, if there are none.
    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(words.len() as u64)).unwrap_or_default();
        words.get(index).copied().unwrap_or_default()
    }

    /// An amount of whole currency units less one cent, as shops like it: 20 to 500.
    pub(crate) fn price(&mut self, low: u64, high: u64) -> Money {
        Money::from_cents(self.between(low, high).cast_signed() * 100 - 1)
    }
}

/// A way to go through 0 to `size` − 1 in an order that looks random, each once, without remembering any:
/// position p maps to (a·p + b) mod size, with a prime to size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permutation {
    size: u64,
    factor: u64,
    offset: u64,
}

impl Permutation {
    /// One of the permutations of `size` things; of one thing, when there is none.
    pub(crate) fn new(size: u64, random: &mut Stream) -> Self {
        let size = size.max(1);
        let mut factor = random.below(size).max(1);
        while gcd(factor, size) != 1 {
            factor = factor % size + 1;
        }
        Self { size, factor, offset: random.below(size) }
    }

    /// The number at a position. Positions from `size` on begin again.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u64")]
    pub(crate) fn at(&self, position: u64) -> u64 {
        let product = u128::from(self.factor) * u128::from(position % self.size) + u128::from(self.offset);
        (product % u128::from(self.size)) as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_seeds_differ_and_repeat() {
        let first = |seed, purpose| Stream::new(seed, purpose).below(u64::MAX);
        assert_eq!(first(1, "users"), first(1, "users"));
        assert_ne!(first(1, "users"), first(2, "users"));
        assert_ne!(first(1, "users"), first(1, "rooms"));
    }

    #[test]
    fn a_permutation_visits_everything_once() {
        for size in [1, 2, 7, 100, 1_024, 9_973] {
            for seed in 0..20 {
                let permutation = Permutation::new(size, &mut Stream::new(seed, "test"));
                let mut seen: Vec<u64> = (0..size).map(|position| permutation.at(position)).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..size), "size {size}, seed {seed}");
            }
        }
    }

    #[test]
    fn bounds_hold() {
        let mut random = Stream::new(7, "bounds");
        assert!((0..1_000).all(|_| (5..=9).contains(&random.between(5, 9))));
        assert_eq!(random.below(0), 0);
    }
}
