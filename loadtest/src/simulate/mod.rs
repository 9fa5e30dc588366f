//! Routes millions of keys through the pure strategies, without any service.
//!
//! Skew, effective shards, fan-out and the rows a new shard moves do not depend on machines, so they can be known
//! for 1,024 shards and a billion users before one server is rented.

mod keys;
pub mod machines;
mod measure;
mod render;
mod variants;

use std::num::NonZeroU16;
use std::time::Instant;

use coupon_core::{Day, RoomCounts, RoomId, RowKey, ShardingStats, ShardingStrategy, TimeRange, UserId};
use coupon_measure::random::Random;

use keys::KeyDistribution;
use measure::Windows;
pub(crate) use measure::{rows_of_shards, rows_to_move};
pub use render::text;
pub(crate) use render::title;
use serde::Serialize;
use variants::Variant;

/// 2026-11-22, the day of the simulated sale; which day it is changes no figure by more than a table.
const SALE_DAY: Day = Day::new(20_779);
const SALE_STARTS_AT: i64 = 20 * HOUR;
const HOUR: i64 = 3_600_000;

/// The plan of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimulateOptions {
    /// The numbers of shards, one case each.
    pub shards: Vec<NonZeroU16>,
    /// Rows routed in each case by each strategy.
    pub rows: u64,
    /// Users 1 to this one.
    pub users: u64,
    /// The unevenness of users: user k grabs with a weight of k^-s; all alike without.
    pub zipf: Option<f64>,
    /// Rooms 1 to this one.
    pub rooms: u64,
    /// Rooms 1 to this one are hot.
    pub hot_rooms: u64,
    /// The part of grabs that goes to hot rooms by design, 0 to 1; the rest goes to all rooms.
    pub hot_share: f64,
    /// The number of shards over which the cured variants spread a range.
    pub spread: NonZeroU16,
    /// The days over which stored rows lie.
    pub days: u32,
    /// Threads to route with.
    pub threads: usize,
    /// Decides every row.
    pub seed: u64,
}

impl SimulateOptions {
    /// The users and rooms that rows are drawn from.
    fn keys(&self) -> KeyDistribution {
        KeyDistribution::new(self.users, self.zipf, self.rooms, self.hot_rooms, self.hot_share)
    }
}

/// Everything a simulation found.
#[derive(Debug, Clone, Serialize)]
pub struct Simulation {
    /// The plan.
    pub options: SimulateOptions,
    /// One for each number of shards.
    pub cases: Vec<Case>,
}

/// The findings for one number of shards.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// The number of shards.
    pub shards: NonZeroU16,
    /// One for each strategy and its cures.
    pub variants: Vec<VariantFindings>,
}

/// The findings for one strategy.
#[derive(Debug, Clone, Serialize)]
pub struct VariantFindings {
    /// Its name and cure.
    pub strategy: String,
    /// Every parameter that places rows.
    pub layout: String,
    /// The rows written during one hour of a sale.
    pub written: ShardEvenness,
    /// The rows stored over many days.
    pub stored: ShardEvenness,
    /// The visits of each kind of query.
    pub fan_out: Vec<FanOut>,
    /// The rows that adding one shard moves, for each way of doing so.
    pub reshards: Vec<Reshard>,
    /// Seconds that the routing took.
    pub seconds: f64,
    /// Rows routed per second; each was placed twice, and once more for each way of adding a shard.
    pub rows_per_second: f64,
}

/// The evenness of rows over the shards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShardEvenness {
    /// The hottest shard's share ÷ the fair share.
    pub skew: Option<f64>,
    /// The effective shards: rows ÷ the hottest shard's rows.
    pub effective_shards: Option<f64>,
    /// Shards that got no row at all.
    pub idle_shards: usize,
}

impl ShardEvenness {
    fn of(stats: &ShardingStats) -> Self {
        Self {
            skew: stats.skew,
            effective_shards: stats.effective_shards,
            idle_shards: stats.work.iter().filter(|work| **work <= 0.0).count(),
        }
    }
}

/// The visits of one kind of query, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FanOut {
    /// The kind of query.
    pub query: String,
    /// Shards visited.
    pub shards: f64,
    /// Tables visited on them.
    pub tables: f64,
}

