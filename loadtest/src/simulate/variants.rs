//! The strategies that are simulated, and what becomes of each when a shard is added.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use anyhow::Context;
use coupon_core::{Mix, RoomCounts, RouteError, RowKey, ShardId, ShardingStrategy};
use hash_svc::HashSharding;
use range_svc::{Bucket, RoomRangeSharding, RoomRanges, Spread, TimeRangeSharding};

const ROOM_WIDTH: NonZeroU64 = NonZeroU64::new(25).unwrap();

/// A map from a row to its shard.
pub(super) type Map = Box<dyn Fn(&RowKey) -> Result<ShardId, RouteError> + Send + Sync>;

/// A way to use one more shard.
pub(super) struct Growth {
    /// The way in words, for tables.
    pub(super) how: &'static str,
    /// The places of rows afterwards.
    pub(super) map: Map,
}

/// One strategy with its settings.
pub(super) struct Variant {
    /// The name in tables.
    pub(super) name: String,
    /// The strategy itself.
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    /// The ways of adding a shard.
    pub(super) growths: Vec<Growth>,
}

/// The rooms there are, of which the first few are hot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rooms {
    /// Rooms 1 to this one.
    pub(super) all: u64,
    /// Rooms 1 to this one are hot.
    pub(super) hot: u64,
}

/// Hash, ranges of time, ranges of rooms, and the cures for what heats up; spreads are cut to the shards there are.
///
/// # Errors
/// When settings make no strategy.
pub(super) fn all(shards: NonZeroU16, spread: NonZeroU16, rooms: Rooms) -> anyhow::Result<Vec<Variant>> {
    let more = shards.checked_add(1).context("there is no number for one more shard")?;
    let wide = spread.min(shards);
    let mut variants =
        vec![hash("hash", Mix::Xxh3, shards, more), hash("hash+modulo", Mix::Modulo, shards, more)];
    for (name, bucket, width) in [
        ("range-time", Bucket::Day, NonZeroU16::MIN),
        ("range-time+hours", Bucket::Hour, NonZeroU16::MIN),
        ("range-time+spread", Bucket::Day, wide),
    ] {
        let time = |shards| -> anyhow::Result<Arc<dyn ShardingStrategy>> {
            Ok(Arc::new(TimeRangeSharding::new(bucket, spread_over(width, shards)?)))
        };
        variants.push(range(name, width, &time(shards)?, time(more)?));
    }
    let split = RoomRanges::hot_rooms_apart(RoomCounts { all: rooms.all, hot: rooms.hot }, shards);
    for (name, ranges, width) in [
        ("range-room", RoomRanges::Equal(ROOM_WIDTH), NonZeroU16::MIN),
        ("range-room+split", split.clone(), NonZeroU16::MIN),
        ("range-room+spread", RoomRanges::Equal(ROOM_WIDTH), wide),
        ("range-room+split+spread", split, wide),
    ] {
        let room = |shards| -> anyhow::Result<Arc<dyn ShardingStrategy>> {
            Ok(Arc::new(RoomRangeSharding::new(ranges.clone(), spread_over(width, shards)?, rooms.all)))
        };
        variants.push(range(name, width, &room(shards)?, room(more)?));
    }
    Ok(variants)
}

fn spread_over(width: NonZeroU16, shards: NonZeroU16) -> anyhow::Result<Spread> {
    Spread::new(width, shards)
        .with_context(|| format!("a spread of {width} needs as many shards, not {shards}"))
}

fn hash(name: &str, mix: Mix, shards: NonZeroU16, more: NonZeroU16) -> Variant {
    let before = HashSharding::new(mix, shards);
    let moved_slots = before.slots().resharded(more);
    let naive = HashSharding::new(mix, more);
    Variant {
        name: name.to_owned(),
        growths: vec![
            Growth { how: "move slots", map: Box::new(move |row| Ok(moved_slots.shard(row.user.get()))) },
            Growth { how: "hash % (n + 1)", map: Box::new(move |row| naive.place(row).map(|to| to.shard)) },
        ],
        strategy: Arc::new(before),
    }
}

fn range(
    name: &str,
    width: NonZeroU16,
    before: &Arc<dyn ShardingStrategy>,
    after: Arc<dyn ShardingStrategy>,
) -> Variant {
    let old = Arc::clone(before);
    let name = if width == NonZeroU16::MIN { name.to_owned() } else { format!("{name} {width}") };
    Variant {
        name,
        growths: vec![
            // Every row routed here belongs to a range that began before the shard was added, and such ranges stay.
            Growth { how: "new ranges only", map: Box::new(move |row| old.place(row).map(|to| to.shard)) },
            Growth { how: "range % (n + 1)", map: Box::new(move |row| after.place(row).map(|to| to.shard)) },
        ],
        strategy: Arc::clone(before),
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::laws;

    use super::*;

    fn variants(shards: u16) -> Vec<Variant> {
        let spread = NonZeroU16::new(4).unwrap();
        all(NonZeroU16::new(shards).unwrap(), spread, Rooms { all: 100, hot: 5 }).unwrap()
    }

    #[test]
    fn every_variant_keeps_the_laws() {
        for shards in [1, 3, 8] {
            for variant in variants(shards) {
                laws::check(&*variant.strategy, 11)
                    .unwrap_or_else(|broken| panic!("{shards} shards: {broken}"));
            }
        }
    }

    #[test]
    fn a_spread_is_cut_to_the_shards_there_are() {
        assert!(variants(2).iter().any(|variant| variant.name == "range-time+spread 2"));
        assert!(variants(8).iter().any(|variant| variant.name == "range-time+spread 4"));
    }
}
