//! The API's share of a query's time: over the shard's own, or over all shards' at once.
//!
//! On one machine the shards share its cores: four of them that are asked at once cannot each be as fast as when it
//! is asked alone. So what a scatter is held against are the shards' own pages over bare connections *at once*; how
//! it stands to the slowest shard asked alone is among the figures. The statements are the service's, but for the
//! limit: where results are spread evenly, the service asks each shard for less than a page.

use anyhow::{Context as _, Result};
use coupon_lab::Deployment;
use hdrhistogram::Histogram;

use super::super::client::Client;
use super::super::context::{Context, Store};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::questions::{StorageQuestion, of, questions, tables};
use super::raw::Raw;

pub(super) const SECTION: Section = Section {
    name: "queries",
    family: "queries",
    what: "queries of 1 M results, of one shard and of all",
    servers: true,
    claims,
    run,
};

/// The longest time recorded, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;
/// The path whose answer costs HTTP alone.
const NOTHING: &str = "/healthz";

/// A query of a contestant.
pub(super) struct Case {
    /// Of its rows: what they begin with, this, and `-p50` or `-p99`.
    pub(super) id: &'static str,
    what: &'static str,
    pub(super) contestant: &'static str,
    ask: StorageQuestion,
}

pub(super) const CASES: [Case; 6] = [
    Case {
        id: "user-single",
        what: "a user's coupons, one shard",
        contestant: "hash",
        ask: StorageQuestion::User,
    },
    Case {
        id: "room-single",
        what: "a room's orders, one shard",
        contestant: "range-room",
        ask: StorageQuestion::Room,
    },
    Case {
        id: "user-scatter",
        what: "a user's coupons, all shards",
        contestant: "range-room",
        ask: StorageQuestion::User,
    },
    Case {
        id: "room-scatter",
        what: "a room's orders, all shards",
        contestant: "hash",
        ask: StorageQuestion::Room,
    },
    Case {
        id: "recent-scatter",
        what: "a day's latest orders, all shards",
        contestant: "hash",
        ask: StorageQuestion::Recent,
    },
    Case {
        id: "global-scatter",
        what: "sums over everything, counted, all shards",
        contestant: "hash",
        ask: StorageQuestion::Global,
    },
];

const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

/// The number of results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The beginning of its rows' ids.
    pub(super) id: &'static str,
    /// The number in words.
    pub(super) of: &'static str,
}

const OF_A_MILLION: Scale = Scale { id: "query", of: "1 M results" };

/// The number of questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: u32,
    /// In each round.
    pub(super) asked: u32,
    /// In each round, where every row is counted.
    pub(super) counted: u32,
}

fn effort(context: &Context) -> Effort {
    Effort { rounds: context.rounds(), asked: if context.quick { 200 } else { 500 }, counted: 15 }
}

fn claims() -> Vec<Claim> {
    CASES.iter().flat_map(|case| claims_of(case, &OF_A_MILLION)).collect()
}

/// One for each of the quantiles.
pub(super) fn claims_of(case: &Case, scale: &Scale) -> [Claim; 2] {
    QUANTILES.map(|(quantile, _)| {
        let what = format!("{}, of {}: {quantile} of the API", case.what, scale.of);
        let ceiling = "each shard's own page, or its sums, over one bare connection a shard, at once";
        Claim::ratio(id(case, scale, quantile), what, ceiling, Bound::AtMost(1.3))
    })
}

fn id(case: &Case, scale: &Scale, quantile: &str) -> String {
    format!("{}-{}-{quantile}", scale.id, case.id)
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut measured = Vec::new();
    let (effort, seed) = (effort(context), context.seed);
    for case in &CASES {
        context.progress(case.what);
        let running = context.history(case.contestant, Store::Servers)?;
        measured.extend(measured_of(case, &OF_A_MILLION, running, effort, seed));
    }
    Ok(measured.into())
}

/// The measurements of a case. One that fails takes no other with it.
pub(super) fn measured_of(
    case: &Case,
    of: &Scale,
    running: &Deployment,
    effort: Effort,
    seed: u64,
) -> [Measurement; 2] {
    let times = measure(case, running, effort, seed);
    QUANTILES.map(|(name, quantile)| match &times {
        Ok(times) => measured(id(case, of, name), quantile, times),
        Err(error) => Measurement::failed(id(case, of, name), format!("{error:#}")),
    })
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

fn measure(case: &Case, running: &Deployment, effort: Effort, seed: u64) -> Result<Times> {
    let asked = if matches!(case.ask, StorageQuestion::Global) { effort.counted } else { effort.asked };
    let (mut client, mut raw) = (Client::connect(&running.target)?, Raw::to_shards(running)?);
    let tables = tables(&mut raw)?;
    let mut times = Times::default();
    let mut number = seed;
    for _ in 0..effort.rounds {
        let histogram = || Histogram::<u64>::new_with_max(LONGEST, 3);
        let (mut api, mut alone, mut together) = (histogram()?, histogram()?, histogram()?);
        let mut nothing = histogram()?;
        for _ in 0..asked {
            // Users and rooms in an order that jumps about.
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (path, query) = of(case.ask, number >> 33)?;
            let strategy = running.strategy().context("its strategy is not known")?;
            let questions = questions(&strategy.plan(&query), case.ask, &query, &tables);
            // The first to ask finds less in the servers' memory than the others.
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
    Ok(times)
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(LONGEST)
}

fn measured(id: String, quantile: f64, times: &Times) -> Measurement {
    let of = |rounds: &[Histogram<u64>]| -> Vec<f64> {
        rounds.iter().map(|round| round.value_at_quantile(quantile) as f64 / 1e6).collect()
    };
    let (api, alone, together) = (of(&times.api), of(&times.alone), of(&times.together));
    let nothing = of(&times.nothing);
    let over =
        |ceiling: &[f64]| -> Vec<f64> { api.iter().zip(ceiling).map(|(api, other)| api / other).collect() };
    let figures = vec![
        NamedFigure::of("API", "ms", &api),
        NamedFigure::of("bare connections at once", "ms", &together),
        NamedFigure::of("slowest shard, each asked alone", "ms", &alone),
        NamedFigure::of("API ÷ slowest shard asked alone", "×", &over(&alone)),
        NamedFigure::of(format!("exchange with the service that asks nothing ({NOTHING})"), "ms", &nothing),
    ];
    Measurement::new(id, over(&together)).figures(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_row_for_each_quantile_and_no_id_twice() {
        let mut ids: Vec<_> = claims().into_iter().map(|claim| claim.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CASES.len() * QUANTILES.len());
    }
}
