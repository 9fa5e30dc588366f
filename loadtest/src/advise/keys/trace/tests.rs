//! Candidate keys of small traces.

use coupon_core::ShardingStats;
use coupon_loadgen::workload::Workload;

use super::super::{JudgedKey, ShardsNeeded, text};
use super::*;
use crate::replay::{CountedSecond, ReadOptions, read};

const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// 4,000 grabs over ten hours: users come once, half of everything is in room 3, orders ascend, and shops are text.
fn recording(asked: &[&str], most: usize) -> Recording {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |n: u64| {
        let room = if n.is_multiple_of(2) { 3 } else { n / 2 % 16 + 10 };
        let (user, time) = (n * 7_919 % 4_001 + 1, 1_456_617_600 + n / 3 * 27);
        format!("{user},{room},1,{time},{},shop-of-{:03}\n", 10_000 + n, n * 37 % 500)
    };
    let lines: String = (0..4_000).map(line).collect();
    std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time,order,shop\n{lines}")).unwrap();
    let keys = asked.iter().map(|key| key.parse().unwrap()).collect();
    read(file.path(), &ReadOptions { keys, most, ..ReadOptions::default() }).unwrap()
}

fn judged(recording: &Recording, shard_writes: f64) -> KeyFindings {
    KeyFindings::of_trace(recording, &QueryMix::of(&Workload::default()).unwrap(), FOUR, shard_writes)
}

fn findings(asked: &[&str], most: usize, shard_writes: f64) -> KeyFindings {
    judged(&recording(asked, most), shard_writes)
}

fn keys(asked: &[&str]) -> Vec<JudgedKey> {
    findings(asked, 1_000_000, 1_000.0).keys
}

fn effective(stats: &ShardingStats) -> f64 {
    stats.effective_shards.unwrap()
}

#[test]
fn a_key_of_many_values_is_even_by_hash_and_a_hot_value_is_named() {
    let [user, room, both] = keys(&["user", "room", "room,user"]).try_into().unwrap();
    let all = |key: &JudgedKey| effective(&key.hashed.as_ref().unwrap().all);
    assert_eq!([user.values, room.values, both.values], [4_000.0, 17.0, 4_000.0]);
    assert!(all(&user) > 3.7 && all(&both) > 3.7 && all(&room) <= 2.0, "{room:?}");
    assert_eq!(room.top[0], Share { value: "3".to_owned(), share: 0.5 });
    assert!(user.ascent.unwrap().abs() < 0.1, "{:?}", user.ascent);
    // A page of one user's coupons names the user alone.
    let visits = |key: &JudgedKey, endpoint: Endpoint| {
        let found = key.fan_out.iter().find(|fan_out| fan_out.query == endpoint.key()).unwrap();
        (found.hashed, found.ranges)
    };
    let (one, four) = ((1.0, 1.0), (4.0, 4.0));
    assert_eq!((visits(&user, Endpoint::UserCoupons), visits(&user, Endpoint::RoomOrders)), (one, four));
    assert_eq!((visits(&room, Endpoint::UserCoupons), visits(&room, Endpoint::RoomOrders)), (four, one));
    assert_eq!((visits(&both, Endpoint::UserCoupons), visits(&both, Endpoint::Global)), (four, four));
    // Ranges of room and user keep what a room has together, but for the room that is in two of them.
    let (hashed, ranges) = visits(&both, Endpoint::RoomOrders);
    assert!(hashed == 4.0 && (1.3..2.7).contains(&ranges), "{ranges}");
}

#[test]
fn every_kind_of_query_that_looks_results_up_names_the_columns_it_knows() {
    for endpoint in Endpoint::ALL {
        assert_eq!(known_by(endpoint).is_some(), endpoint.has_plan(), "{endpoint:?}");
    }
    for step in [Endpoint::Confirm, Endpoint::Release, Endpoint::Use, Endpoint::Return] {
        assert_eq!(known_by(step), Some(&[Meaning::User, Meaning::Time][..]), "{step:?}");
    }
}

#[test]
fn a_key_that_ascends_has_its_busiest_hour_in_one_range() {
    let found = findings(&["order"], 1_000_000, 1_000.0);
    let [order] = &*found.keys else { panic!() };
    let (hashed, ranges) = (order.hashed.as_ref().unwrap(), order.ranges.as_ref().unwrap());
    assert!(order.ascent.unwrap() > 0.999);
    assert!(effective(&ranges.all) > 3.8 && effective(hashed.busiest.as_ref().unwrap()) > 3.0);
    assert!(effective(ranges.busiest.as_ref().unwrap()) < 1.5, "{ranges:?}");
    let told = text(&found);
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(told.contains("order: it follows time") && told.contains("order: hashed 1 shard;"), "{told}");
    assert!(told.contains("those of the busiest hour."), "{told}");
    // The newest rows move from the first range to the last.
    let lines: Vec<&str> = told.lines().filter(|line| line.ends_with('|')).collect();
    assert!(lines[0].contains("|@") && lines.last().unwrap().ends_with("@|"), "{told}");
}

