//! Routes a recorded trace through a strategy.

use std::collections::BTreeMap;

use anyhow::Result;
use coupon_core::{ResultQuery, RowKey, ShardId, ShardingStats, ShardingStrategy, TimeRange, Timestamp};
use coupon_loadgen::workload::Endpoint;
use coupon_measure::random::Random;
use serde::Serialize;

use crate::replay::{QueryMix, RecordedRow, Recording};
use crate::simulate::rows_of_shards;

const HOUR_MS: i64 = 3_600_000;
/// The queries of so many grabs at most are planned, and of half as many at least where there are more: enough to
/// estimate a shard's part of them to about half a percentage point.
const PLANNED: usize = 20_000;
/// The stream of samples, apart from those of requests, rounds, moments and queries.
const SAMPLE: u64 = 1 << 59;

/// The places of rows, and the visits of queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Routed {
    /// The rows stored.
    pub rows: ShardingStats,
    /// Shards that each kind of query visits, on average.
    pub fan_out: BTreeMap<Endpoint, f64>,
}

/// The prediction for a strategy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// All rows, at the times that were recorded.
    pub recorded: Routed,
    /// The grabs of the busiest hour, or of the busiest day where the hours are not recorded.
    pub busiest: Routed,
    /// All rows, as a replay stores them: all of them now.
    pub replayed: Routed,
    /// Shards that a query of the mix visits, on average; none without queries.
    pub shards_a_query: Option<f64>,
    /// Requests ÷ what the busiest shard has of them, in the busiest time: how many times the requests of one shard
    /// all of them can serve, when a visit costs the same whatever it is for.
    pub worth: f64,
}

/// Routes every row, the queries and updates of the mix about it, and the queries that were recorded. Which of the rows stand
/// for all where there are very many, follows from the seed: the same for every strategy.
///
/// # Errors
/// When a row has no place.
pub fn predict(
    strategy: &dyn ShardingStrategy,
    recording: &Recording,
    mix: &QueryMix,
    now: Timestamp,
    seed: u64,
) -> Result<Prediction> {
    let all = Load {
        rows: recording.stored().map(RecordedRow::key).collect(),
        asked: recording.asked().iter().map(|(endpoint, row)| (*endpoint, row.key())).collect(),
    };
    let (recorded, _) = route(strategy, &all, mix, seed)?;
    let (busiest, worth) = route(strategy, &all.busiest(recording.days_only()), mix, seed)?;
    let (replayed, _) = route(strategy, &all.at(now), mix, seed)?;
    let visits = recorded.queries.values().map(|asked| asked.visits).sum::<f64>();
    let queries = recorded.queries.values().map(|asked| asked.number).sum::<f64>();
    let shards_a_query = (queries > 0.0).then(|| visits / queries);
    let [recorded, busiest, replayed] = [recorded, busiest, replayed].map(Visited::routed);
    Ok(Prediction { recorded, busiest, replayed, shards_a_query, worth })
}

/// Rows and queries that are routed together.
struct Load {
    rows: Vec<RowKey>,
    /// Recorded queries, each about a row.
    asked: Vec<(Endpoint, RowKey)>,
}

impl Load {
    /// Those of the busiest hour, or day.
    fn busiest(&self, days_only: bool) -> Self {
        let number =
            |row: &RowKey| if days_only { row.time.day().number() } else { row.time.hour().number() };
        let mut counts = BTreeMap::<i64, usize>::new();
        self.rows.iter().for_each(|row| *counts.entry(number(row)).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(number, rows)| (*rows, -number)).map(|(number, _)| number);
        let within = |row: &RowKey| Some(number(row)) == most;
        Self {
            rows: self.rows.iter().filter(|row| within(row)).copied().collect(),
            asked: self.asked.iter().filter(|(_, row)| within(row)).copied().collect(),
        }
    }

    /// All of them at once, then.
    fn at(&self, time: Timestamp) -> Self {
        Self {
            rows: self.rows.iter().map(|row| RowKey { time, ..*row }).collect(),
            asked: self.asked.iter().map(|(endpoint, row)| (*endpoint, RowKey { time, ..*row })).collect(),
        }
    }

