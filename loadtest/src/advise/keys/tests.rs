//! Candidate keys of small traces.

use std::num::NonZeroU16;

use coupon_loadgen::workload::{Endpoint, Workload};

use super::keys_text as text;
use super::*;
use crate::replay::{Reading, read};

const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// 4,000 grabs over ten hours: users come once, half of everything is in room 3, orders ascend, and shops are text.
fn keys(asked: &[&str], most: usize) -> Vec<Key> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |n: u64| {
        let room = if n.is_multiple_of(2) { 3 } else { n / 2 % 16 + 10 };
        let (user, time) = (n * 7_919 % 4_001 + 1, 1_456_617_600 + n * 9);
        format!("{user},{room},1,{time},{},shop-of-{:03}\n", 10_000 + n, n * 37 % 500)
    };
    let lines: String = (0..4_000).map(line).collect();
    std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time,order,shop\n{lines}")).unwrap();
    let keys = asked.iter().map(|key| key.parse().unwrap()).collect();
    let recording = read(file.path(), &Reading { keys, most, ..Reading::default() }).unwrap();
    judged(&recording, &QueryMix::of(&Workload::default()).unwrap(), FOUR, 1_000)
}

fn effective(stats: &ShardingStats) -> f64 {
    stats.effective_shards.unwrap()
}

#[test]
fn a_key_of_many_values_is_even_by_hash_and_a_hot_value_is_named() {
    let [user, room, both] = keys(&["user", "room", "room,user"], 1_000_000).try_into().unwrap();
    assert_eq!((user.values, room.values, both.values), (4_000, 17, 4_000));
    assert!(effective(&user.hashed.all) > 3.7 && effective(&both.hashed.all) > 3.7);
    assert!(effective(&room.hashed.all) <= 2.0, "{room:?}");
    assert_eq!(room.top[0], ("3".to_owned(), 0.5));
    assert!(user.ranges.ascends.unwrap().abs() < 0.1, "{:?}", user.ranges.ascends);
    // A page of one user's coupons names the user alone.
    let visits = |key: &Key, endpoint| key.fan_out[&endpoint];
    assert_eq!((visits(&user, Endpoint::UserCoupons), visits(&user, Endpoint::RoomOrders)), (1, 4));
    assert_eq!((visits(&room, Endpoint::UserCoupons), visits(&room, Endpoint::RoomOrders)), (4, 1));
    assert_eq!((visits(&both, Endpoint::UserCoupons), visits(&both, Endpoint::Global)), (4, 4));
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
    let [order] = keys(&["order"], 1_000_000).try_into().unwrap();
    assert!((order.ranges.ascends.unwrap() - 1.0).abs() < 1e-9);
    assert!(effective(&order.ranges.spread.all) > 3.9 && effective(&order.hashed.busiest) > 3.0);
    assert!(effective(&order.ranges.spread.busiest) < 1.5, "{:?}", order.ranges.spread.busiest);
    let told = text(&[order], FOUR, "hour");
    assert!(told.contains("it follows the time (1.00)") && told.contains("needs 1 shard"), "{told}");
    // The newest rows move from the first range to the last.
    let range = |number: u32| told.lines().find(|line| line.contains(&format!("range  {number} |"))).unwrap();
    assert!(range(1).contains("|#") && range(4).ends_with("#|"), "{told}");
}

#[test]
fn texts_that_share_a_prefix_are_warned_of() {
    let [shop, room] = keys(&["shop", "room"], 1_000_000).try_into().unwrap();
    let prefix = shop.ranges.prefix.clone().unwrap();
    assert_eq!((prefix.text.as_str(), prefix.part), ("shop-of-", 1.0));
    assert!(room.ranges.prefix.is_none());
    assert!(text(&[shop], FOUR, "hour").contains("100 % begin with \"shop-of-\""));
}

#[test]
fn a_part_of_a_trace_keeps_the_values_of_its_own_rows() {
    let [all] = keys(&["room"], 1_000_000).try_into().unwrap();
    let [part] = keys(&["room"], 1_500).try_into().unwrap();
    assert!((part.top[0].1 - all.top[0].1).abs() < 0.05, "{:?}", part.top);
    assert!((375..=1_500).contains(&(part.hashed.all.work.iter().sum::<f64>() as u64)));
}