/// The effect of one way of adding a shard on the rows already stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reshard {
    /// The way.
    pub how: String,
    /// The part of rows whose shard changes, 0 to 1.
    pub moved: f64,
    /// The part of rows that the new shard then holds, 0 to 1.
    pub new_shard_share: f64,
}

/// Runs every case, and calls `progress` with what is being routed.
///
/// # Errors
/// When the options contradict each other.
pub fn run(options: SimulateOptions, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Simulation> {
    let keys = options.keys();
    let rooms = RoomCounts { all: options.rooms, hot: options.hot_rooms };
    let mut cases = Vec::new();
    for &shards in &options.shards {
        let mut findings = Vec::new();
        for variant in variants::all(shards, options.spread, rooms)? {
            progress(&format!("{shards} shards: {}", variant.name));
            findings.push(examine(&variant, &keys, &options)?);
        }
        cases.push(Case { shards, variants: findings });
    }
    Ok(Simulation { options, cases })
}

#[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
fn examine(
    variant: &Variant,
    keys: &KeyDistribution,
    options: &SimulateOptions,
) -> anyhow::Result<VariantFindings> {
    let windows = windows(options.days);
    let begun = Instant::now();
    let counts = measure::route(variant, keys, windows, options.rows, options.seed, options.threads)?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(VariantFindings {
        strategy: variant.name.clone(),
        layout: variant.strategy.layout(),
        written: counts.written(),
        stored: counts.stored(),
        fan_out: measure::fan_out(&*variant.strategy, keys, windows, options.seed)?,
        reshards: counts.reshards(variant),
        seconds,
        rows_per_second: options.rows as f64 / seconds.max(1e-9),
    })
}

/// The effect of a strategy on the grabs of a workload that has been drawn already.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The rows of these grabs, written during one hour of a sale.
    pub written: ShardEvenness,
    /// The visits of each kind of query that is asked about the first [`Forecast::QUERIES`] of them.
    pub fan_out: Vec<FanOut>,
}

impl Forecast {
    /// The most queries of each kind that are asked.
    pub const QUERIES: usize = 500;

    /// Routes grabs of users in rooms; queries are about rows stored over so many days.
    ///
    /// # Errors
    /// When a row has no place.
    pub fn of(
        strategy: &dyn ShardingStrategy,
        grabs: &[(UserId, RoomId)],
        days: u32,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let windows = windows(days);
        let within = |random: &mut Random, (user, room), window| RowKey {
            user,
            room,
            time: keys::moment(random, window),
        };
        let mut random = Random::new(seed, 0);
        let rows = grabs.iter().map(|grab| within(&mut random, *grab, windows.sale));
        let written = ShardEvenness::of(&measure::rows_of_shards(strategy, rows)?);
        let mut random = Random::new(seed, 1);
        let asked = grabs.iter().take(Self::QUERIES);
        let asked: Vec<RowKey> = asked.map(|grab| within(&mut random, *grab, windows.stored)).collect();
        Ok(Self { written, fan_out: measure::fan_out_about(strategy, &asked, windows.stored) })
    }
}