    /// The queries: each kind of the mix about a sample of the rows, each of which stands for so many; and a sample of the
    /// recorded ones.
    fn queries(&self, mix: &QueryMix, seed: u64) -> Vec<(Endpoint, Vec<RowKey>, f64)> {
        let few = sample(&self.rows, seed);
        let weight = self.rows.len() as f64 / few.len().max(1) as f64;
        let of_mix = mix.per_grab().map(|(endpoint, each)| (endpoint, few.clone(), each * weight));
        let mut recorded = BTreeMap::<Endpoint, Vec<RowKey>>::new();
        self.asked.iter().for_each(|(endpoint, row)| recorded.entry(*endpoint).or_default().push(*row));
        let sampled = |(endpoint, rows): (Endpoint, Vec<RowKey>)| {
            let few = sample(&rows, seed);
            let weight = rows.len() as f64 / few.len().max(1) as f64;
            (endpoint, few, weight)
        };
        of_mix.chain(recorded.into_iter().map(sampled)).collect()
    }
}

/// Queries of a kind, and their visits of shards.
#[derive(Debug, Clone, Copy, Default)]
struct Queries {
    number: f64,
    visits: f64,
}

/// The places of rows, and the queries of each kind that has a plan.
struct Visited {
    rows: ShardingStats,
    queries: BTreeMap<Endpoint, Queries>,
}

impl Visited {
    fn routed(self) -> Routed {
        let fan_out =
            self.queries.into_iter().map(|(endpoint, asked)| (endpoint, asked.visits / asked.number));
        Routed { rows: self.rows, fan_out: fan_out.collect() }
    }
}

/// Routes rows and queries, and computes the worth of the shards from that.
fn route(strategy: &dyn ShardingStrategy, load: &Load, mix: &QueryMix, seed: u64) -> Result<(Visited, f64)> {
    let shards = strategy.shard_count().get();
    let stored = rows_of_shards(strategy, load.rows.iter().copied())?;
    let mut visits = stored.work.clone();
    let mut requests = load.rows.len() as f64;
    let mut queries = BTreeMap::<Endpoint, Queries>::new();
    for (endpoint, rows, weight) in load.queries(mix, seed) {
        for query in rows.iter().filter_map(|row| query(endpoint, row)) {
            let plan = strategy.plan(&query).shards(shards);
            if endpoint.has_plan() {
                let asked = queries.entry(endpoint).or_default();
                asked.number += weight;
                asked.visits += weight * plan.len() as f64;
            }
            plan.into_iter().for_each(|shard| visit(&mut visits, shard, weight));
            requests += weight;
        }
        if endpoint.is_step() {
            // Where it is found it is changed as well.
            for row in &rows {
                visit(&mut visits, strategy.place(row)?.shard, weight);
            }
        }
    }
    let busiest = visits.into_iter().fold(0.0, f64::max);
    let worth = if busiest > 0.0 { requests / busiest } else { 0.0 };
    Ok((Visited { rows: stored, queries }, worth))
}

/// One of every few rows that follow each other, by chance: always the first of them would miss what comes in turns.
fn sample(rows: &[RowKey], seed: u64) -> Vec<RowKey> {
    let mut random = Random::new(seed, SAMPLE);
    let few = rows.chunks(rows.len().div_ceil(PLANNED).max(1));
    few.filter_map(|rows| rows.get(random.below(rows.len() as u64) as usize)).copied().collect()
}

fn visit(visits: &mut [f64], shard: ShardId, weight: f64) {
    if let Some(visits) = visits.get_mut(shard.index()) {
        *visits += weight;
    }
}

