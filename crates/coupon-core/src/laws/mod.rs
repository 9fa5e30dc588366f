//! The laws every strategy must keep, as a function any strategy can be handed to.
//!
//! A strategy that breaks one loses rows: they are written where no query looks. So the laws are tested with
//! many random rows, and the report of a broken one names the row and the query.

mod versions;

pub use versions::{check_versions, random_versions};

use crate::random::SplitMix64;
use crate::{Placement, Plan, ResultQuery, RoomId, RowKey, ShardingStrategy, TimeRange, Timestamp, UserId};

const ROWS: usize = 4_000;
const HOUR: i64 = 3_600_000;

/// A law that a strategy broke, and by what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{strategy} breaks the law \"{law}\": {example}")]
pub struct BrokenLaw {
    /// The strategy's name.
    pub strategy: String,
    /// The law, as this module words it.
    pub law: &'static str,
    /// The row or query that shows it.
    pub example: String,
}

/// Tests every law over random rows; the same `seed` tests the same rows.
///
/// # Errors
/// The first [`BrokenLaw`] found.
pub fn check(strategy: &dyn ShardingStrategy, seed: u64) -> Result<(), BrokenLaw> {
    the_whole_is_every_lane(strategy)?;
    let mut random = RandomRows(SplitMix64::new(seed));
    let rows: Vec<RowKey> = (0..ROWS).map(|_| random.row()).collect();
    for row in &rows {
        same_key_same_place(strategy, row)?;
        shard_below_the_count(strategy, row)?;
        table_is_made_ahead(strategy, row)?;
        for query in queries_for(row, &mut random) {
            found_by_every_plan_that_covers_it(strategy, row, &query)?;
            each_placement_once(strategy, &query)?;
        }
    }
    for row in rows.iter().take(40) {
        for query in queries_for(row, &mut random) {
            visits_nothing_it_need_not(strategy, row, &query, &mut random)?;
        }
    }
    Ok(())
}

fn broken(strategy: &(impl ShardingStrategy + ?Sized), law: &'static str, example: String) -> BrokenLaw {
    BrokenLaw { strategy: strategy.name().to_owned(), law, example }
}

fn place(strategy: &dyn ShardingStrategy, row: &RowKey) -> Result<Placement, BrokenLaw> {
    strategy
        .place(row)
        .map_err(|error| broken(strategy, "every row has a place", format!("{row:?}: {error}")))
}

fn the_whole_is_every_lane(strategy: &dyn ShardingStrategy) -> Result<(), BrokenLaw> {
    let (whole, shards) = (strategy.whole(), strategy.shard_count());
    if whole.lanes() == shards {
        return Ok(());
    }
    Err(broken(strategy, "the whole is every lane", format!("{whole:?}, and {shards} shards")))
}

fn same_key_same_place(strategy: &dyn ShardingStrategy, row: &RowKey) -> Result<(), BrokenLaw> {
    let (first, second) = (place(strategy, row)?, place(strategy, row)?);
    if first == second {
        return Ok(());
    }
    Err(broken(strategy, "the same key has the same place", format!("{row:?}: {first}, then {second}")))
}

fn shard_below_the_count(strategy: &dyn ShardingStrategy, row: &RowKey) -> Result<(), BrokenLaw> {
    let placement = place(strategy, row)?;
    if placement.shard.number() < strategy.shard_count().get() {
        return Ok(());
    }
    Err(broken(strategy, "a shard is below the count", format!("{row:?}: {placement}")))
}

/// Only for the rooms a catalogue would have: a strategy cannot name tables for every room there could be.
fn table_is_made_ahead(strategy: &dyn ShardingStrategy, row: &RowKey) -> Result<(), BrokenLaw> {
    let row = RowKey { room: RoomId::new(row.room.get() % 100 + 1).unwrap_or(row.room), ..*row };
    let placement = place(strategy, &row)?;
    if strategy.tables(TimeRange::at(row.time)).contains(&placement) {
        return Ok(());
    }
    Err(broken(strategy, "a row's table is made ahead of it", format!("{row:?}: {placement}")))
}

