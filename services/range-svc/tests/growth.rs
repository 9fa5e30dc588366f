//! Changes of ranges while rows are stored: hot rooms set apart, ranges spread, shards added.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use coupon_core::{
    LayoutChange, LayoutChangeError, RoomId, RowKey, ShardId, ShardingStrategy, TableId, Timestamp, UserId,
    laws,
};
use range_svc::{Bucket, RoomRangeSharding, RoomRanges, Spread, TimeRangeSharding};

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn room(id: u64) -> RoomId {
    RoomId::new(id).unwrap()
}

fn equal(width: u64, shards: u16) -> Arc<dyn ShardingStrategy> {
    let spread = Spread::new(NonZeroU16::MIN, number(shards)).unwrap();
    Arc::new(RoomRangeSharding::new(RoomRanges::Equal(NonZeroU64::new(width).unwrap()), spread, 100))
}

fn listed(starts: &[u64], shards: u16) -> Arc<dyn ShardingStrategy> {
    let starts: Vec<RoomId> = starts.iter().map(|start| room(*start)).collect();
    let spread = Spread::new(NonZeroU16::MIN, number(shards)).unwrap();
    Arc::new(RoomRangeSharding::new(RoomRanges::starting_at(&starts).unwrap(), spread, 100))
}

fn by_day(shards: u16) -> Arc<dyn ShardingStrategy> {
    let spread = Spread::new(NonZeroU16::MIN, number(shards)).unwrap();
    Arc::new(TimeRangeSharding::new(Bucket::Day, spread))
}

fn split(before: &dyn ShardingStrategy, rooms: &[u64]) -> Arc<dyn ShardingStrategy> {
    LayoutChange::Split(rooms.iter().map(|id| room(*id)).collect()).of(before).unwrap()
}

fn place(strategy: &dyn ShardingStrategy, id: u64) -> (u16, TableId) {
    let (user, time) = (UserId::new(1).unwrap(), Timestamp::from_millis(1_800_000_000_000));
    let place = strategy.place(&RowKey { user, room: room(id), time }).unwrap();
    (place.shard.number(), place.table)
}

#[test]
fn a_hot_room_is_set_apart_and_no_other_room_changes_its_shard() {
    for (before, rooms) in [
        (equal(25, 4), &[3][..]),
        (equal(25, 4), &[3, 1, 2, 4, 5]),
        (equal(25, 4), &[30, 300]),
        (listed(&[1, 2, 3, 4, 5, 6, 38, 70], 4), &[38, 90]),
        (listed(&[1], 4), &[1, 2, coupon_core::MAX_ID]),
    ] {
        let after = split(&*before, rooms);
        for id in (1..=400).chain([coupon_core::MAX_ID]) {
            let (was, (is, table)) = (place(&*before, id).0, place(&*after, id));
            if rooms.contains(&id) {
                assert!(
                    matches!(table, TableId::Rooms { first, last } if first.get() == id && last.is_none_or(|last| last == first))
                );
            } else {
                assert_eq!(is, was, "room {id}: {}", after.layout());
            }
        }
    }
}

#[test]
fn the_hottest_rooms_go_to_a_shard_each_and_not_to_where_they_were() {
    let after = split(&*equal(25, 4), &[1, 2, 3, 4, 5]);
    let shards: Vec<u16> = (1..=5).map(|id| place(&*after, id).0).collect();
    assert_eq!(shards, [1, 2, 3, 0, 1]);
    assert_eq!(
        after.layout(),
        "range of room_id, starting at rooms 1@1, 2@2, 3@3, 4@0, 5@1, 6@0 up to 25, then 25 rooms each, spread 1, 4 \
         shards"
    );
    assert_eq!(place(&*split(&*after, &[7]), 7).0, 2);
}

#[test]
fn a_room_that_is_apart_already_stays() {
    let after = split(&*equal(25, 4), &[1]);
    let again = LayoutChange::Split(vec![room(1)]).of(&*after).unwrap_err();
    assert!(matches!(again, LayoutChangeError::AlreadySo(_)), "{again}");
    let none = LayoutChange::Split(Vec::new()).of(&*after).unwrap_err();
    assert_eq!(none, LayoutChangeError::NoRoom);
}

