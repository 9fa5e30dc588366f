//! The cost of routing one row: in this process, no service.

use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use coupon_core::{RoomId, RowKey, ShardingStrategy, Timestamp, UserId};
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
/// So many keys fit a processor's first caches, as the few grabs of a batch do.
const KEYS: u64 = 1_024;
const DAY_MS: u64 = 86_400_000;
/// Rows routed in one measurement.
const ROWS: usize = 200_000;

fn claims() -> Vec<Claim> {
    let claim = |name, what, most| Claim::new(id(name), what, Bound::AtMost(most), "ns");
    vec![
        claim("hash", "routing one row by hash, through the trait", 10.0),
        claim("range-time", "routing one row by time, through the trait", 40.0),
        claim("range-room", "routing one row by room, 512 ranges, through the trait", 30.0),
    ]
}

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
    Ok(measured.collect::<Vec<_>>().into())
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
            time: Timestamp::from_millis(1_790_000_000_000 + time),
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
