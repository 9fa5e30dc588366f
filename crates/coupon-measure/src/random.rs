//! Streams of random numbers that a seed repeats.

use coupon_core::random::SplitMix64;

/// A stream of random numbers, which costs less than the routing that `simulate` feeds it to.
#[derive(Debug, Clone)]
pub struct Random(SplitMix64);

impl Random {
    /// Streams of one seed are independent: more requests of one kind must not shift another kind's numbers.
    pub fn new(seed: u64, stream: u64) -> Self {
        let start = SplitMix64::new(seed ^ stream.wrapping_mul(0xA24B_AED4_963E_E407)).next_u64();
        Self(SplitMix64::new(start))
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 to 1, without 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Exponential, with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_range_comes_up() {
        let mut random = Random::new(1, 0);
        let mut seen = [0_u32; 6];
        for _ in 0..600 {
            seen[random.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (60..140).contains(count)), "{seen:?}");
    }
}