fn found_by_every_plan_that_covers_it(
    strategy: &dyn ShardingStrategy,
    row: &RowKey,
    query: &ResultQuery,
) -> Result<(), BrokenLaw> {
    let (placement, plan) = (place(strategy, row)?, strategy.plan(query));
    if plan.visits(placement) {
        return Ok(());
    }
    let example = format!("{row:?} lives on {placement}, but {query:?} visits {plan:?}");
    Err(broken(strategy, "every plan that covers a row finds it", example))
}

fn each_placement_once(strategy: &dyn ShardingStrategy, query: &ResultQuery) -> Result<(), BrokenLaw> {
    let Plan::Some(placements) = strategy.plan(query) else { return Ok(()) };
    let mut once = placements.clone();
    once.sort_unstable();
    once.dedup();
    if once.len() == placements.len() {
        return Ok(());
    }
    Err(broken(strategy, "a plan visits each placement once", format!("{query:?}: {placements:?}")))
}

/// For every placement in the plan (every shard, for [`Plan::All`]) some row the query covers must live there.
fn visits_nothing_it_need_not(
    strategy: &dyn ShardingStrategy,
    row: &RowKey,
    query: &ResultQuery,
    random: &mut RandomRows,
) -> Result<(), BrokenLaw> {
    let plan = strategy.plan(query);
    let needed = |found: &[Placement]| match &plan {
        Plan::One(only) => found.contains(only),
        Plan::Some(placements) => placements.iter().all(|placement| found.contains(placement)),
        Plan::All => (0..strategy.shard_count().get())
            .all(|shard| found.iter().any(|place| place.shard.number() == shard)),
    };
    let mut found = Vec::new();
    let places = match &plan {
        Plan::One(_) => 1,
        Plan::Some(placements) => placements.len(),
        Plan::All => usize::from(strategy.shard_count().get()),
    };
    let tries = 400 * places;
    for _ in 0..tries {
        let placement = place(strategy, &random.row_within(row, query))?;
        if !found.contains(&placement) {
            found.push(placement);
            if needed(&found) {
                return Ok(());
            }
        }
    }
    let example = format!("{query:?} visits {plan:?}, but {tries} rows it covers live only on {found:?}");
    Err(broken(strategy, "a plan visits nothing it need not", example))
}

/// Queries that cover the row: everything, and each thing that may be known about it, alone and together.
fn queries_for(row: &RowKey, random: &mut RandomRows) -> Vec<ResultQuery> {
    let hours = 1 + random.below(30) as i64;
    let start = row.time.plus_millis(-(random.below(hours as u64 * HOUR as u64) as i64));
    let window = TimeRange::new(start, start.plus_millis(hours * HOUR));
    let everything = ResultQuery::everything();
    let of_user = ResultQuery::of_user(row.user);
    vec![
        everything,
        of_user,
        ResultQuery::of_room(row.room),
        ResultQuery::within(window),
        ResultQuery { time: Some(window), ..of_user },
        ResultQuery { room: Some(row.room), ..of_user },
        ResultQuery { room: Some(row.room), time: Some(window), ..everything },
        everything.at(row.time),
        of_user.at(row.time),
    ]
    .into_iter()
    .filter(|query| query.covers(row))
    .collect()
}

/// Rows and queries drawn at random.
struct RandomRows(SplitMix64);

impl RandomRows {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn user(&mut self) -> UserId {
        let bound = if self.below(10) == 0 { crate::MAX_ID } else { 100_000 };
        UserId::new(1 + self.below(bound)).unwrap_or_else(|_| self.user())
    }

    /// Mostly rooms as seeded, sometimes any at all.
    fn room(&mut self) -> RoomId {
        let bound = if self.below(20) == 0 { crate::MAX_ID } else { 100 };
        RoomId::new(1 + self.below(bound)).unwrap_or_else(|_| self.room())
    }

