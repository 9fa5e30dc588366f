//! The shares of a key's rows that shards would get: hashed, and in ranges.

use std::num::NonZeroU16;

use coupon_core::{Mix, ShardingStats, SlotTable};

use super::order::{Ordered, Row, part};

/// Rows of each shard, where so many have these slots.
pub(super) fn hashed(slots: impl Iterator<Item = (u16, u64)>, shards: NonZeroU16) -> ShardingStats {
    let table = SlotTable::new(Mix::Xxh3, shards);
    let mut rows = vec![0; usize::from(shards.get())];
    for (slot, more) in slots {
        if let Some(rows) = rows.get_mut(table.owner(slot).index()) {
            *rows += more;
        }
    }
    ShardingStats::of_counts(&rows)
}

/// Ranges of values with as many rows in each as can be: a value is in one range.
#[derive(Debug)]
pub(super) struct Ranges {
    /// The rank that each range but the first begins with.
    starts: Vec<usize>,
    shards: NonZeroU16,
}

impl Ranges {
    /// Fits ranges to rows that are in order: no other ranges have fewer rows in the fullest.
    pub(super) fn fitted<'s>(rows: impl Iterator<Item = Row<'s>>, shards: NonZeroU16) -> Self {
        let mut values: Vec<(usize, u64)> = Vec::new();
        for row in rows {
            match values.last_mut() {
                Some((rank, rows)) if *rank == row.rank => *rows += 1,
                _ => values.push((row.rank, 1)),
            }
        }
        let total: u64 = values.iter().map(|(_, rows)| rows).sum();
        let most = values.iter().map(|(_, rows)| *rows).max().unwrap_or_default();
        let parts = usize::from(shards.get());
        // The least room for which the values fit into so many ranges, one after the other.
        let (mut low, mut high) = (most.max(total.div_ceil(u64::from(shards.get()))), total);
        while low < high {
            let middle = low + (high - low) / 2;
            if filled(&values, middle).len() < parts {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Self { starts: filled(&values, high), shards }
    }

    /// The range that a rank is in.
    pub(super) fn of(&self, rank: usize) -> usize {
        self.starts.partition_point(|start| *start <= rank)
    }

    /// Rows of each shard.
    pub(super) fn stats<'s>(&self, rows: impl Iterator<Item = Row<'s>>) -> ShardingStats {
        let mut counts = vec![0_u64; usize::from(self.shards.get())];
        for row in rows {
            if let Some(count) = counts.get_mut(self.of(row.rank)) {
                *count += 1;
            }
        }
        ShardingStats::of_counts(&counts)
    }

    /// The ranges that the rows with one value of the first columns are in, on average over rows.
    pub(super) fn of_prefix(&self, ordered: &Ordered<'_>) -> f64 {
        let rows = &ordered.rows;
        let same = |a: &Row<'_>, b: &Row<'_>| part(&a.of.value, 0) == part(&b.of.value, 0);
        let visits = rows.chunk_by(same).filter_map(|group| {
            let (first, last) = (group.first()?, group.last()?);
            let ranges = self.of(last.rank) - self.of(first.rank) + 1;
            Some((ranges * group.len()) as f64)
        });
        visits.sum::<f64>() / rows.len().max(1) as f64
    }
}

/// The ranks that begin another range, where each range takes as many values as there is room for.
fn filled(values: &[(usize, u64)], room: u64) -> Vec<usize> {
    let (mut starts, mut within) = (Vec::new(), 0);
    for (rank, rows) in values {
        if within > 0 && within + rows > room {
            starts.push(*rank);
            within = 0;
        }
        within += rows;
    }
    starts
}

/// The part of a row among those that ranges are fitted to, and the other by which they are judged: what is fitted and
/// judged by the same rows looks better than it is.
pub(super) fn halves<'o, 's>(
    ordered: &'o Ordered<'s>,
) -> (impl Iterator<Item = Row<'s>> + 'o, impl Iterator<Item = Row<'s>> + 'o) {
    let rows = &ordered.rows;
    (rows.iter().step_by(2).copied(), rows.iter().skip(1).step_by(2).copied())
}