fn windows(days: u32) -> Windows {
    let opens = SALE_DAY.start().plus_millis(SALE_STARTS_AT);
    let tomorrow = SALE_DAY.next();
    Windows {
        sale: TimeRange::new(opens, opens.plus_millis(HOUR)),
        stored: TimeRange::new(Day::new(tomorrow.number() - i64::from(days)).start(), tomorrow.start()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A simulation of the standard sale.
    pub(super) fn options(shards: u16, threads: usize) -> SimulateOptions {
        SimulateOptions {
            shards: vec![NonZeroU16::new(shards).unwrap()],
            rows: 600_000,
            users: 1_000_000_000,
            zipf: None,
            rooms: 100,
            hot_rooms: 5,
            hot_share: 20.0 / 31.9,
            spread: NonZeroU16::new(4).unwrap(),
            days: 28,
            threads,
            seed: 3,
        }
    }

    fn simulate(shards: u16, threads: usize) -> Case {
        run(options(shards, threads), &mut |_| ()).unwrap().cases.remove(0)
    }

    fn finding<'a>(case: &'a Case, strategy: &str) -> &'a VariantFindings {
        case.variants.iter().find(|finding| finding.strategy == strategy).unwrap()
    }

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found / expected - 1.0).abs() < 0.02, "{found} is not {expected}");
    }

    #[test]
    fn four_shards_are_worth_what_the_live_skew_leaves_of_them() {
        let case = simulate(4, 2);
        close(finding(&case, "hash").written.effective_shards, 4.0);
        close(finding(&case, "range-time").written.effective_shards, 1.0);
        close(finding(&case, "range-time").stored.effective_shards, 4.0);
        close(finding(&case, "range-time+spread 4").written.effective_shards, 4.0);
        // Rooms 1 to 25 share a shard, and 72% of the grabs fall on them.
        close(finding(&case, "range-room").written.effective_shards, 1.0 / 0.72);
        close(finding(&case, "range-room+spread 4").written.effective_shards, 4.0);
        // Two of the five hot rooms share a shard.
        let hot_room = 20.0 / 31.9 / 5.0 + 11.9 / 31.9 / 100.0;
        close(finding(&case, "range-room+split").written.effective_shards, 1.0 / (2.0 * hot_room));
    }

    #[test]
    fn queries_visit_what_each_strategy_is_known_for() {
        let case = simulate(4, 1);
        let visits = |strategy: &str| -> Vec<f64> {
            finding(&case, strategy).fan_out.iter().map(|query| query.shards).collect()
        };
        assert_eq!(visits("hash"), [1.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(visits("range-room"), [4.0, 1.0, 4.0, 4.0, 4.0]);
        let time = visits("range-time");
        assert_eq!((time[0], time[1], time[3], time[4]), (4.0, 4.0, 1.0, 4.0));
        assert!((1.0..1.1).contains(&time[2]), "an hour crosses midnight once in 24 times: {}", time[2]);
        let global = &finding(&case, "range-time").fan_out[4];
        assert!((global.tables - 28.0).abs() < f64::EPSILON, "28 days of tables, not {}", global.tables);
    }

    #[test]
    fn moving_slots_moves_a_fair_share_where_a_new_modulo_moves_nearly_all() {
        let case = simulate(4, 2);
        let moved = |strategy: &str| -> Vec<f64> {
            finding(&case, strategy).reshards.iter().map(|reshard| reshard.moved).collect()
        };
        let hash = moved("hash");
        close(Some(hash[0]), 0.2);
        close(Some(hash[1]), 0.8);
        assert!(moved("range-time")[0] == 0.0 && moved("range-time")[1] > 0.7, "{:?}", moved("range-time"));
    }

    #[test]
    fn threads_change_no_figure() {
        let (one, three) = (simulate(16, 1), simulate(16, 3));
        for (one, three) in one.variants.iter().zip(&three.variants) {
            assert_eq!(
                (one.written, one.stored, &one.reshards),
                (three.written, three.stored, &three.reshards)
            );
        }
    }

    #[test]
    fn drawn_grabs_are_routed_as_simulated_ones_are() {
        let keys = KeyDistribution::new(1_000_000, None, 100, 5, 20.0 / 31.9);
        let mut random = Random::new(3, 0);
        let sale = windows(1).sale;
        let rows = (0..200_000).map(|_| keys.row(&mut random, sale).unwrap());
        let grabs: Vec<_> = rows.map(|row| (row.user, row.room)).collect();
        let rooms = RoomCounts { all: 100, hot: 5 };
        for variant in variants::all(NonZeroU16::new(16).unwrap(), NonZeroU16::MIN, rooms).unwrap() {
            let found = Forecast::of(&*variant.strategy, &grabs, 28, 3).unwrap();
            match variant.name.as_str() {
                // Four ranges of 25 rooms fill four shards of sixteen, and the first has 72% of the grabs.
                "range-room" => {
                    close(found.written.effective_shards, 1.0 / 0.72);
                    assert_eq!(found.written.idle_shards, 12);
                    assert_eq!(found.fan_out[1].shards, 1.0);
                }
                "range-time" => close(found.written.effective_shards, 1.0),
                "hash" => assert!(found.written.effective_shards.unwrap() > 15.0, "{found:?}"),
                _ => {}
            }
        }
    }
}
