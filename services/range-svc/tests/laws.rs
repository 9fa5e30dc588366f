//! The laws of sharding, over every variant of the range strategies.

use std::num::{NonZeroU16, NonZeroU64};

use coupon_core::{Plan, ResultQuery, RoomId, ShardId, ShardingStrategy, laws};
use range_svc::{Bucket, RoomRangeSharding, RoomRanges, Spread, TimeRangeSharding};

fn spread(width: u16, shards: u16) -> Spread {
    Spread::new(NonZeroU16::new(width).unwrap(), NonZeroU16::new(shards).unwrap()).unwrap()
}

fn starts(rooms: &[u64]) -> RoomRanges {
    let rooms: Vec<RoomId> = rooms.iter().map(|&room| RoomId::new(room).unwrap()).collect();
    RoomRanges::starting_at(&rooms).unwrap()
}

fn assert_lawful(strategy: &dyn ShardingStrategy) {
    for seed in 1..=3 {
        laws::check(strategy, seed)
            .unwrap_or_else(|broken| panic!("{}, seed {seed}: {broken}", strategy.layout()));
    }
}

#[test]
fn daily_tables_keep_the_laws() {
    for (width, shards) in [(1, 1), (1, 4), (2, 4), (4, 4), (2, 3)] {
        assert_lawful(&TimeRangeSharding::new(Bucket::Day, spread(width, shards)));
    }
}

#[test]
fn hourly_tables_keep_the_laws() {
    for (width, shards) in [(1, 1), (1, 4), (2, 4), (4, 4), (2, 3)] {
        assert_lawful(&TimeRangeSharding::new(Bucket::Hour, spread(width, shards)));
    }
}

#[test]
fn room_ranges_of_equal_width_keep_the_laws() {
    for rooms in [1, 7, 25, 1_000] {
        let ranges = RoomRanges::Equal(NonZeroU64::new(rooms).unwrap());
        for (width, shards) in [(1, 1), (1, 4), (2, 4), (4, 4)] {
            assert_lawful(&RoomRangeSharding::new(ranges.clone(), spread(width, shards), 100));
        }
    }
}

#[test]
fn room_ranges_by_boundaries_keep_the_laws() {
    for rooms in [&[1][..], &[1, 2, 3, 4, 5, 6, 31, 56, 81], &[1, 50, 10_000]] {
        for (width, shards) in [(1, 1), (1, 4), (2, 4), (4, 4)] {
            assert_lawful(&RoomRangeSharding::new(starts(rooms), spread(width, shards), 100));
        }
    }
}

#[test]
fn shards_without_a_range_are_not_visited() {
    let strategy = RoomRangeSharding::new(starts(&[1, 50]), spread(1, 4), 100);
    let plan = strategy.plan(&ResultQuery::everything());
    assert_eq!(plan.shards(4), [ShardId::new(0), ShardId::new(1)]);
    let equal = RoomRanges::Equal(NonZeroU64::new(50).unwrap());
    let without_end = RoomRangeSharding::new(equal, spread(1, 4), 100);
    assert_eq!(without_end.plan(&ResultQuery::everything()), Plan::All);
}
