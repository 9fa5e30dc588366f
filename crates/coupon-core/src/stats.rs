//! The evenness of work over shards, and the effective shards that follow from it.

use serde::Serialize;

/// The spread of any amount of work (rows, requests, CPU seconds) over shards.
///
/// Four shards of which one does everything are worth one machine: `effective_shards` says 1.0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShardingStats {
    /// Work per shard, in shard order, in whatever unit it was counted.
    pub work: Vec<f64>,
    /// Each shard's part of the whole, 0 to 1; all 0 when there was no work.
    pub share: Vec<f64>,
    /// The busiest shard; the first of them if several are.
    pub hottest: usize,
    /// The busiest shard's share ÷ the fair share: 1 is even, the number of shards is the worst. `None` without work.
    pub skew: Option<f64>,
    /// Total work ÷ the busiest shard's work: how many machines these shards are worth. `None` without work.
    pub effective_shards: Option<f64>,
}

impl ShardingStats {
    /// Measures a spread. Negative and non-finite amounts count as none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are at most 65,535 shards")]
    pub fn of(work: impl IntoIterator<Item = f64>) -> Self {
        let work: Vec<f64> = work.into_iter().map(|w| if w.is_finite() { w.max(0.0) } else { 0.0 }).collect();
        let total: f64 = work.iter().sum();
        let (mut hottest, mut most) = (0, 0.0);
        for (shard, &amount) in work.iter().enumerate() {
            if amount > most {
                (hottest, most) = (shard, amount);
            }
        }
        let some = total > 0.0;
        Self {
            share: work.iter().map(|amount| if some { amount / total } else { 0.0 }).collect(),
            hottest,
            skew: some.then(|| most / total * work.len() as f64),
            effective_shards: some.then(|| total / most),
            work,
        }
    }

    /// Measures a spread that was counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn of_counts(counts: &[u64]) -> Self {
        Self::of(counts.iter().map(|&count| count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_work_is_worth_every_shard() {
        let stats = ShardingStats::of_counts(&[10, 10, 10, 10]);
        assert_eq!((stats.skew, stats.effective_shards), (Some(1.0), Some(4.0)));
    }

    #[test]
    fn work_on_one_shard_is_worth_one() {
        let stats = ShardingStats::of_counts(&[0, 0, 7, 0]);
        assert_eq!((stats.hottest, stats.skew, stats.effective_shards), (2, Some(4.0), Some(1.0)));
        assert_eq!(stats.share, [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn no_work_is_no_figure() {
        let stats = ShardingStats::of_counts(&[0, 0]);
        assert_eq!((stats.skew, stats.effective_shards), (None, None));
    }
}