#[test]
fn a_value_that_is_more_than_a_shard_takes_in_the_busiest_second_is_told() {
    let found = findings(&["room", "order"], 1_000_000, 1.0);
    let needs: Vec<ShardsNeeded> = found.keys.iter().map(|key| key.needs.unwrap().hashed).collect();
    assert!(matches!(needs[..], [ShardsNeeded::OneValue(2), ShardsNeeded::Shards(3..)]), "{needs:?}");
}

#[test]
fn texts_that_share_a_prefix_are_warned_of() {
    let found = findings(&["shop", "room"], 1_000_000, 1_000.0);
    let [shop, room] = &*found.keys else { panic!() };
    let prefix = shop.prefix.as_ref().unwrap();
    assert_eq!((prefix.text.as_str(), prefix.share), ("shop-of-", 1.0));
    assert!(room.prefix.is_none());
    assert!(text(&found).contains("shop: 100 % of the rows begin with \"shop-of-\""));
}

#[test]
fn a_part_of_a_trace_keeps_the_values_of_its_own_rows_and_has_the_busiest_second_of_the_whole() {
    let [all] = keys(&["room"]).try_into().unwrap();
    let part = findings(&["room"], 1_500, 1_000.0);
    let [of_part] = &*part.keys else { panic!() };
    assert!((of_part.top[0].share - all.top[0].share).abs() < 0.05, "{:?}", of_part.top);
    assert!((375..=1_500).contains(&of_part.rows));
    // Three rows a second, of which the sample has fewer.
    let (needs, whole) = (of_part.needs.unwrap(), all.needs.unwrap());
    assert_eq!((needs.rows, whole.rows, needs.hashed), (3, 3, ShardsNeeded::Shards(1)));
    let told = text(&part).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("The rows are a sample") && told.contains("had about 3 rows"), "{told}");
    // Half of all is in room 3: of a second with three rows, 1.5.
    let [hot] = findings(&["room"], 1_500, 0.5).keys.try_into().unwrap();
    assert!(matches!(hot.needs.unwrap().hashed, ShardsNeeded::OneValue(1..=2)), "{:?}", hot.needs);
}

#[test]
fn a_busiest_second_that_was_not_counted_exactly_is_said_to_have_so_many_at_most_or_nothing_is() {
    let mut recording = recording(&["room"], 1_500);
    let counted = recording.busiest_second.unwrap();
    assert!(counted.is_exact() && counted.most == 3, "{counted:?}");
    let told = |recording: &Recording| {
        let found = judged(recording, 1_000.0);
        let told = text(&found).split_whitespace().collect::<Vec<_>>().join(" ");
        (found.keys[0].needs.map(|needs| needs.rows), told)
    };
    recording.busiest_second = Some(CountedSecond { least: 1_900, most: 2_000, ..counted });
    let (rows, said) = told(&recording);
    assert!(rows == Some(2_000) && said.contains("had at most about 2,000 rows."), "{rows:?} {said}");
    assert!(said.contains("a shard so many need"), "{said}");
    for lost in [Some(CountedSecond { least: 1_700, most: 2_000, ..counted }), None] {
        recording.busiest_second = lost;
        let (rows, said) = told(&recording);
        assert!(rows.is_none() && said.contains("not known to a tenth, so nothing is said of"), "{said}");
    }
}

#[test]
fn a_second_that_the_seed_made_within_a_day_is_not_counted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: String = (0..600).map(|n| format!("{n},1,1,2026-01-0{}\n", n / 200 % 3 + 1)).collect();
    std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
    let keys = vec!["user".parse().unwrap()];
    let recording = read(file.path(), &ReadOptions { keys, ..ReadOptions::default() }).unwrap();
    let found = KeyFindings::of_trace(&recording, &QueryMix::none(), FOUR, 1.0);
    assert!(found.keys[0].needs.is_none());
    assert_eq!(found.of.busiest_day, Some(("2026-01-01".to_owned(), 200)));
    assert!(text(&found).contains("Of times only the day is known"), "{}", text(&found));
}
