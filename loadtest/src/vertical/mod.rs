//! The gain from keeping a coupon's wide columns in a table of their own: the same reads from two tables and from one.
//!
//! A small answer is sent sooner than a large one whatever table it is from, so the two are never compared with each other for
//! this: a second service answers the same requests from one wide table ([`one_table`]), and only the tables differ.

mod meaning;
pub mod one_table;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use coupon_cli::terminal;
use coupon_lab::{Deployment, Setup};
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{
    CatalogueSpec, Endpoint, Requests, RoomChoice, Scenario, ScenarioAction, Workload,
};
use coupon_measure::Turns;
use coupon_measure::stats::{Comparison, Judged, Least, RELEVANT_DIFFERENCE, estimate, judge_family, ratios};
use coupon_report::model::{LEAST_MS, Pair, Read, Vertical, VerticalRead};
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

/// The reads compared: the pair's name, the narrow one, the wide one.
const PAIRS: [(&str, Endpoint, Endpoint); 2] = [
    ("one coupon", Endpoint::Coupon, Endpoint::CouponDetails),
    ("a room's coupons", Endpoint::RoomCoupons, Endpoint::RoomCouponsDetails),
];

/// The conditions of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct VerticalOptions {
    /// The time for which each read is sent in a round.
    pub duration: Duration,
    /// The number of rounds.
    pub rounds: u32,
    /// The connections that send one read after the other.
    pub connections: usize,
    /// The seed of the ids asked for.
    pub seed: u64,
    /// The ids there are.
    pub catalogue: CatalogueSpec,
}

/// Two services over the same coupons.
#[derive(Debug)]
pub struct Both {
    split: Deployment,
    one_table: Deployment,
}

impl Both {
    /// Seeds and starts them, each on files of its own. Coupons live in the main database, so that one shard does, whatever the
    /// strategy.
    ///
    /// # Errors
    /// When one cannot be started, or its tables cannot be made one.
    pub fn start(seed: &SeedOptions, catalogue: &CatalogueSpec) -> Result<Self> {
        let start = || {
            let spec = Spec::parse("single", NonZeroU16::MIN, catalogue)?;
            Deployment::start(&spec, &Setup::embedded(seed.clone()))
        };
        let (split, one_table) = (start()?, start()?);
        let folder = one_table.stats.data.as_deref().context("the service does not say where its data is")?;
        one_table::make(folder.as_ref()).with_context(|| format!("one wide table in {folder}"))?;
        Ok(Self { split, one_table })
    }

    /// Stops them.
    ///
    /// # Errors
    /// When one does not stop by itself.
    pub fn stop(self) -> Result<()> {
        self.split.stop()?;
        self.one_table.stop()
    }
}

/// The tables that a read is answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tables {
    Split,
    One,
}

/// A kind of read's figures, one a round.
#[derive(Debug, Default)]
struct Series {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
}

type AllSeries = BTreeMap<(Endpoint, Tables), Series>;

/// Sends each read to each service in turn, round after round, and compares.
///
/// # Errors
/// When a service cannot be reached, or answers a read with an error.
pub fn measure(both: &Both, options: &VerticalOptions) -> Result<Vertical> {
    let reads: Vec<(Endpoint, Tables)> = PAIRS
        .iter()
        .flat_map(|&(_, narrow, wide)| [narrow, wide])
        .flat_map(|endpoint| [(endpoint, Tables::Split), (endpoint, Tables::One)])
        .collect();
    let target = |tables| match tables {
        Tables::Split => &both.split.target,
        Tables::One => &both.one_table.target,
    };
    for &(endpoint, tables) in &reads {
        send(target(tables), options, endpoint, Duration::from_millis(100), 0)?; // unmeasured: fills the caches
    }
    let mut series = AllSeries::new();
    let mut turns = Turns::new(options.seed);
    for round in 0..options.rounds {
        for read in turns.next_order(reads.len()).into_iter().filter_map(|at| reads.get(at).copied()) {
            let (endpoint, tables) = read;
            let (number, all, name) = (round + 1, options.rounds, endpoint.key());
            terminal::progress(format!("round {number} of {all}: {name}"));
            let outcome = send(target(tables), options, endpoint, options.duration, round + 1)?;
            let Some(figures) = outcome.endpoints.get(&endpoint) else { continue };
            let series = series.entry(read).or_default();
            series.per_second.push(outcome.ok_per_second());
            series.p50_ms.push(figures.latency.value_at_quantile(0.5) as f64 / 1e3);
        }
    }
    terminal::clear_progress();
    let pairs = PAIRS.iter().map(|&(name, narrow, wide)| pair(name, narrow, wide, &series)).collect();
    Ok(Vertical { rounds: options.rounds, pairs })
}

