//! Candidate keys of a trace, whatever columns they are: how a hash of each and ranges of it would carry the load.

mod busiest;
mod order;
mod render;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;

use coupon_core::ShardingStats;
use coupon_loadgen::workload::Endpoint;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::replay::{KeyValues, Meaning, QueryMix, Recording};

#[cfg(test)]
mod tests;

pub use busiest::{BusiestSecond, Shards};
pub use order::{Ordered, Prefix};
pub use render::text as keys_text;

/// So many of the most frequent values are named.
const TOP: usize = 3;

/// A candidate key, judged.
#[derive(Debug, Clone, Serialize)]
pub struct Key {
    /// Its columns.
    pub name: String,
    /// The number of different values.
    pub values: u64,
    /// The most frequent values, with their parts of the rows.
    pub top: Vec<(String, f64)>,
    /// Rows by the hash of the key: of all, and of the busiest hour.
    pub hashed: Spread,
    /// Ranges of the key, and its order.
    pub ranges: Ordered,
    /// The busiest second by the hash of the key.
    pub busiest_second: BusiestSecond,
    /// The shards that each kind of query visits by the hash of the key; none where it cannot be told.
    pub fan_out: BTreeMap<Endpoint, u16>,
}

/// Rows over shards.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// All rows.
    pub all: ShardingStats,
    /// Those of the busiest hour, or day where only days are known.
    pub busiest: ShardingStats,
}

/// Judges each candidate key of a recording; a shard takes so many writes a second.
#[must_use]
pub fn judged(recording: &Recording, mix: &QueryMix, shards: NonZeroU16, writes: u64) -> Vec<Key> {
    let busiest = busiest::hour(recording);
    let second = busiest::second(recording);
    let key = |key: &KeyValues| {
        let stored = || recording.rows().iter().zip(&key.hashes).filter(|(row, _)| !row.repeats);
        let mut counts = HashMap::<u64, u64>::new();
        stored().for_each(|(_, hash)| *counts.entry(*hash).or_default() += 1);
        let all = stored().map(|(_, hash)| *hash);
        let hour = stored().filter(|(row, _)| busiest.contains(row.time)).map(|(_, hash)| *hash);
        let in_second: Vec<u64> =
            stored().filter(|(row, _)| second.contains(row.time)).map(|(_, hash)| *hash).collect();
        Key {
            name: key.name.clone(),
            values: counts.len() as u64,
            top: top(key, &counts),
            hashed: Spread { all: over(all, shards), busiest: over(hour, shards) },
            ranges: order::judged(key, &busiest, shards),
            busiest_second: BusiestSecond::of(&in_second, second.start, writes),
            fan_out: fan_out(key, recording, mix, shards),
        }
    };
    recording.keys().iter().map(key).collect()
}

/// The most frequent values that have a name.
fn top(key: &KeyValues, counts: &HashMap<u64, u64>) -> Vec<(String, f64)> {
    let total = counts.values().sum::<u64>().max(1) as f64;
    let mut named: Vec<(u64, &String)> =
        key.names.iter().filter_map(|(hash, name)| Some((*counts.get(hash)?, name))).collect();
    named.sort_unstable_by(|a, b| b.cmp(a));
    named.into_iter().take(TOP).map(|(rows, name)| (name.clone(), rows as f64 / total)).collect()
}

/// The shard of a value by its hash; of values that are alike in some bits, the shards are not.
fn shard(hash: u64, shards: u16) -> usize {
    usize::try_from(xxh3_64(&hash.to_le_bytes()) % u64::from(shards.max(1))).unwrap_or_default()
}

fn over(hashes: impl Iterator<Item = u64>, shards: NonZeroU16) -> ShardingStats {
    let mut rows = vec![0_u64; usize::from(shards.get())];
    for hash in hashes {
        if let Some(rows) = rows.get_mut(shard(hash, shards.get())) {
            *rows += 1;
        }
    }
    ShardingStats::of_counts(&rows)
}

/// A query that names all columns of a key goes to one shard, and any other to all of them.
fn fan_out(
    key: &KeyValues,
    recording: &Recording,
    mix: &QueryMix,
    shards: NonZeroU16,
) -> BTreeMap<Endpoint, u16> {
    let recorded = recording.asked().iter().map(|(endpoint, _)| *endpoint);
    let kinds = mix.per_grab().map(|(endpoint, _)| endpoint).chain(recorded);
    let visits = |endpoint: Endpoint| {
        let named = known_by(endpoint)?;
        let one = key.columns.iter().all(|column| column.is_some_and(|meaning| named.contains(&meaning)));
        Some((endpoint, if one { 1 } else { shards.get() }))
    };
    kinds.filter_map(visits).collect()
}

/// The columns that a query names; none for one that asks no shard.
const fn known_by(endpoint: Endpoint) -> Option<&'static [Meaning]> {
    match endpoint {
        step if step.is_step() => Some(&[Meaning::User, Meaning::Time]),
        Endpoint::UserCoupons => Some(&[Meaning::User]),
        Endpoint::RoomOrders | Endpoint::RoomStats => Some(&[Meaning::Room]),
        Endpoint::Recent | Endpoint::Global => Some(&[]),
        _ => None,
    }
}
