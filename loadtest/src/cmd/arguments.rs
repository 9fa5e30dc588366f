//! Checks that several subcommands make of their arguments. Each error names the flag.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec};
use coupon_loadgen::workload::{ArrivalShape, Workload};
use coupon_report::model::Metric;
use coupon_report::require::{Limit, LimitSubject};
use coupon_strategies::REGISTER;

/// The exit code of a run whose figures miss a requirement, or are worse than before.
pub(super) const BEYOND_LIMIT: u8 = 3;

/// The exit code of a comparison whose limit was the load and no contestant.
pub(super) const LOAD_LIMITED: u8 = 4;

/// The exit code of reports that allow no verdict: too few for a history, or the load was the limit.
pub(super) const CANNOT_SAY: u8 = 4;

/// The names of all strategies over shards, as a command line has them.
pub(super) static SHARDED: LazyLock<String> =
    LazyLock::new(|| REGISTER.sharded().map(|family| family.name).collect::<Vec<_>>().join(","));

/// The requirements on figures, from `--require`.
pub(super) fn limits(require: &[String], scope: &LimitSubject<'_>) -> Result<Vec<Limit>> {
    require.iter().map(|text| Limit::parse(text, scope).context("--require")).collect()
}

/// The least change that is called one, from the percent of `--least`.
pub(super) fn least(percent: f64) -> Result<f64> {
    ensure!((0.0..=1_000.0).contains(&percent), "--least must be 0 to 1000 percent, not {percent}");
    Ok(percent / 100.0)
}

/// The metrics of `--only`.
pub(super) fn only(names: &[String]) -> Result<Vec<Metric>> {
    names.iter().map(|name| name.parse().context("--only")).collect()
}

/// The backend that contestants store on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Backend {
    /// In files of their own.
    Embedded,
    /// On MySQL, Redis and RabbitMQ.
    Servers,
}

/// Open arrivals at that rate.
pub(super) fn rate(rate: f64) -> Result<Arrivals> {
    ensure!(
        LoadSpec::RATES.contains(&rate),
        "--rate must be {} to {} requests a second, not {rate}",
        LoadSpec::RATES.start(),
        LoadSpec::RATES.end()
    );
    Ok(Arrivals::Open { rate })
}

/// The rate and duration of an open load: from `--rate` and `given`, or from the workload's own shape.
pub(super) fn open_load(
    workload: &Workload,
    given_rate: Option<f64>,
    given: Option<Duration>,
    otherwise: Duration,
) -> Result<(Arrivals, Duration)> {
    let shape = workload.arrivals.as_ref();
    ensure!(
        shape.is_none() || given_rate.is_none(),
        "--rate: the workload's [arrivals] say how many requests arrive; leave out one of the two"
    );
    let duration = given.or(shape.and_then(ArrivalShape::length)).unwrap_or(otherwise);
    let arrivals = match workload.mean_rate(duration.max(Duration::from_millis(1))) {
        // Reports read it; when requests are due is the shape's to say.
        Some(mean) => Arrivals::Open { rate: mean.clamp(*LoadSpec::RATES.start(), *LoadSpec::RATES.end()) },
        None => rate(given_rate.unwrap_or(1_000.0))?,
    };
    Ok((arrivals, duration))
}

/// A number of connections that one address can have.
pub(super) fn connections(flag: &str, number: usize) -> Result<usize> {
    let most = LoadSpec::MOST_CONNECTIONS;
    ensure!((1..=most).contains(&number), "{flag} must be 1 to {most}, not {number}");
    Ok(number)
}

/// A duration, from `--seconds`.
pub(super) fn seconds(seconds: f64, allowed: &RangeInclusive<f64>) -> Result<Duration> {
    ensure!(
        allowed.contains(&seconds),
        "--seconds must be {} to {}, not {seconds}",
        allowed.start(),
        allowed.end()
    );
    Ok(Duration::from_secs_f64(seconds))
}

/// The service at `--target`.
pub(super) fn target(url: &str) -> Result<Target> {
    Target::from_url("--target", url).context("--target")
}

/// The workload of `--workload`; the built-in one without.
pub(super) fn workload(file: Option<&Path>) -> Result<Workload> {
    file.map_or_else(|| Ok(Workload::default()), |file| Workload::load(file).context("--workload"))
}
