//! Settings that contradict each other are refused by a message that names the setting.

use std::num::NonZeroU16;

use coupon_core::{RoomCounts, RoomId};
use range_svc::{Boundary, Bucket, By, RangeSettings, RoomRanges};

fn refusal(settings: &RangeSettings) -> String {
    settings.strategy(NonZeroU16::new(4).unwrap()).map(|made| made.layout()).unwrap_err().to_string()
}

fn rooms(rooms: &[u64]) -> Vec<Boundary> {
    rooms.iter().map(|&room| RoomId::new(room).unwrap().into()).collect()
}

fn by_room(boundaries: &[&str]) -> RangeSettings {
    let boundaries = boundaries.iter().map(|boundary| boundary.parse().unwrap()).collect();
    RangeSettings { by: By::Room, boundaries, ..RangeSettings::default() }
}

#[test]
fn the_defaults_are_daily_tables() {
    let strategy = RangeSettings::default().strategy(NonZeroU16::new(4).unwrap()).unwrap();
    assert_eq!((strategy.name(), strategy.shard_count().get()), ("range-time", 4));
    assert_eq!(strategy.layout(), "range of time, one table a UTC day, spread 1, 4 shards");
}

#[test]
fn by_room_the_default_is_25_rooms_a_range() {
    let settings = RangeSettings { by: By::Room, ..RangeSettings::default() };
    let strategy = settings.strategy(NonZeroU16::new(4).unwrap()).unwrap();
    assert_eq!(strategy.layout(), "range of room_id, 25 rooms each, spread 1, 4 shards");
}

#[test]
fn a_spread_over_more_shards_than_there_are_is_refused() {
    let settings = RangeSettings { spread: NonZeroU16::new(5).unwrap(), ..RangeSettings::default() };
    assert_eq!(refusal(&settings), "range.spread is 5, but there are only 4 shards to spread over");
}

#[test]
fn boundaries_that_do_not_ascend_are_refused() {
    for list in [&[1, 5, 5][..], &[1, 9, 5]] {
        let settings = RangeSettings { by: By::Room, boundaries: rooms(list), ..RangeSettings::default() };
        let message = refusal(&settings);
        assert!(message.starts_with("range.boundaries: ") && message.contains("but 5 follows"), "{message}");
    }
}

#[test]
fn boundaries_that_leave_the_first_rooms_out_are_refused() {
    let settings = RangeSettings { by: By::Room, boundaries: rooms(&[2, 5]), ..RangeSettings::default() };
    let message = refusal(&settings);
    assert!(message.starts_with("range.boundaries: ") && message.contains("not 2"), "{message}");
}

#[test]
fn hours_mean_nothing_to_ranges_of_rooms() {
    let settings = RangeSettings { by: By::Room, bucket: Bucket::Hour, ..RangeSettings::default() };
    let message = refusal(&settings);
    assert!(message.starts_with("range.bucket ") && message.contains("range.by = \"room\""), "{message}");
}

#[test]
fn boundaries_mean_nothing_to_ranges_of_time() {
    let settings = RangeSettings { boundaries: rooms(&[1, 6]), ..RangeSettings::default() };
    let message = refusal(&settings);
    assert!(message.starts_with("range.boundaries ") && message.contains("range.by = \"time\""), "{message}");
}

#[test]
fn boundaries_may_each_name_a_shard() {
    let four = NonZeroU16::new(4).unwrap();
    let layout = |settings: &RangeSettings| settings.strategy(four).unwrap().layout();
    let mut settings = by_room(&["1@0", "3@1", "4@0"]);
    assert_eq!(layout(&settings), "range of room_id, starting at rooms 1@0, 3@1, 4@0, spread 1, 4 shards");
    settings.listed_to = RoomId::new(50).ok();
    assert_eq!(
        layout(&settings),
        "range of room_id, starting at rooms 1@0, 3@1, 4@0 up to 50, then 25 rooms each, spread 1, 4 shards"
    );
}

#[test]
fn boundaries_with_shards_that_make_no_ranges_are_refused() {
    for (boundaries, why) in [
        (&["1@0", "3"][..], "3 names no shard"),
        (&["1@0", "3@4"], "3@4 is on a shard that there is not"),
        (&["2@0"], "not 2"),
        (&["1@0", "3@1", "3@2"], "3 follows 3"),
    ] {
        let message = refusal(&by_room(boundaries));
        assert!(message.starts_with("range.boundaries: ") && message.contains(why), "{message}");
    }
    let ending = |last: u64| {
        refusal(&RangeSettings { listed_to: RoomId::new(last).ok(), ..by_room(&["1@0", "30@1"]) })
    };
    assert!(ending(40).contains("multiple of room_width"), "{}", ending(40));
    assert!(ending(25).contains("not before 30@1"), "{}", ending(25));
    for boundary in ["", "@1", "1@", "1@x", "1@-1", "x@1", "0@1"] {
        assert!(boundary.parse::<Boundary>().is_err(), "{boundary:?}");
    }
}

#[test]
fn an_end_of_the_list_means_nothing_without_one() {
    let listed_to = RoomId::new(50).ok();
    for settings in [by_room(&[]), by_room(&["1", "5"])] {
        let message = refusal(&RangeSettings { listed_to, ..settings });
        assert!(message.starts_with("range.listed_to "), "{message}");
    }
    let message = refusal(&RangeSettings { listed_to, ..RangeSettings::default() });
    assert!(message.starts_with("range.listed_to "), "{message}");
}

#[test]
fn hot_rooms_get_ranges_of_their_own_and_every_shard_a_range() {
    let apart = |hot, all, shards| match RoomRanges::hot_rooms_apart(
        RoomCounts { all, hot },
        NonZeroU16::new(shards).unwrap(),
    ) {
        RoomRanges::Starts(starts) => starts.iter().map(|room| room.get()).collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    assert_eq!(apart(5, 100, 4), [1, 2, 3, 4, 5, 6, 38, 70]);
    assert_eq!(apart(5, 100, 16).len(), 16);
    assert_eq!(apart(5, 100, 1_024).len(), 100);
    assert_eq!(apart(3, 3, 2), [1, 2, 3]);
    assert_eq!(apart(0, 10, 2), [1, 6]);
}