/// The correlation of the order of values with the order of times (Spearman): 1 where values ascend with time, 0 where
/// they have nothing to do with it; of the rows that have a time. None where either is always the same.
pub(super) fn ascent(ordered: &Ordered<'_>) -> Option<f64> {
    let timed: Vec<&Row<'_>> = ordered.timed().collect();
    let mut by_time: Vec<(i64, usize)> = timed.iter().map(|row| (row.of.moment, row.rank)).collect();
    by_time.sort_unstable();
    let of_values = mean_ranks(&timed, |a, b| a.rank == b.rank);
    let of_times = mean_ranks(&by_time, |a, b| a.0 == b.0);
    // Rows with the same time and the same value are alike, so a value's mean rank is enough to pair the two.
    let mut of_rank = vec![0.0; ordered.values];
    for (row, mean) in timed.iter().zip(&of_values) {
        if let Some(of_rank) = of_rank.get_mut(row.rank) {
            *of_rank = *mean;
        }
    }
    let pairs = by_time.iter().zip(of_times);
    let pairs: Vec<(f64, f64)> =
        pairs.map(|((_, rank), time)| (of_rank.get(*rank).copied().unwrap_or_default(), time)).collect();
    correlation(&pairs)
}

/// The mean place of each element among those equal to it, in order.
fn mean_ranks<T>(sorted: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<f64> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(same) {
        let mean = ranks.len() as f64 + (group.len() as f64 - 1.0) / 2.0;
        ranks.extend(std::iter::repeat_n(mean, group.len()));
    }
    ranks
}

/// Pearson's.
fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        xy += (a - x) * (b - y);
        xx += (a - x) * (a - x);
        yy += (b - y) * (b - y);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::sampled::Sampled;
    use super::*;
    use crate::replay::PART;

    fn shards(shards: u16) -> NonZeroU16 {
        NonZeroU16::new(shards).unwrap()
    }

    fn sample(values: impl Iterator<Item = (u64, i64)>) -> Vec<Sampled> {
        values
            .map(|(value, moment)| Sampled { value: value.to_string().into(), timed: true, moment, place: 0 })
            .collect()
    }

    #[test]
    fn ranges_have_as_many_rows_each_as_their_values_allow() {
        let even = sample((0..4_000).map(|n| (n, 0)));
        let ordered = Ordered::of(&even, 1);
        let ranges = Ranges::fitted(halves(&ordered).0, shards(4));
        let effective = ranges.stats(halves(&ordered).1).effective_shards.unwrap();
        assert!(effective > 3.9, "{effective}");
        // Half of all rows have one value, and are in one range.
        let hot = sample((0..4_000).map(|n| (if n % 2 == 0 { 7 } else { n }, 0)));
        let ordered = Ordered::of(&hot, 1);
        let ranges = Ranges::fitted(halves(&ordered).0, shards(4));
        let effective = ranges.stats(halves(&ordered).1).effective_shards.unwrap();
        assert!((1.8..2.1).contains(&effective), "{effective}");
    }

    #[test]
    fn a_key_that_ascends_with_time_is_told_from_one_that_does_not() {
        let ascent = |of: fn(u64) -> (u64, i64)| super::ascent(&Ordered::of(&sample((0..1_000).map(of)), 1));
        assert!(ascent(|n| (n, n as i64)).unwrap() > 0.999);
        assert!(ascent(|n| (1_000 - n, n as i64)).unwrap() < -0.999);
        assert!(ascent(|n| (n * 7_919 % 1_009, n as i64)).unwrap().abs() < 0.1);
        assert_eq!(ascent(|n| (5, n as i64)), None);
        assert_eq!(ascent(|n| (n, 5)), None);
    }

    #[test]
    fn hashed_rows_go_to_the_shards_that_own_their_slots() {
        let stats = hashed((0..16).map(|slot| (slot, 10)), shards(4));
        assert_eq!((stats.skew, stats.effective_shards), (Some(1.0), Some(4.0)));
        assert_eq!(hashed(std::iter::once((3, 10)), shards(4)).effective_shards, Some(1.0));
    }

    #[test]
    fn a_prefix_visits_the_ranges_that_its_rows_are_in() {
        let of = |pairs: &mut dyn Iterator<Item = (u64, u64)>| -> f64 {
            let row =
                |(a, b)| Sampled { value: format!("{a}{PART}{b}").into(), timed: true, moment: 0, place: 0 };
            let rows: Vec<Sampled> = pairs.map(row).collect();
            let ordered = Ordered::of(&rows, 2);
            Ranges::fitted(ordered.rows.iter().copied(), shards(4)).of_prefix(&ordered)
        };
        assert!((of(&mut (0..1_000).map(|n| (1, n))) - 4.0).abs() < 1e-9);
        assert!(of(&mut (0..1_000).map(|n| (n, 1))) < 1.01);
    }
}
