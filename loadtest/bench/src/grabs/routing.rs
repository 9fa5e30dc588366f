//! The cost of routing one row: in this process, no service.

use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use coupon_core::{
    LayoutChange, LayoutVersion, RESULT_ID_EPOCH, RoomId, RowKey, ShardingStrategy, Timestamp, UserId,
    Versioned,
};
use coupon_measure::Turns;
use coupon_measure::random::Random;

use crate::context::{Context, SHARDS};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "routing",
    family: "routing",
    what: "where one row lives, by each strategy",
    servers: false,
    claims,
    run,
};

/// Ranges of the strategy that searches for one.
const RANGES: u64 = 512;
/// Rooms a range.
const WIDTH: u64 = 25;
/// The keys: so many fit a processor's first caches, as the few grabs of a batch do.
const KEYS: u64 = 1_024;
const DAY_MS: u64 = 86_400_000;
/// The beginning of the thirty days whose rows are routed.
const BEGINNING_MS: i64 = 1_790_000_000_000;
/// The versions of a layout that has changed often.
const VERSIONS: u16 = 10;
/// Rows routed in one measurement.
const ROWS: usize = 200_000;

fn claims() -> Vec<Claim> {
    let claim = |name, what, most| Claim::new(id(name), what, Bound::AtMost(most), "ns");
    let ten = "routing one new row by hash, in a layout of ten versions";
    vec![
        claim("hash", "routing one row by hash, through the trait", 10.0),
        claim("range-time", "routing one row by time, through the trait", 40.0),
        claim("range-room", "routing one row by room, 512 ranges, through the trait", 30.0),
        Claim::ratio(id(TEN_VERSIONS), ten, "the same in a layout of one", Bound::AtMost(1.5)),
    ]
}

const TEN_VERSIONS: &str = "ten-versions";

fn id(strategy: &str) -> String {
    format!("routing-{strategy}")
}

fn run(context: &mut Context) -> Result<Findings> {
    let strategies = strategies(SHARDS)?;
    let keys = keys(context.seed)?;
    let mut turns = Turns::new(context.seed);
    let mut took: [Vec<f64>; 3] = Default::default();
    let mut idle = Vec::new();
    for _ in 0..if context.quick { 31 } else { 101 } {
        for at in turns.next_order(strategies.len()) {
            let (Some(strategy), Some(took)) = (strategies.get(at), took.get_mut(at)) else { continue };
            took.push(ns_a_row(&keys, |key| {
                let _ = black_box(black_box(&**strategy).place(black_box(key)));
            }));
        }
        idle.push(ns_a_row(&keys, |key| {
            black_box(black_box(key));
        }));
    }
    let loop_alone = NamedFigure::of("the loop alone, which is part of it", "ns", &idle);
    let measured = strategies.iter().zip(took).map(|(strategy, took)| {
        Measurement::new(id(strategy.name()), took).figures(vec![loop_alone.clone()])
    });
    let versions = by_versions(context, &keys)?;
    Ok(measured.chain([versions]).collect::<Vec<_>>().into())
}

/// Rows of now in a layout of one version and of ten, and rows of all times in that of ten.
fn by_versions(context: &Context, keys: &[RowKey]) -> Result<Measurement> {
    let (one, ten) = (versions(1)?, versions(VERSIONS)?);
    let new: Vec<RowKey> = keys.iter().map(|key| RowKey { time: ten.latest().from, ..*key }).collect();
    let mut turns = Turns::new(context.seed);
    let mut took: [Vec<f64>; 3] = Default::default();
    for _ in 0..if context.quick { 31 } else { 101 } {
        let kinds = [(&one, new.as_slice()), (&ten, new.as_slice()), (&ten, keys)];
        for at in turns.next_order(kinds.len()) {
            let (Some((versions, keys)), Some(took)) = (kinds.get(at), took.get_mut(at)) else { continue };
            took.push(ns_a_row(keys, |key| {
                let _ = black_box(black_box(*versions).place(black_box(key)));
            }));
        }
    }
    let [one, ten, of_all_times] = took;
    let ratios = ten.iter().zip(&one).map(|(ten, one)| ten / one).collect();
    let figures = vec![
        NamedFigure::of("one version", "ns", &one),
        NamedFigure::of("ten versions", "ns", &ten),
        NamedFigure::of("ten versions, rows of the times of all", "ns", &of_all_times),
    ];
    Ok(Measurement::new(id(TEN_VERSIONS), ratios).figures(figures))
}

/// A layout by hash that has had so many versions within thirty days, each over one shard more.
fn versions(count: u16) -> Result<Versioned> {
    let mut strategy = coupon_strategies::strategy("hash", SHARDS, &[])?;
    let mut versions = Vec::new();
    for number in 0..count {
        let from = BEGINNING_MS + i64::try_from(30 * DAY_MS)? * i64::from(number) / i64::from(count);
        let from = if number == 0 { RESULT_ID_EPOCH } else { Timestamp::from_millis(from) };
        let version = LayoutVersion { number: u32::from(number) + 1, from, receives: false, strategy };
        strategy =
            LayoutChange::Shards(version.strategy.shard_count().saturating_add(1)).of(&*version.strategy)?;
        versions.push(version);
    }
    Ok(Versioned::new(versions)?)
}

fn strategies(shards: NonZeroU16) -> Result<[Arc<dyn ShardingStrategy>; 3]> {
    let starts: Vec<String> = (0..RANGES).map(|range| (range * WIDTH + 1).to_string()).collect();
    let boundaries = format!("range.boundaries=[{}]", starts.join(","));
    Ok([
        coupon_strategies::strategy("hash", shards, &[])?,
        coupon_strategies::strategy("range-time", shards, &[])?,
        coupon_strategies::strategy("range-room", shards, &[boundaries])?,
    ])
}

/// Users, rooms of all ranges, and moments of thirty days, at random.
fn keys(seed: u64) -> Result<Vec<RowKey>> {
    let mut random = Random::new(seed, 0);
    let key = |_| {
        let time = i64::try_from(random.below(30 * DAY_MS))?;
        Ok(RowKey {
            user: UserId::new(1 + random.below(1_000_000_000))?,
            room: RoomId::new(1 + random.below(RANGES * WIDTH))?,
            time: Timestamp::from_millis(BEGINNING_MS + time),
        })
    };
    (0..KEYS).map(key).collect()
}

fn ns_a_row(keys: &[RowKey], mut route: impl FnMut(&RowKey)) -> f64 {
    let began = Instant::now();
    keys.iter().cycle().take(ROWS).for_each(&mut route);
    began.elapsed().as_secs_f64() * 1e9 / ROWS as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_routed_and_all_ranges_are_there() {
        let keys = keys(1).unwrap();
        assert_eq!(versions(VERSIONS).unwrap().versions().len(), usize::from(VERSIONS));
        for strategy in strategies(SHARDS).unwrap() {
            assert!(keys.iter().all(|key| strategy.place(key).is_ok()), "{}", strategy.name());
        }
        let [.., by_room] = strategies(SHARDS).unwrap();
        let first_rooms = (0..RANGES).map(|range| {
            let room = RoomId::new(range * WIDTH + 1).unwrap();
            by_room.place(&RowKey { room, ..keys[0] }).unwrap().to_string()
        });
        assert_eq!(first_rooms.collect::<BTreeSet<_>>().len() as u64, RANGES);
    }
}
