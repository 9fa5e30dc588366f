//! The number of shards that the busiest second needs.

use std::collections::HashMap;
use std::num::NonZeroU16;

use serde::Serialize;

use super::evidence::Second;
use super::order::{Ordered, Row};
use super::sampled::slot;
use super::spread::{Ranges, halves, hashed};

/// Writes a second that a shard takes, where none is given: from full queues into four MySQL shards on two cores
/// (`consumer-rate` of docs/BENCHMARKS.md), divided by four.
pub const SHARD_WRITES: u64 = 46_000;
/// No more shards are tried.
const MOST: u16 = 1_024;
/// The most ranges that are tried: with more, a sample has so few rows of each that their differences are chance.
const MOST_RANGES: u16 = 64;

/// A number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardsNeeded {
    /// A number of shards.
    Shards(u16),
    /// More shards than these, or no number: the hottest shard has too much all the same.
    Beyond(u16),
    /// No number suffices: so many rows of one value are more than a shard takes.
    OneValue(u64),
}

/// The needs of the busiest second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BusiestSecond {
    /// The second, since 1970.
    pub second: i64,
    /// Its rows.
    pub rows: u64,
    /// The shards that it needs where the key is hashed.
    pub hashed: ShardsNeeded,
    /// The shards that it needs where it is kept in ranges.
    pub ranges: ShardsNeeded,
}

impl BusiestSecond {
    pub(super) fn of(
        busiest: &Second,
        part: Option<&[Row<'_>]>,
        ordered: &Ordered<'_>,
        shard_writes: f64,
    ) -> Self {
        let Second { second, rows, .. } = *busiest;
        let of_one_value = most_of_one_value(busiest);
        if of_one_value as f64 > shard_writes {
            let none = ShardsNeeded::OneValue(of_one_value);
            return Self { second, rows, hashed: none, ranges: none };
        }
        // As many as if they were even, or more.
        let even = (rows as f64 / shard_writes).ceil().max(1.0);
        let fits = |hottest: f64| hottest * rows as f64 <= shard_writes;
        let least = |most: u16, hottest: &dyn Fn(NonZeroU16) -> f64| {
            let from = if even > f64::from(most) { return ShardsNeeded::Beyond(most) } else { even as u16 };
            let found = (from..=most).filter_map(NonZeroU16::new).find(|shards| fits(hottest(*shards)));
            found.map_or(ShardsNeeded::Beyond(most), |shards| ShardsNeeded::Shards(shards.get()))
        };
        let share =
            |stats: &coupon_core::ShardingStats| stats.share.get(stats.hottest).copied().unwrap_or(1.0);
        let in_slots = |shards| share(&hashed(busiest.hashes.iter().map(|hash| (slot(*hash), 1)), shards));
        let in_ranges = |shards| {
            let ranges = Ranges::fitted(halves(ordered).0, shards);
            share(&match part {
                Some(part) => ranges.stats(part.iter().copied()),
                None => ranges.stats(halves(ordered).1),
            })
        };
        Self { second, rows, hashed: least(MOST, &in_slots), ranges: least(MOST_RANGES, &in_ranges) }
    }
}

fn most_of_one_value(Second { rows, hashes, .. }: &Second) -> u64 {
    let mut counts = HashMap::<u64, u64>::new();
    hashes.iter().for_each(|hash| *counts.entry(*hash).or_default() += 1);
    let share = counts.into_values().max().unwrap_or(0) as f64 / hashes.len().max(1) as f64;
    (share * *rows as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::super::tests::FINDINGS;
    use super::*;

    #[test]
    fn a_busiest_second_needs_more_shards_than_if_it_were_even_and_none_suffice_for_a_hot_value() {
        let found = &*FINDINGS;
        let needs: Vec<BusiestSecond> = found.keys.iter().map(|key| key.needs.unwrap()).collect();
        // 200 rows a second, and shards of 60: four if they were even.
        assert!(needs.iter().all(|needs| needs.rows == 200), "{needs:?}");
        assert!(matches!(needs[0].hashed, ShardsNeeded::Shards(4..=8)), "{:?}", needs[0]);
        assert_eq!(
            (needs[1].hashed, needs[1].ranges),
            (ShardsNeeded::OneValue(101), ShardsNeeded::OneValue(101))
        );
        assert_eq!(needs[2].ranges, ShardsNeeded::Beyond(MOST_RANGES));
        assert!(matches!(needs[2].hashed, ShardsNeeded::Shards(4..=8)), "{:?}", needs[2]);
    }
}