/// The query that an endpoint puts to the shards about a row, an update to find it; none when it asks none of them.
fn query(endpoint: Endpoint, row: &RowKey) -> Option<ResultQuery> {
    match endpoint {
        step if step.is_step() => Some(ResultQuery::of_user(row.user).at(row.time)),
        Endpoint::UserCoupons => Some(ResultQuery::of_user(row.user)),
        Endpoint::RoomOrders | Endpoint::RoomStats => Some(ResultQuery::of_room(row.room)),
        Endpoint::Recent => {
            let hour = TimeRange::new(row.time.plus_millis(-HOUR_MS), row.time.plus_millis(1));
            Some(ResultQuery::within(hour))
        }
        Endpoint::Global => Some(ResultQuery::everything()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::{NonZeroU16, NonZeroU64};

    use coupon_loadgen::workload::Workload;

    use super::*;
    use crate::advise::alternatives;
    use crate::replay::{ReadOptions, read};

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    /// Sixteen rooms over four days; half of everything is in room 3.
    pub(in crate::advise) fn recording() -> Recording {
        let room = |n: i64| if n % 2 == 0 { 3 } else { n / 2 % 16 + 1 };
        of_rooms((0..5_760).map(|n| (room(n), n * 60)))
    }

    /// A grab by a different user for each room and second.
    fn of_rooms(grabs: impl Iterator<Item = (i64, i64)>) -> Recording {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = (1..)
            .zip(grabs)
            .map(|(user, (room, second))| format!("{user},{room},{room},{}\n", 1_456_617_600 + second));
        let lines: String = lines.collect();
        std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
        read(file.path(), &ReadOptions::default()).unwrap()
    }

    fn predicted(name: &str, mix: &QueryMix) -> Prediction {
        predicted_of(&recording(), name, mix)
    }

    fn predicted_of(recording: &Recording, name: &str, mix: &QueryMix) -> Prediction {
        let all = alternatives(recording, FOUR, NonZeroU64::new(25).unwrap()).unwrap();
        let found = all.iter().find(|alternative| alternative.name == name).unwrap();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        predict(&*found.spec.strategy().unwrap(), recording, mix, now, 1).unwrap()
    }

    fn skew(name: &str) -> f64 {
        predicted(name, &QueryMix::none()).recorded.rows.skew.unwrap()
    }

    #[test]
    fn days_are_even_over_the_whole_and_one_shard_in_their_busiest_hour_and_in_a_replay() {
        let time = predicted("range-time", &QueryMix::none());
        assert_eq!(time.recorded.rows.skew, Some(1.0));
        assert_eq!((time.busiest.rows.skew, time.replayed.rows.skew), (Some(4.0), Some(4.0)));
        assert!((time.worth - 1.0).abs() < 1e-9, "{}", time.worth);
    }

    #[test]
    fn a_room_with_half_of_all_is_cured_by_no_boundary_but_by_spreading_it() {
        // Sixteen rooms are one range of 25.
        assert!((skew("range-room") - 4.0).abs() < 1e-9);
        // Half, and every 32nd of the other half: the room itself has 53 %.
        for name in ["range-room+equal", "range-room+split"] {
            assert!((2.1..2.2).contains(&skew(name)), "{name}: {}", skew(name));
        }
        assert!(skew("range-room+equal+spread4") < 1.1 && skew("hash") < 1.1);
    }

    #[test]
    fn queries_visit_what_each_strategy_is_known_for() {
        let mix = QueryMix::of(&Workload::default()).unwrap();
        let visits = |name: &str| {
            let fan_out = predicted(name, &mix).recorded.fan_out;
            [Endpoint::UserCoupons, Endpoint::RoomOrders, Endpoint::Global].map(|endpoint| fan_out[&endpoint])
        };
        assert_eq!(visits("hash"), [1.0, 4.0, 4.0]);
        assert_eq!(visits("range-time"), [4.0, 4.0, 4.0]);
        assert_eq!(visits("range-room+equal")[1], 1.0);
        assert_eq!(visits("range-room+equal+spread2")[1], 2.0);
    }

    #[test]
    fn worth_counts_every_visit_of_the_busiest_shard() {
        let mix = QueryMix::of(&Workload::default()).unwrap();
        let (hash, single) = (predicted("hash", &mix), predicted("range-room", &mix));
        // One range, on one shard: it has everything, and a query without a room visits the others for nothing.
        assert!((single.worth - 1.0).abs() < 1e-9, "{}", single.worth);
        assert!(
            hash.worth > 2.0 && hash.worth < hash.busiest.rows.effective_shards.unwrap(),
            "{}",
            hash.worth
        );
        let several = hash.shards_a_query.unwrap();
        assert!(several > 1.0 && several < 4.0, "{several}");
    }

    #[test]
    fn rooms_that_take_turns_are_asked_about_as_often_as_those_that_follow_each_other() {
        let mix = QueryMix::of(&Workload::default()).unwrap();
        // Two rooms, on a shard each, within an hour: more grabs than have their queries planned.
        let worth = |room: fn(i64) -> i64| {
            let recording = of_rooms((0..40_000).map(|n| (room(n), n / 20)));
            predicted_of(&recording, "range-room+equal", &mix).worth
        };
        let (in_turns, after_each_other) = (worth(|n| n % 2 + 1), worth(|n| n / 20_000 + 1));
        assert!((in_turns / after_each_other - 1.0).abs() < 0.02, "{in_turns}, {after_each_other}");
    }
}
