//! What the API adds to a query: to the shard's own time for it, or to all shards' at once.
//!
//! On one machine the shards share its cores: four of them that are asked at once cannot each be as fast as when it is asked
//! alone. So what a scatter is held against are the same statements over bare connections *at once*; how it stands to the
//! slowest shard asked alone is among the figures.

use anyhow::{Context as _, Result};
use coupon_core::{Plan, ResultId, ResultQuery, RoomId, ShardId, TableId, TimeRange, Timestamp, UserId};
use hdrhistogram::Histogram;

use super::super::client::Client;
use super::super::context::{Context, SHARDS, Store};
use super::super::model::{Claim, Figure, Findings, Row, Target};
use super::super::section::Section;
use super::raw::{Question, Raw};
use crate::contestants::Running;
use crate::workload::Catalogue;

pub(super) const SECTION: Section = Section {
    name: "queries",
    what: "queries of 1 M results, of one shard and of all",
    servers: true,
    claims,
    run,
};

/// Times that are told apart, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;
/// Rows of a page, and one to know whether there are more.
const LIMIT: i64 = 101;
const HOURS: i64 = 24;
/// What HTTP alone costs.
const NOTHING: &str = "/healthz";
const HOUR_MS: i64 = 3_600_000;
const COLUMNS: &str = "result_id, user_id, coupon_id, room_id, grab_status, grab_time, use_status, use_time, \
     CAST(order_amount * 100 AS SIGNED)";

/// What is asked.
#[derive(Clone, Copy)]
enum Ask {
    User,
    Room,
    Recent,
    Global,
}

/// A query of a contestant.
struct Case {
    /// Of its rows: this and `-p50` or `-p99`.
    id: &'static str,
    what: &'static str,
    contestant: &'static str,
    ask: Ask,
}

const CASES: [Case; 6] = [
    Case { id: "query-user-single", what: "a user's coupons, one shard", contestant: "hash", ask: Ask::User },
    Case {
        id: "query-room-single",
        what: "a room's orders, one shard",
        contestant: "range-room",
        ask: Ask::Room,
    },
    Case {
        id: "query-user-scatter",
        what: "a user's coupons, all shards",
        contestant: "range-room",
        ask: Ask::User,
    },
    Case {
        id: "query-room-scatter",
        what: "a room's orders, all shards",
        contestant: "hash",
        ask: Ask::Room,
    },
    Case {
        id: "query-recent-scatter",
        what: "a day's latest orders, all shards",
        contestant: "hash",
        ask: Ask::Recent,
    },
    Case {
        id: "query-global-scatter",
        what: "sums over everything, counted, all shards",
        contestant: "hash",
        ask: Ask::Global,
    },
];

const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

fn claims() -> Vec<Claim> {
    CASES.iter().flat_map(claims_of).collect()
}

/// One for each of the quantiles.
fn claims_of(case: &Case) -> [Claim; 2] {
    QUANTILES.map(|(quantile, _)| Claim {
        id: format!("{}-{quantile}", case.id).into(),
        what: format!("{}: {quantile} of the API", case.what).into(),
        against: "the same statements over one bare connection a shard, at once".into(),
        target: Target::AtMost(1.3),
        unit: "×".into(),
    })
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut rows = Vec::new();
    let (rounds, quick, seed) = (context.rounds(), context.quick, context.seed);
    for case in &CASES {
        context.progress(case.what);
        let running = context.history(case.contestant, Store::Servers)?;
        // One that fails takes no other with it.
        rows.extend(measure(case, running, rounds, quick, seed).unwrap_or_else(|error| {
            let failed = |claim| Row::failed(claim, format!("{error:#}"));
            claims_of(case).into_iter().map(failed).collect()
        }));
    }
    Ok(Findings { rows, curves: Vec::new() })
}

/// The times of some rounds, round by round.
#[derive(Default)]
struct Times {
    api: Vec<Histogram<u64>>,
    /// Of an exchange over HTTP that asks no shard.
    nothing: Vec<Histogram<u64>>,
    alone: Vec<Histogram<u64>>,
    together: Vec<Histogram<u64>>,
}