fn send(
    target: &Target,
    options: &VerticalOptions,
    endpoint: Endpoint,
    duration: Duration,
    round: u32,
) -> Result<Outcome> {
    let requests = Requests::Scenarios(vec![Scenario {
        name: endpoint.key().to_owned(),
        users: 1.0,
        think_s: [1.0, 1.0],
        rooms: RoomChoice::Any,
        checkout: None,
        actions: vec![ScenarioAction { endpoint, weight: 1.0 }],
    }]);
    let workload = Workload::of(endpoint.key().to_owned(), options.catalogue, requests);
    let load = LoadSpec {
        workload,
        connections: options.connections,
        duration,
        seed: options.seed.wrapping_add(u64::from(round)),
        ..LoadSpec::new(Arrivals::Closed)
    };
    let outcome = run_load(target, &load)?;
    if outcome.errors() > 0 {
        let errors: Vec<String> = outcome
            .endpoints
            .values()
            .flat_map(|figures| &figures.errors)
            .map(|(kind, count)| format!("{count} times {kind}"))
            .collect();
        bail!("{} was answered with errors: {}", endpoint.path(), errors.join(", "));
    }
    Ok(outcome)
}

/// The judgements on a read: answers a second and median latency, two tables ÷ one.
struct Compared {
    rate: Judged,
    p50: Judged,
}

fn pair(name: &str, narrow: Endpoint, wide: Endpoint, series: &AllSeries) -> Pair {
    let none = Series::default();
    let of = |endpoint, tables| series.get(&(endpoint, tables)).unwrap_or(&none);
    let comparison = |one: &[f64], other: &[f64]| Comparison {
        ratios: ratios(one.iter().copied().zip(other.iter().copied())),
        least: Least::ratio(RELEVANT_DIFFERENCE),
    };
    let timed = |one: &[f64], other: &[f64]| {
        let found = comparison(one, other);
        let medians = estimate(one).zip(estimate(other)).map(|(one, other)| (one.median, other.median));
        let least = medians.map_or(found.least, |medians| found.least.and_apart(medians, LEAST_MS));
        Comparison { least, ..found }
    };
    // One pair's four comparisons answer one question.
    let compared = [narrow, wide].map(|endpoint| {
        let (split, one) = (of(endpoint, Tables::Split), of(endpoint, Tables::One));
        [comparison(&split.per_second, &one.per_second), timed(&split.p50_ms, &one.p50_ms)]
    });
    let mut judged = judge_family(&compared.concat()).into_iter();
    let mut next = || Some(Compared { rate: judged.next()?, p50: judged.next()? });
    let (of_narrow, of_wide) = (next(), next());
    let size = comparison(&of(narrow, Tables::Split).per_second, &of(wide, Tables::Split).per_second);
    let layouts = |endpoint, compared: Option<&Compared>| VerticalRead {
        path: Endpoint::path(endpoint).to_owned(),
        split: read(of(endpoint, Tables::Split)),
        one_table: read(of(endpoint, Tables::One)),
        throughput_ratio: compared.and_then(|of| of.rate.judgement.ratio().cloned()),
        p50_ratio: compared.and_then(|of| of.p50.judgement.ratio().cloned()),
    };
    let size_ratio = estimate(&size.ratios);
    Pair {
        name: name.to_owned(),
        meaning: meaning::of(name, of_narrow.as_ref(), of_wide.as_ref(), size_ratio.as_ref()),
        narrow: layouts(narrow, of_narrow.as_ref()),
        wide: layouts(wide, of_wide.as_ref()),
        size_ratio,
    }
}

