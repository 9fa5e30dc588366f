//! The busiest times of a recording, and the shards that they need.

use std::collections::HashMap;

use coupon_core::{TimeRange, Timestamp};
use serde::Serialize;

use super::shard;
use crate::replay::Recording;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;
/// No more shards than these are tried.
const MOST_SHARDS: u16 = 1_024;

/// The busiest second of a trace, by a key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusiestSecond {
    /// Its start.
    pub at: Timestamp,
    /// The writes in it.
    pub writes: u64,
    /// The most writes of one value.
    pub of_one_value: u64,
    /// The writes a second that a shard takes.
    pub a_shard: u64,
    /// The shards that it needs.
    pub needs: Shards,
}

/// A number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shards {
    /// So many suffice.
    Suffice(u16),
    /// No number does: one value alone is more than a shard takes.
    OneValueIsTooMuch,
    /// More than are tried would be needed.
    TooMany,
}

impl BusiestSecond {
    pub(super) fn of(hashes: &[u64], at: Timestamp, a_shard: u64) -> Self {
        let mut counts = HashMap::<u64, u64>::new();
        hashes.iter().for_each(|hash| *counts.entry(*hash).or_default() += 1);
        let of_one_value = counts.values().copied().max().unwrap_or(0);
        let writes = hashes.len() as u64;
        let least = writes.div_ceil(a_shard.max(1)).max(1);
        let fits = |shards: &u16| {
            let mut rows = vec![0_u64; usize::from(*shards)];
            for (hash, count) in &counts {
                if let Some(rows) = rows.get_mut(shard(*hash, *shards)) {
                    *rows += count;
                }
            }
            rows.into_iter().all(|rows| rows <= a_shard)
        };
        let needs = match u16::try_from(least) {
            _ if of_one_value > a_shard => Shards::OneValueIsTooMuch,
            Ok(least) => (least..=MOST_SHARDS).find(fits).map_or(Shards::TooMany, Shards::Suffice),
            Err(_) => Shards::TooMany,
        };
        Self { at, writes, of_one_value, a_shard, needs }
    }
}

/// The busiest hour, or day where only days are known.
pub(super) fn hour(recording: &Recording) -> TimeRange {
    busiest(recording, if recording.days_only() { DAY_MS } else { HOUR_MS })
}

/// The busiest second.
pub(super) fn second(recording: &Recording) -> TimeRange {
    busiest(recording, SECOND_MS)
}

/// The busiest stretch of that length; rows are in the order of their times.
fn busiest(recording: &Recording, length: i64) -> TimeRange {
    let (mut best, mut current) = ((0, 0), (0_u64, i64::MIN));
    for row in recording.stored() {
        let number = row.time.millis().div_euclid(length);
        current = if current.1 == number { (current.0 + 1, number) } else { (1, number) };
        if current.0 > best.0 {
            best = current;
        }
    }
    let start = Timestamp::from_millis(best.1 * length);
    TimeRange::new(start, start.plus_millis(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_needs_as_many_shards_as_keep_the_busiest_below_what_one_takes() {
        let at = Timestamp::from_millis(0);
        let even: Vec<u64> = (0..1_000).collect();
        let found = BusiestSecond::of(&even, at, 100);
        assert!(matches!(found.needs, Shards::Suffice(10..=16)), "{found:?}");
        assert_eq!(BusiestSecond::of(&even, at, 1_000).needs, Shards::Suffice(1));
        let hot: Vec<u64> = (0..1_000).map(|n| if n % 2 == 0 { 7 } else { n }).collect();
        let found = BusiestSecond::of(&hot, at, 400);
        assert_eq!((found.of_one_value, found.needs), (501, Shards::OneValueIsTooMuch));
        assert_eq!(BusiestSecond::of(&even, at, 1).needs, Shards::TooMany);
    }
}