fn measure(case: &Case, running: &Running, rounds: u32, quick: bool, seed: u64) -> Result<Vec<Row>> {
    let asked = match (case.ask, quick) {
        (Ask::Global, _) => 15,
        (_, true) => 200,
        (_, false) => 500,
    };
    let (mut client, mut raw) = (Client::connect(&running.target)?, Raw::to_shards(running)?);
    let tables = tables(&mut raw)?;
    let mut times = Times::default();
    let mut number = seed;
    for _ in 0..rounds {
        let histogram = || Histogram::<u64>::new_with_max(LONGEST, 3);
        let (mut api, mut alone, mut together) = (histogram()?, histogram()?, histogram()?);
        let mut nothing = histogram()?;
        for _ in 0..asked {
            // Users and rooms in an order that jumps about.
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (path, query) = of(case.ask, number >> 33)?;
            let strategy = running.strategy().context("its strategy is not known")?;
            let questions = questions(&strategy.plan(&query), case.ask, &query, &tables);
            // Whoever asks first finds less in the servers' memory than the others.
            for turn in 0..3 {
                match (number >> 33).wrapping_add(turn) % 3 {
                    0 => api.saturating_record(nanos(client.get(&path)?.0)),
                    1 => alone.saturating_record(nanos(raw.slowest(&questions)?)),
                    _ => together.saturating_record(nanos(raw.together(&questions)?)),
                }
            }
            nothing.saturating_record(nanos(client.get(NOTHING)?.0));
        }
        times.nothing.push(nothing);
        times.api.push(api);
        times.alone.push(alone);
        times.together.push(together);
    }
    let rows = claims_of(case).into_iter().zip(QUANTILES);
    Ok(rows.map(|(claim, quantile)| row(claim, quantile, &times)).collect())
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(LONGEST)
}

fn row(claim: Claim, (name, quantile): (&str, f64), times: &Times) -> Row {
    let of = |rounds: &[Histogram<u64>]| -> Vec<f64> {
        rounds.iter().map(|round| round.value_at_quantile(quantile) as f64 / 1e6).collect()
    };
    let (api, alone, together) = (of(&times.api), of(&times.alone), of(&times.together));
    let nothing = of(&times.nothing);
    let over =
        |ceiling: &[f64]| -> Vec<f64> { api.iter().zip(ceiling).map(|(api, other)| api / other).collect() };
    let figures = vec![
        Figure::of(format!("{name} of the API"), "ms", &api),
        Figure::of(format!("{name} of bare connections at once"), "ms", &together),
        Figure::of(format!("{name} of the slowest shard, each asked alone"), "ms", &alone),
        Figure::of("API ÷ slowest shard asked alone", "×", &over(&alone)),
        Figure::of(
            format!("{name} of an exchange with the service that asks nothing ({NOTHING})"),
            "ms",
            &nothing,
        ),
    ];
    Row::measured(claim, over(&together), figures, Vec::new())
}

/// The path that asks it, and the same as a query.
fn of(ask: Ask, number: u64) -> Result<(String, ResultQuery)> {
    let catalogue = Catalogue::default();
    Ok(match ask {
        Ask::User => {
            let user = number % catalogue.users + 1;
            (format!("/api/user/{user}/coupons"), ResultQuery::of_user(UserId::new(user)?))
        }
        Ask::Room => {
            let room = number % catalogue.rooms + 1;
            (format!("/api/room/{room}/orders"), ResultQuery::of_room(RoomId::new(room)?))
        }
        Ask::Recent => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
            let now = Timestamp::from_millis(i64::try_from(now)?);
            let window = TimeRange::new(now.plus_millis(-HOURS * HOUR_MS), now);
            (
                format!("/api/orders/recent?hours={HOURS}"),
                ResultQuery { time: Some(window), ..ResultQuery::everything() },
            )
        }
        Ask::Global => ("/api/statistics/global".to_owned(), ResultQuery::everything()),
    })
}