fn read(series: &Series) -> Read {
    Read { per_second: estimate(&series.per_second), p50_ms: estimate(&series.p50_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates of one coupon: without details from two tables and from one, with details likewise.
    fn point(rates: [&[f64]; 4]) -> Pair {
        let of = |rates: &[f64]| Series {
            per_second: rates.to_vec(),
            p50_ms: rates.iter().map(|rate| 4_000.0 / rate).collect(),
        };
        let reads = [Endpoint::Coupon, Endpoint::CouponDetails]
            .into_iter()
            .flat_map(|endpoint| [(endpoint, Tables::Split), (endpoint, Tables::One)]);
        let series: AllSeries = reads.zip(rates.map(of)).collect();
        pair("one coupon", Endpoint::Coupon, Endpoint::CouponDetails, &series)
    }

    const LARGE: &[f64] = &[200.0, 205.0, 198.0, 202.0, 201.0, 199.0];

    #[test]
    fn what_the_tables_gain_is_told_apart_from_the_size_of_the_answer() {
        let split: Vec<f64> = LARGE.iter().map(|rate| rate * 1.65).collect();
        let one: Vec<f64> = LARGE.iter().map(|rate| rate * 1.5).collect();
        let pair = point([&split, &one, LARGE, LARGE]);
        let gain = pair.narrow.throughput_ratio.as_ref().unwrap().median;
        assert!((gain - 1.1).abs() < 1e-9, "{pair:?}");
        assert!((pair.size_ratio.as_ref().unwrap().median - 1.65).abs() < 1e-9);
        assert!(pair.meaning.contains("1.10 times as often"), "{}", pair.meaning);
        assert!(
            pair.meaning.contains("1.65 times as often as with them; 1.10 of that is the tables"),
            "{}",
            pair.meaning
        );
    }

    #[test]
    fn a_small_answer_beside_a_large_one_is_no_gain_of_two_tables() {
        let small: Vec<f64> = LARGE.iter().map(|rate| rate * 1.5).collect();
        let pair = point([&small, &small, LARGE, LARGE]);
        assert!(
            pair.meaning.contains("no difference was shown in reading") && !pair.meaning.contains(" pays"),
            "{}",
            pair.meaning
        );
    }

    #[test]
    fn a_median_that_is_longer_by_less_than_anybody_notices_is_no_difference() {
        let of = |rates: &[f64], ms: f64| Series {
            per_second: rates.to_vec(),
            p50_ms: rates.iter().map(|rate| ms * 200.0 / rate).collect(),
        };
        for (ms, told) in [(0.2, "no difference was shown in reading"), (20.0, "1.10 times as long")] {
            let series: AllSeries = [
                ((Endpoint::Coupon, Tables::Split), of(LARGE, 1.1 * ms)),
                ((Endpoint::Coupon, Tables::One), of(LARGE, ms)),
                ((Endpoint::CouponDetails, Tables::Split), of(LARGE, ms)),
                ((Endpoint::CouponDetails, Tables::One), of(LARGE, ms)),
            ]
            .into();
            let pair = pair("one coupon", Endpoint::Coupon, Endpoint::CouponDetails, &series);
            assert!(pair.meaning.contains(told), "{}", pair.meaning);
        }
    }

    #[test]
    fn few_rounds_give_no_verdict_and_none_give_no_figure() {
        assert!(point([&[300.0], &[100.0], &[1.0], &[1.0]]).meaning.contains("no verdict"));
        let nothing = Vertical { rounds: 0, pairs: vec![point([&[]; 4])] };
        assert!(nothing.to_string().contains("n/a"), "{nothing}");
    }
}