    /// A moment in 2026 or 2027, an edge of a day one time in eight.
    fn time(&mut self) -> Timestamp {
        let any = Timestamp::from_millis(1_767_225_600_000 + self.below(2 * 365 * 24 * HOUR as u64) as i64);
        match self.below(16) {
            0 => any.day().start(),
            1 => any.day().start().plus_millis(-1),
            _ => any,
        }
    }

    fn row(&mut self) -> RowKey {
        RowKey { user: self.user(), room: self.room(), time: self.time() }
    }

    /// A row the query covers; what it leaves open is random, but near `row` for half of them.
    ///
    /// Half the moments are an edge of the window: it may reach into a table by a single millisecond.
    fn row_within(&mut self, row: &RowKey, query: &ResultQuery) -> RowKey {
        let time = match query.time {
            Some(window) => {
                let length = (window.end.millis() - window.start.millis()).max(1);
                let offset = match self.below(4) {
                    0 => 0,
                    1 => length - 1,
                    _ => self.below(length as u64) as i64,
                };
                window.start.plus_millis(offset)
            }
            None if self.below(2) == 0 => row.time,
            None => self.time(),
        };
        RowKey {
            user: query.user.unwrap_or_else(|| self.user()),
            room: query.room.unwrap_or_else(|| self.room()),
            time,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::{RouteError, ShardId, Whole};

    /// Two shards by the parity of the user, with one fault to be found.
    #[derive(Debug)]
    struct Parity(Fault);

    #[derive(Debug, PartialEq)]
    enum Fault {
        None,
        LosesRows,
        VisitsTooMuch,
        TooManyShards,
        NamesTwice,
        ForgetsTables,
        ForgetsALane,
    }

    impl ShardingStrategy for Parity {
        fn name(&self) -> &str {
            "parity"
        }
        fn shard_count(&self) -> NonZeroU16 {
            NonZeroU16::new(2).unwrap()
        }
        fn whole(&self) -> Whole {
            let lanes = if self.0 == Fault::ForgetsALane { 1 } else { 2 };
            Whole::Planned(NonZeroU16::new(lanes).unwrap())
        }
        fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
            let extra = if self.0 == Fault::TooManyShards { 2 } else { 0 };
            Ok(Placement::single(ShardId::new((row.user.get() % 2) as u16 + extra)))
        }
        fn plan(&self, query: &ResultQuery) -> Plan {
            let shard = |number| Placement::single(ShardId::new(number));
            match (query.user, &self.0) {
                (Some(_), Fault::VisitsTooMuch) => Plan::All,
                (_, Fault::NamesTwice) => Plan::Some(vec![shard(0), shard(1), shard(0)]),
                (Some(user), _) => Plan::One(shard((user.get() % 2) as u16)),
                (None, Fault::LosesRows) => Plan::One(shard(0)),
                (None, _) => Plan::All,
            }
        }
        fn tables(&self, _window: TimeRange) -> Vec<Placement> {
            let shards = if self.0 == Fault::ForgetsTables { 1 } else { 2 };
            (0..shards).map(|shard| Placement::single(ShardId::new(shard))).collect()
        }
    }

    #[test]
    fn a_strategy_that_keeps_the_laws_passes() {
        check(&Parity(Fault::None), 1).unwrap();
    }

    #[test]
    fn each_broken_law_is_found() {
        for (fault, law) in [
            (Fault::LosesRows, "every plan that covers a row finds it"),
            (Fault::VisitsTooMuch, "a plan visits nothing it need not"),
            (Fault::TooManyShards, "a shard is below the count"),
            (Fault::NamesTwice, "a plan visits each placement once"),
            (Fault::ForgetsTables, "a row's table is made ahead of it"),
            (Fault::ForgetsALane, "the whole is every lane"),
        ] {
            assert_eq!(check(&Parity(fault), 1).unwrap_err().law, law);
        }
    }
}
