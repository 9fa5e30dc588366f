//! The places of rows, written out by hand, so that no change of the code can move them unnoticed.
//!
//! Days since 1970 were counted with Python's `datetime.date.toordinal`. A change here is a data migration.

use std::num::{NonZeroU16, NonZeroU64};

use coupon_core::{Placement, RoomId, RowKey, ShardingStrategy, TimeRange, UserId};
use range_svc::{Bucket, RoomRangeSharding, RoomRanges, Spread, TimeRangeSharding};

fn spread(width: u16, shards: u16) -> Spread {
    Spread::new(NonZeroU16::new(width).unwrap(), NonZeroU16::new(shards).unwrap()).unwrap()
}

fn row(user: u64, room: u64, time: &str) -> RowKey {
    RowKey { user: UserId::new(user).unwrap(), room: RoomId::new(room).unwrap(), time: time.parse().unwrap() }
}

fn place(strategy: &dyn ShardingStrategy, row: &RowKey) -> (u16, String) {
    let Placement { shard, table } = strategy.place(row).unwrap();
    (shard.number(), table.to_string())
}

#[test]
fn days_change_tables_at_midnight_and_at_month_year_and_leap_ends() {
    let strategy = TimeRangeSharding::new(Bucket::Day, spread(1, 4));
    // Days since 1970, each on shard day % 4: 20779, 20780; 20787, 20788; 20818, 20819; 21242 to 21244; 20512, 20513.
    for (time, shard, table) in [
        ("2026-11-22T23:59:59.999Z", 3, "coupon_results_2026_11_22"),
        ("2026-11-23T00:00:00.000Z", 0, "coupon_results_2026_11_23"),
        ("2026-11-30T23:59:59.999Z", 3, "coupon_results_2026_11_30"),
        ("2026-12-01T00:00:00.000Z", 0, "coupon_results_2026_12_01"),
        ("2026-12-31T23:59:59.999Z", 2, "coupon_results_2026_12_31"),
        ("2027-01-01T00:00:00.000Z", 3, "coupon_results_2027_01_01"),
        ("2028-02-28T23:59:59.999Z", 2, "coupon_results_2028_02_28"),
        ("2028-02-29T00:00:00.000Z", 3, "coupon_results_2028_02_29"),
        ("2028-03-01T00:00:00.000Z", 0, "coupon_results_2028_03_01"),
        ("2026-02-28T23:59:59.999Z", 0, "coupon_results_2026_02_28"),
        ("2026-03-01T00:00:00.000Z", 1, "coupon_results_2026_03_01"),
    ] {
        assert_eq!(place(&strategy, &row(123, 92, time)), (shard, table.to_owned()), "{time}");
    }
}

#[test]
fn a_days_zone_is_utc_whatever_the_text_says() {
    let strategy = TimeRangeSharding::new(Bucket::Day, spread(1, 4));
    let (_, table) = place(&strategy, &row(123, 92, "2026-11-23T07:59:59+08:00"));
    assert_eq!(table, "coupon_results_2026_11_22");
}

#[test]
fn hours_change_tables_and_shards_on_the_hour() {
    let strategy = TimeRangeSharding::new(Bucket::Hour, spread(1, 4));
    // 24 hours are six rounds of four shards, so that hour h of any day lives on shard h % 4.
    for (time, shard, table) in [
        ("2026-11-22T00:00:00.000Z", 0, "coupon_results_2026_11_22_00"),
        ("2026-11-22T09:59:59.999Z", 1, "coupon_results_2026_11_22_09"),
        ("2026-11-22T10:00:00.000Z", 2, "coupon_results_2026_11_22_10"),
        ("2026-12-31T23:59:59.999Z", 3, "coupon_results_2026_12_31_23"),
    ] {
        assert_eq!(place(&strategy, &row(123, 92, time)), (shard, table.to_owned()), "{time}");
    }
}

#[test]
fn tables_of_a_window_are_those_of_every_day_it_touches() {
    let strategy = TimeRangeSharding::new(Bucket::Day, spread(2, 4));
    let window =
        TimeRange::new("2026-12-31T12:00:00Z".parse().unwrap(), "2027-01-02T00:00:00Z".parse().unwrap());
    let tables: Vec<String> = strategy.tables(window).iter().map(ToString::to_string).collect();
    assert_eq!(
        tables,
        [
            "shard 2, table coupon_results_2026_12_31",
            "shard 3, table coupon_results_2026_12_31",
            "shard 3, table coupon_results_2027_01_01",
            "shard 0, table coupon_results_2027_01_01",
        ]
    );
}

#[test]
fn rooms_fall_into_ranges_of_equal_width() {
    let ranges = RoomRanges::Equal(NonZeroU64::new(25).unwrap());
    let strategy = RoomRangeSharding::new(ranges, spread(1, 4), 100);
    for (room, shard, table) in [
        (1, 0, "coupon_results_room_1_25"),
        (25, 0, "coupon_results_room_1_25"),
        (26, 1, "coupon_results_room_26_50"),
        (92, 3, "coupon_results_room_76_100"),
        (101, 0, "coupon_results_room_101_125"),
    ] {
        let row = row(123, room, "2026-11-22T12:00:00Z");
        assert_eq!(place(&strategy, &row), (shard, table.to_owned()), "room {room}");
    }
}

#[test]
fn boundaries_part_rooms_that_equal_ranges_keep_together() {
    let starts: Vec<RoomId> = [1, 2, 3, 6].iter().map(|&room| RoomId::new(room).unwrap()).collect();
    let ranges = RoomRanges::starting_at(&starts).unwrap();
    let strategy = RoomRangeSharding::new(ranges, spread(1, 4), 100);
    for (room, shard, table) in [
        (1, 0, "coupon_results_room_1_1"),
        (2, 1, "coupon_results_room_2_2"),
        (5, 2, "coupon_results_room_3_5"),
        (6, 3, "coupon_results_room_6_up"),
        (coupon_core::MAX_ID, 3, "coupon_results_room_6_up"),
    ] {
        let row = row(123, room, "2026-11-22T12:00:00Z");
        assert_eq!(place(&strategy, &row), (shard, table.to_owned()), "room {room}");
    }
}

#[test]
fn a_spread_range_divides_its_users_by_their_hash() {
    let strategy = TimeRangeSharding::new(Bucket::Day, spread(4, 4));
    // Day 20779 lies on shard 3; the lane is xxh3(user_id) % 4, as services/hash-svc/tests/golden.csv gives it.
    for (user, lane) in [(1, 2), (2, 3), (3, 1), (123, 0), (1_000, 1), (coupon_core::MAX_ID, 3)] {
        let (shard, table) = place(&strategy, &row(user, 92, "2026-11-22T12:00:00Z"));
        assert_eq!((shard, table.as_str()), ((3 + lane) % 4, "coupon_results_2026_11_22"), "user {user}");
    }
}
