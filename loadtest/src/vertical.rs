//! The gain from keeping a coupon's wide columns in a table of their own: the same reads with and without them.
//!
//! A page that reads the wide columns has to join them back, so the difference between the two reads is what the
//! narrow table saves everybody else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use coupon_cli::terminal;
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{Action, Catalogue, Endpoint, Requests, Rooms, Scenario, Workload};
use coupon_measure::Turns;
use coupon_measure::stats::{Judgement, MIN_ROUNDS, estimate, judge, ratios};
use coupon_report::model::{Pair, Read, Vertical};

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
    pub catalogue: Catalogue,
}

/// A kind of read's figures, one a round.
#[derive(Debug, Default)]
struct Series {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
}

/// Sends each read in turn, round after round, and compares.
///
/// # Errors
/// When the service cannot be reached, or answers a read with an error.
pub fn measure(target: &Target, options: &VerticalOptions) -> Result<Vertical> {
    let mut series: BTreeMap<Endpoint, Series> = BTreeMap::new();
    let endpoints: Vec<Endpoint> = PAIRS.iter().flat_map(|&(_, narrow, wide)| [narrow, wide]).collect();
    for &endpoint in &endpoints {
        send(target, options, endpoint, Duration::from_millis(200), 0)?; // unmeasured: fills the caches
    }
    let mut turns = Turns::new(options.seed);
    for round in 0..options.rounds {
        for endpoint in
            turns.shuffled(endpoints.len()).into_iter().filter_map(|at| endpoints.get(at).copied())
        {
            let (number, all, name) = (round + 1, options.rounds, endpoint.key());
            terminal::progress(format!("round {number} of {all}: {name}"));
            let outcome = send(target, options, endpoint, options.duration, round + 1)?;
            let Some(figures) = outcome.endpoints.get(&endpoint) else { continue };
            let series = series.entry(endpoint).or_default();
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
        rooms: Rooms::Any,
        checkout: None,
        actions: vec![Action { endpoint, weight: 1.0 }],
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

fn pair(name: &str, narrow: Endpoint, wide: Endpoint, series: &BTreeMap<Endpoint, Series>) -> Pair {
    let none = Series::default();
    let of = |endpoint| series.get(&endpoint).unwrap_or(&none);
    let (n, w) = (of(narrow), of(wide));
    let compare = |n: &[f64], w: &[f64]| ratios(n.iter().copied().zip(w.iter().copied()));
    let throughput = judge(&compare(&n.per_second, &w.per_second));
    let p50 = judge(&compare(&n.p50_ms, &w.p50_ms));
    Pair {
        name: name.to_owned(),
        narrow: read(narrow, n),
        wide: read(wide, w),
        meaning: meaning(name, &throughput, &p50),
        throughput_ratio: throughput.ratio().cloned(),
        p50_ratio: p50.ratio().cloned(),
    }
}

fn read(endpoint: Endpoint, series: &Series) -> Read {
    Read {
        path: endpoint.path().to_owned(),
        per_second: estimate(&series.per_second),
        p50_ms: estimate(&series.p50_ms),
    }
}

/// One sentence, whatever came out. Throughput decides; when it is lost in the noise, the median latency may yet tell.
fn meaning(name: &str, throughput: &Judgement, p50: &Judgement) -> String {
    let pays = "keeping the wide columns apart pays for every reader who does not want them";
    let costs = "here, keeping the wide columns apart does not pay";
    match (throughput, p50) {
        (Judgement::TooFewRounds(_), _) => {
            format!("Under {MIN_ROUNDS} rounds there is no verdict on {name}.")
        }
        (Judgement::More(ratio), _) => {
            let times = ratio.median;
            format!(
                "Reading {name} without its details is answered {times:.2} times as often a second: {pays}."
            )
        }
        (Judgement::Less(ratio), _) => {
            let times = ratio.median;
            format!(
                "Reading {name} without its details is answered {times:.2} times as often a second: {costs}."
            )
        }
        (Judgement::NoDifference(_), Judgement::Less(ratio)) => format!(
            "Reading {name} without its details takes {:.2} times as long at the median, though the answers a second \
             vary too much to tell: {pays}.",
            ratio.median
        ),
        (Judgement::NoDifference(_), Judgement::More(ratio)) => format!(
            "Reading {name} without its details takes {:.2} times as long at the median, though the answers a second \
             vary too much to tell: {costs}.",
            ratio.median
        ),
        (Judgement::NoDifference(ratio), _) => format!(
            "No difference was shown between reading {name} with and without its details ({:.2} to {:.2} times the \
             answers a second): here, keeping the wide columns apart neither pays nor costs.",
            ratio.low, ratio.high
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(narrow: &[f64], wide: &[f64]) -> BTreeMap<Endpoint, Series> {
        let of = |rates: &[f64]| Series {
            per_second: rates.to_vec(),
            p50_ms: rates.iter().map(|rate| 4_000.0 / rate).collect(),
        };
        BTreeMap::from([(Endpoint::Coupon, of(narrow)), (Endpoint::CouponDetails, of(wide))])
    }

    fn point(series: &BTreeMap<Endpoint, Series>) -> Pair {
        pair("one coupon", Endpoint::Coupon, Endpoint::CouponDetails, series)
    }

    #[test]
    fn a_clear_gain_is_called_one_with_its_ratio() {
        let pair = point(&series(&[300.0, 330.0, 310.0, 320.0, 290.0], &[200.0, 210.0, 205.0, 200.0, 195.0]));
        assert!((pair.throughput_ratio.as_ref().unwrap().median - 1.512).abs() < 0.01, "{pair:?}");
        assert!(pair.p50_ratio.as_ref().unwrap().median < 1.0);
        assert!(pair.meaning.contains("1.51 times as often"), "{}", pair.meaning);
    }

    #[test]
    fn a_clear_latency_tells_where_throughput_is_noisy() {
        let mut series = series(&[300.0, 190.0, 210.0, 205.0, 195.0], &[200.0; 5]);
        series.get_mut(&Endpoint::Coupon).unwrap().p50_ms = vec![10.0; 5];
        let pair = point(&series);
        assert!(pair.meaning.contains("0.50 times as long"), "{}", pair.meaning);
    }

    #[test]
    fn noise_is_no_gain() {
        let pair = point(&series(&[300.0, 190.0, 210.0, 205.0, 195.0], &[200.0, 210.0, 205.0, 200.0, 195.0]));
        assert!(pair.meaning.contains("neither pays nor costs"), "{}", pair.meaning);
    }

    #[test]
    fn few_rounds_give_no_verdict_and_none_give_no_figure() {
        assert!(point(&series(&[300.0], &[100.0])).meaning.contains("no verdict"));
        let nothing = Vertical { rounds: 0, pairs: vec![point(&BTreeMap::new())] };
        assert!(nothing.to_string().contains("n/a"), "{nothing}");
    }
}
