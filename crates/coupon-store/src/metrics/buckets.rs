//! Histograms that cost two additions.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most bounds there are; each is twice the one before.
const BOUNDS: usize = 20;
/// The lowest bound of durations: 50 µs, so that the highest is 26 s.
const SHORTEST_NS: u64 = 50_000;
/// Sizes have bounds from 1 to 8,192.
const SIZES: usize = 14;

/// Counts of values by size. Recording takes no lock, and neither time nor room grow with what is recorded.
#[derive(Debug)]
pub struct Buckets {
    /// In what is recorded: nanoseconds, or one.
    lowest: u64,
    /// The shown value of one recorded unit: 1e-9 s, or one.
    unit: f64,
    /// The number of bounds in use.
    bounds: usize,
    /// One a bound, and one for what is above them all.
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// A histogram's values at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// Each bound, and how many were at most so large.
    pub(super) up_to: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Buckets {
    /// For durations, shown in seconds.
    #[must_use]
    pub fn seconds() -> Self {
        Self::new(SHORTEST_NS, 1e-9, BOUNDS)
    }

    /// For numbers of things.
    #[must_use]
    pub fn sizes() -> Self {
        Self::new(1, 1.0, SIZES)
    }

    fn new(lowest: u64, unit: f64, bounds: usize) -> Self {
        Self { lowest, unit, bounds, counts: from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }

    /// Something took so long.
    pub fn took(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// There were so many.
    pub fn held(&self, things: usize) {
        self.record(things as u64);
    }

    /// The number of records, and their sum: nanoseconds, or things.
    #[must_use]
    pub fn count_and_sum(&self) -> (u64, u64) {
        let count = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        (count, self.sum.load(Ordering::Relaxed))
    }

    fn record(&self, value: u64) {
        // Bound k is `lowest` times 2^k: the first that is not below the value.
        let above = value.saturating_sub(1) / self.lowest;
        let at = (u64::BITS - above.leading_zeros()) as usize;
        let at = if at < self.bounds { at } else { BOUNDS };
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows floats only")]
    pub(super) fn show(&self) -> Shown {
        let counts: [u64; BOUNDS + 1] =
            from_fn(|at| self.counts.get(at).map_or(0, |count| count.load(Ordering::Relaxed)));
        let mut so_far = 0;
        let up_to = counts.iter().take(self.bounds).enumerate().map(|(power, count)| {
            so_far += count;
            ((self.lowest << power) as f64 * self.unit, so_far)
        });
        let up_to: Vec<(f64, u64)> = up_to.collect();
        // Of the same reading as the bounds: a scrape never sees fewer in all than below one.
        let count = counts.iter().sum();
        Shown { up_to, count, sum: self.sum.load(Ordering::Relaxed) as f64 * self.unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_what_is_equal_to_it_and_not_what_is_above() {
        let sizes = Buckets::sizes();
        for size in [0, 1, 2, 3, 4, 5, 8_192, 8_193, usize::MAX] {
            sizes.held(size);
        }
        let Shown { up_to, count, .. } = sizes.show();
        assert_eq!(up_to[..4], [(1.0, 2), (2.0, 3), (4.0, 5), (8.0, 6)]);
        assert_eq!(up_to.last(), Some(&(8_192.0, 7)));
        assert_eq!(count, 9);
    }

    #[test]
    fn durations_are_shown_in_seconds() {
        let took = Buckets::seconds();
        took.took(Duration::from_micros(50));
        took.took(Duration::from_nanos(50_001));
        took.took(Duration::from_secs(3_600));
        let Shown { up_to, count, sum } = took.show();
        assert_eq!((up_to.len(), count), (BOUNDS, 3));
        assert!((up_to[0].0 - 0.000_05).abs() < 1e-12 && (up_to[1].0 - 0.000_1).abs() < 1e-12);
        assert_eq!((up_to[0].1, up_to[1].1, up_to[BOUNDS - 1].1), (1, 2, 2));
        assert!((sum - 3_600.000_1).abs() < 1e-6, "{sum}");
    }
}
