//! Sums over everything from what the writers keep, idle and while grabs are written; counting them stands beside it.

use std::time::Duration;

use anyhow::Result;
use coupon_lab::seed_of;
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_measure::Turns;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
use hdrhistogram::Histogram;

use super::super::client::Client;
use super::super::context::{Context, HISTORY, SHARDS, Store};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;

pub(super) const SECTION: Section = Section {
    name: "sums",
    family: "sums",
    what: "sums over everything while grabs are written",
    servers: true,
    claims,
    run,
};

/// Grabs a second meanwhile: well below the top rate, where everything waits for the machine.
const RATE: f64 = 1_000.0;
/// Connections that they come over.
const CONNECTIONS: usize = 64;
/// The pause between two questions: a dashboard's, not a flood.
const PAUSE: Duration = Duration::from_millis(2);
const KEPT: &str = "/api/statistics/global?exact=false";
const COUNTED: &str = "/api/statistics/global";

fn claims() -> Vec<Claim> {
    vec![
        Claim::ratio(
            "sums-kept-under-load",
            "p99 of sums from kept aggregates while 1,000 grabs a second are written",
            "the same without grabs",
            Bound::AtMost(3.0),
        ),
        Claim::ratio(
            "sums-kept-gain",
            "p50 of sums that are counted ÷ p50 of kept ones, over 1 M results",
            "kept aggregates",
            Bound::AtLeast(1.0),
        ),
    ]
}

/// One round's times in milliseconds.
#[derive(Default)]
struct Rounds {
    kept_idle: Vec<f64>,
    kept_loaded: Vec<f64>,
    counted_idle: Vec<f64>,
    counted_loaded: Vec<f64>,
    kept_p50: Vec<f64>,
    counted_p50: Vec<f64>,
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec { hot_rooms: CatalogueSpec::default().rooms, ..CatalogueSpec::default() };
    let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
    spec.name = "sums hash".to_owned();
    let seed = SeedOptions { history: HISTORY, seed: context.seed, ..seed_of(&catalogue) };
    let running = context.start(&spec, Store::Servers, seed)?;
    let mut rounds = Rounds::default();
    let (mut skip, mut turns) = (0, Turns::new(context.seed));
    let mut turns_loaded = Turns::new(!context.seed);
    let (kept, counted) = if context.quick { (200, 5) } else { (1_000, 15) };
    for round in 0..context.rounds() {
        context.progress(format!("round {}", round + 1));
        for at in turns.next_order(2) {
            let is_kept = at == 0;
            let (path, times) = if is_kept { (KEPT, kept) } else { (COUNTED, counted) };
            let (p50, p99) = quantiles(&running.target, path, times)?;
            let (p50s, p99s) = if is_kept {
                (&mut rounds.kept_p50, &mut rounds.kept_idle)
            } else {
                (&mut rounds.counted_p50, &mut rounds.counted_idle)
            };
            p50s.push(p50);
            p99s.push(p99);
        }
        let load = LoadSpec {
            workload: Workload::distinct_grabs(catalogue, skip),
            connections: CONNECTIONS,
            duration: context.round() * 2,
            seed: context.seed,
            ..LoadSpec::new(Arrivals::Open { rate: RATE })
        };
        let kept_first = turns_loaded.next_order(2).first() == Some(&0);
        let (sent, kept, counted) = loaded(&running.target, &load, kept_first)?;
        skip += sent;
        rounds.kept_loaded.push(kept);
        rounds.counted_loaded.push(counted);
    }
    running.stop()?;
    let ratios =
        |above: &[f64], below: &[f64]| -> Vec<f64> { above.iter().zip(below).map(|(a, b)| a / b).collect() };
    let under_load = ratios(&rounds.kept_loaded, &rounds.kept_idle);
    let gain = ratios(&rounds.counted_p50, &rounds.kept_p50);
    Ok(vec![
        Measurement::new("sums-kept-under-load", under_load).figures(vec![
            NamedFigure::of("kept, p99 idle", "ms", &rounds.kept_idle),
            NamedFigure::of("kept, p99 under load", "ms", &rounds.kept_loaded),
            NamedFigure::of("counted, p99 idle", "ms", &rounds.counted_idle),
            NamedFigure::of("counted, p99 under load", "ms", &rounds.counted_loaded),
        ]),
        Measurement::new("sums-kept-gain", gain).figures(vec![
            NamedFigure::of("kept, p50 idle", "ms", &rounds.kept_p50),
            NamedFigure::of("counted, p50 idle", "ms", &rounds.counted_p50),
        ]),
    ]
    .into())
}

/// p50 and p99 in milliseconds of asking so many times.
fn quantiles(target: &Target, path: &str, times: u32) -> Result<(f64, f64)> {
    let mut left = times;
    quantiles_while(target, path, || {
        left = left.saturating_sub(1);
        left > 0
    })
}

/// The same for as long as `more` says so.
fn quantiles_while(target: &Target, path: &str, mut more: impl FnMut() -> bool) -> Result<(f64, f64)> {
    let mut client = Client::connect(target)?;
    let mut times = Histogram::<u64>::new(3)?;
    loop {
        let (took, _) = client.get(path)?;
        times.record(u64::try_from(took.as_nanos())?)?;
        if !more() {
            let ms = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e6;
            return Ok((ms(0.5), ms(0.99)));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Sends the load; says how many requests it were, and p99 of kept and of counted sums, each asked for during half of
/// it.
fn loaded(target: &Target, load: &LoadSpec, kept_first: bool) -> Result<(u64, f64, f64)> {
    let (first, second) = if kept_first { (KEPT, COUNTED) } else { (COUNTED, KEPT) };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| run_load(target, load));
        let half = std::time::Instant::now() + load.duration / 2;
        let (_, first) = quantiles_while(target, first, || std::time::Instant::now() < half)?;
        let (_, second) = quantiles_while(target, second, || !sending.is_finished())?;
        let outcome = sending.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        let (kept, counted) = if kept_first { (first, second) } else { (second, first) };
        Ok((outcome.grabs.len() as u64, kept, counted))
    })
}