#[test]
fn every_changed_layout_is_read_back_from_its_line_and_keeps_the_laws() {
    let split = |rooms: &[u64]| LayoutChange::Split(rooms.iter().map(|id| room(*id)).collect());
    let changes = [
        split(&[3, 77]),
        LayoutChange::Shards(number(6)),
        LayoutChange::Spread(number(2)),
        split(&[4]),
        LayoutChange::Shards(number(3)),
    ];
    for first in [equal(25, 4), listed(&[1, 2, 50], 4)] {
        let mut strategy = Arc::clone(&first);
        for change in &changes {
            strategy = change.of(&*strategy).unwrap();
            let read = first.of_layout(&strategy.layout()).unwrap();
            assert_eq!(read.layout(), strategy.layout());
            for id in 1..=200 {
                assert_eq!(place(&*read, id), place(&*strategy, id), "{}", strategy.layout());
            }
            laws::check(&*strategy, 1).unwrap_or_else(|broken| panic!("{}: {broken}", strategy.layout()));
        }
        assert_eq!(strategy.of_layout(&first.layout()).unwrap().layout(), first.layout());
    }
    let days = by_day(4);
    for change in [LayoutChange::Shards(number(6)), LayoutChange::Spread(number(2))] {
        let changed = change.of(&*days).unwrap();
        assert_eq!(days.of_layout(&changed.layout()).unwrap().layout(), changed.layout());
    }
}

#[test]
fn more_shards_leave_as_many_ranges_where_they_are_as_an_even_split_allows() {
    let moved = |before: &dyn ShardingStrategy, shards: u16| {
        let after = LayoutChange::Shards(number(shards)).of(before).unwrap();
        let ranges = (0..13).map(|range| range * 8 + 1);
        let moved = ranges.filter(|first| place(before, *first).0 != place(&*after, *first).0).count();
        (moved, after)
    };
    let (before, six) = (equal(8, 4), 6);
    let (count, after) = moved(&*before, six);
    assert_eq!(count, 4, "{}", after.layout());
    let (count, back) = moved(&*after, 4);
    assert_eq!(count, 4, "{}", back.layout());
    let (count, eight) = moved(&*before, 8);
    assert_eq!((count, eight.layout()), (5, "range of room_id, 8 rooms each, spread 1, 8 shards".to_owned()));
}

#[test]
fn lists_of_versions_keep_the_laws() {
    for seed in 0..5 {
        for first in [equal(25, 4), listed(&[1, 2, 50], 3), by_day(4)] {
            let versions = laws::random_versions(first, seed);
            laws::check_versions(&versions, seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        }
    }
}

#[test]
fn changes_that_cannot_be_are_refused() {
    let error = |before: &dyn ShardingStrategy, change: LayoutChange| change.of(before).unwrap_err();
    let spread = LayoutChange::Spread(number(5));
    for before in [by_day(4), equal(25, 4)] {
        let too_wide = LayoutChangeError::SpreadTooWide { spread: number(5), shards: number(4) };
        assert_eq!(error(&*before, spread.clone()), too_wide);
    }
    let wide = LayoutChange::Spread(number(4)).of(&*by_day(4)).unwrap();
    assert!(matches!(
        error(&*wide, LayoutChange::Shards(number(3))),
        LayoutChangeError::SpreadTooWide { .. }
    ));
    let room = LayoutChange::Split(vec![room(3)]);
    assert!(error(&*by_day(4), room).to_string().contains("range-time cannot give ranges of their own"));
    let far = LayoutChange::Split(vec![RoomId::new(coupon_core::MAX_ID).unwrap()]);
    assert!(matches!(error(&*equal(25, 4), far), LayoutChangeError::TooManyRanges { .. }));
    assert_eq!(place(&*equal(25, 4), 1).0, ShardId::new(0).number());
}