/// The tables of results of each shard.
fn tables(raw: &mut Raw) -> Result<Vec<Vec<TableId>>> {
    let listed = raw.query(&format!("SHOW TABLES LIKE '{}%'", TableId::PREFIX))?;
    let name = |mut row: mysql_async::Row| row.take::<String, _>(0);
    Ok(listed
        .into_iter()
        .map(|rows| rows.into_iter().filter_map(name).filter_map(|name| TableId::parse(&name)).collect())
        .collect())
}

/// The statement for each shard of a plan: the one that the service sends, for the one table that it visits there, or for
/// the first of them.
fn questions(plan: &Plan, ask: Ask, query: &ResultQuery, tables: &[Vec<TableId>]) -> Vec<Option<Question>> {
    let shards = plan.shards(SHARDS.get());
    let there = |(shard, tables): (u16, &Vec<TableId>)| {
        let shard = ShardId::new(shard);
        let wanted = |table: &&TableId| match plan {
            Plan::One(placement) => (placement.shard, placement.table) == (shard, **table),
            Plan::Some(placements) => placements.iter().any(|at| (at.shard, at.table) == (shard, **table)),
            Plan::All => true,
        };
        let tables: Vec<TableId> =
            tables.iter().filter(|_| shards.contains(&shard)).filter(wanted).copied().collect();
        question(ask, query, &tables)
    };
    (0..).zip(tables).map(there).collect()
}

fn question(ask: Ask, query: &ResultQuery, tables: &[TableId]) -> Option<Question> {
    let page = |table: &TableId| {
        let mut conditions = Vec::new();
        let mut numbers = Vec::new();
        let mut and = |what: &'static str, number: i64| {
            conditions.push(format!("{what} ?"));
            numbers.push(number);
        };
        if let Some(user) = query.user {
            and("user_id =", user.get().cast_signed());
        }
        if let Some(room) = query.room {
            and("room_id =", room.get().cast_signed());
        }
        if let Some(time) = query.time {
            and("result_id >=", ResultId::earliest_at(time.start).number());
            and("result_id <", ResultId::earliest_at(time.end).number());
        }
        let order = if query.room.is_some() { "grab_time DESC, result_id DESC" } else { "result_id DESC" };
        numbers.push(LIMIT);
        (
            format!(
                "(SELECT {COLUMNS} FROM {table} WHERE {} ORDER BY {order} LIMIT ?)",
                conditions.join(" AND ")
            ),
            numbers,
        )
    };
    let sums = |table: &TableId| {
        let sql = format!(
            "(SELECT COUNT(*), CAST(COALESCE(SUM(use_status), 0) AS SIGNED), \
             CAST(COALESCE(SUM(order_amount), 0) * 100 AS SIGNED) FROM {table})"
        );
        (sql, Vec::new())
    };
    let of = |table: &TableId| if matches!(ask, Ask::Global) { sums(table) } else { page(table) };
    let (sql, numbers): (Vec<String>, Vec<Vec<i64>>) = tables.iter().map(of).unzip();
    let sql = match sql.as_slice() {
        [] => return None,
        [one] => one.trim_start_matches('(').strip_suffix(')').unwrap_or(one).to_owned(),
        several => several.join(" UNION ALL "),
    };
    Some(Question { sql, numbers: numbers.concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_one_shard_asks_no_other() {
        let table = TableId::Single;
        let query = ResultQuery::of_user(UserId::new(7).unwrap());
        let plan = Plan::One(coupon_core::Placement::new(ShardId::new(2), table));
        let asked = questions(&plan, Ask::User, &query, &vec![vec![table]; 4]);
        let sql: Vec<_> =
            asked.iter().map(|question| question.as_ref().map(|question| &*question.sql)).collect();
        let wanted =
            format!("SELECT {COLUMNS} FROM coupon_results WHERE user_id = ? ORDER BY result_id DESC LIMIT ?");
        assert_eq!(sql, [None, None, Some(&*wanted), None]);
        assert_eq!(asked[2].as_ref().unwrap().numbers, [7, LIMIT]);
    }

    #[test]
    fn every_case_has_a_row_for_each_quantile_and_no_id_twice() {
        let mut ids: Vec<_> = claims().into_iter().map(|claim| claim.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CASES.len() * QUANTILES.len());
    }
}
