//! Advice held against what the service that it starts would do with the trace itself.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU64};

use coupon_core::{RoomId, RowKey, ShardingStats, Timestamp, UserId};
use coupon_loadgen::workload::Endpoint;
use coupon_measure::random::Random;
use coupon_strategies::REGISTER;

use super::*;
use crate::replay::{QueryMix, ReadOptions, Recording, read, write_rooms, write_users};

const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

fn recording(text: &str, reading: &ReadOptions) -> Recording {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    read(file.path(), reading).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn findings(recording: &Recording, mix: &QueryMix, width: u64) -> Vec<RatedAlternative> {
    let all = alternatives(recording, FOUR, NonZeroU64::new(width).unwrap()).unwrap();
    let finding = |alternative: Alternative| {
        let prediction = predict(&*alternative.spec.strategy().unwrap(), recording, mix, now(), 1).unwrap();
        RatedAlternative { alternative, prediction }
    };
    all.into_iter().map(finding).collect()
}

/// The ids in a map that was written, by the texts that they stand for; texts that are not in it are their own.
fn map(write: impl Fn(&mut Vec<u8>)) -> HashMap<String, u64> {
    let mut csv = Vec::new();
    write(&mut csv);
    let mut lines = csv::Reader::from_reader(csv.as_slice());
    lines.records().map(Result::unwrap).map(|line| (line[1].to_owned(), line[0].parse().unwrap())).collect()
}

/// The effective shards of the lines of a trace on the service that a printed command starts, with no more to go by
/// than the command, the maps that were written, and the file's own texts.
fn started(start: &StartCommand, name: &str, recording: &Recording, lines: &[(String, String)]) -> f64 {
    let (rooms, users) =
        (map(|out| write_rooms(recording, out).unwrap()), map(|out| write_users(recording, out).unwrap()));
    let family = name.split('+').next().unwrap();
    let family = REGISTER.sharded().find(|known| known.name == family).unwrap();
    let own: Vec<String> =
        start.settings.iter().filter(|set| Some(*set) != family.chosen_by().as_ref()).cloned().collect();
    let strategy = family.strategy(start.shards, &own).unwrap();
    let mut rows = vec![0; usize::from(start.shards.get())];
    for (user, room) in lines {
        let id =
            |map: &HashMap<String, u64>, text: &String| map.get(text).copied().or(text.parse().ok()).unwrap();
        let (user, room) = (UserId::new(id(&users, user)).unwrap(), RoomId::new(id(&rooms, room)).unwrap());
        rows[strategy.place(&RowKey { user, room, time: now() }).unwrap().shard.index()] += 1;
    }
    ShardingStats::of_counts(&rows).effective_shards.unwrap()
}

#[test]
fn what_is_advised_and_started_gives_what_was_predicted_whatever_the_ids() {
    for seed in 0..20 {
        let mut random = Random::new(seed, 7);
        // Gaps between ids, text, ids of nineteen digits, and some of each.
        let room = |n: u64| match seed % 4 {
            0 => (n * n * 97 + 100).to_string(),
            1 => format!("room {}", n * 31 % 1_000),
            2 => (2_053_013_551_803_523_123 + n * 8_388_608).to_string(),
            _ if n.is_multiple_of(3) => format!("r{n}"),
            _ => (n * 1_000).to_string(),
        };
        let user = |n: u64| match seed % 3 {
            0 => (n * 65_537 + 3).to_string(),
            1 => format!("user-{n}"),
            _ => (u64::MAX - n).to_string(),
        };
        // Some rooms are hot, and every user comes once.
        let lines: Vec<(String, String)> =
            (0..3_000).map(|n| (user(n), room(random.below(60) * random.below(60) / 60))).collect();
        let csv: String = lines
            .iter()
            .enumerate()
            .map(|(n, (user, room))| format!("{user},{room},1,{}\n", 1_456_617_600 + n * 60))
            .collect();
        let reading = ReadOptions { with_names: true, ..ReadOptions::default() };
        let recording = recording(&format!("user_id,room_id,coupon_id,grab_time\n{csv}"), &reading);
        for RatedAlternative { alternative, prediction } in findings(&recording, &QueryMix::none(), 25) {
            let start = StartCommand::of(&alternative.spec, &recording);
            let found = started(&start, &alternative.name, &recording, &lines);
            let predicted = prediction.replayed.rows.effective_shards.unwrap();
            assert!((found / predicted - 1.0).abs() < 0.05, "{seed} {start}: {found}, not {predicted}");
        }
    }
}

#[test]
fn rooms_with_gaps_are_judged_by_their_own_ids() {
    let line = |n| format!("{},{},1,{}\n", n + 1, n % 8 * 100 + 100, 1_456_617_600 + n);
    let lines: String = (0..80).map(line).collect();
    let recording =
        recording(&format!("user_id,room_id,coupon_id,grab_time\n{lines}"), &ReadOptions::default());
    let all = findings(&recording, &QueryMix::none(), 2);
    let plain = all.iter().find(|finding| finding.alternative.name == "range-room").unwrap();
    let effective = plain.prediction.replayed.rows.effective_shards.unwrap();
    assert!((effective - 2.0).abs() < 1e-9, "{effective}");
    // A boundary between them cures what equal widths do not.
    let equal = all.iter().find(|finding| finding.alternative.name == "range-room+equal").unwrap();
    assert!((equal.prediction.worth - 4.0).abs() < 1e-9, "{}", equal.prediction.worth);
    let start = StartCommand::of(&equal.alternative.spec, &recording).to_string();
    assert!(start.contains("range.boundaries=[1,300,500,700]"), "{start}");
}

#[test]
fn too_few_rows_are_no_ground_for_advice() {
    for rows in 1..=3 {
        let lines: String = (0..rows).map(|n| format!("{},{n}1,1,{}\n", n + 1, 1_456_617_600 + n)).collect();
        let recording =
            recording(&format!("user_id,room_id,coupon_id,grab_time\n{lines}"), &ReadOptions::default());
        let findings = findings(&recording, &QueryMix::none(), 25);
        let told = text(&recording, &QueryMix::none(), &findings, FOUR);
        assert!(told.contains("Too few rows to say which is best") && !told.contains("Best:"), "{told}");
        assert!(AdviceReport::of(&findings, &recording, FOUR).recommended.is_empty());
    }
}

#[test]
fn recorded_queries_visit_what_they_ask_about_as_often_as_they_came() {
    // One room is looked at nine times as often as the other, and grabs are even.
    let view = |n: i64| if n % 10 == 0 { 2 } else { 1 };
    let lines: String = (0..400)
        .map(|n| {
            let time = 1_456_617_600 + n;
            format!("{},{},1,{time},buy\n{},{},1,{time},view\n", n + 1, n % 2 + 1, n + 1, view(n))
        })
        .collect();
    let reading = ReadOptions {
        conditions: vec!["event=buy".parse().unwrap()],
        asked: vec!["room_orders=event:view".parse().unwrap()],
        ..ReadOptions::default()
    };
    let recording = recording(&format!("user_id,room_id,coupon_id,grab_time,event\n{lines}"), &reading);
    let all = findings(&recording, &QueryMix::none(), 1);
    let of = |name: &str| &all.iter().find(|finding| finding.alternative.name == name).unwrap().prediction;
    let (hash, room) = (of("hash"), of("range-room"));
    assert_eq!((hash.recorded.fan_out[&Endpoint::RoomOrders], hash.shards_a_query), (4.0, Some(4.0)));
    assert_eq!((room.recorded.fan_out[&Endpoint::RoomOrders], room.shards_a_query), (1.0, Some(1.0)));
    // 800 requests, of which the busiest shard has 200 grabs and 360 queries.
    assert!((room.worth - 800.0 / 560.0).abs() < 1e-9, "{}", room.worth);
}
