//! What a bench found, as `bench.json` has it.

use coupon_service::api::AdminStats;
use serde::Serialize;

use super::measure::{Kind, Plan, Sample};
use crate::compare::machine;
use crate::report::model::Machine;
use crate::stats::estimate;

/// The whole file.
#[derive(Debug, Serialize)]
pub(super) struct Bench {
    /// Raised when a field changes its meaning.
    format: u32,
    /// When it ended, RFC 3339.
    date: String,
    /// What was run.
    command: String,
    /// On what.
    machine: Machine,
    /// The service's own name.
    pub(super) service: String,
    /// Every parameter that decides where a row lives.
    pub(super) layout: String,
    /// `embedded` or `servers`.
    pub(super) backend: String,
    /// HTTP workers of the service.
    pub(super) workers: usize,
    /// How many rounds of each kind and number of connections.
    pub(super) rounds: u32,
    /// Seconds a round.
    pub(super) seconds: f64,
    /// By number of connections, over the rounds.
    pub(super) results: Vec<Ratio>,
    /// Every round.
    samples: Vec<Sample>,
    /// Why the figures are not valid; empty when they are.
    pub(super) problems: Vec<String>,
}

/// Grabs against echoes over one number of connections.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    /// How many connections.
    pub(super) connections: usize,
    /// Grabs ÷ echoes, of the same round.
    pub(super) ratio: Spread,
    /// Grabs.
    pub(super) grab: Rates,
    /// Echoes.
    pub(super) echo: Rates,
}

/// The rounds of one kind.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// Answers a second; of grabs, granted ones.
    pub(super) per_s: Spread,
    /// The median round's p50.
    pub(super) p50_ms: Spread,
    /// The median round's p99.
    pub(super) p99_ms: Spread,
    /// CPU microseconds of the generator a request.
    pub(super) generator_cpu_us: Option<Spread>,
    /// CPU microseconds of the service a request.
    pub(super) service_cpu_us: Option<Spread>,
}

/// A figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// The median round's.
    pub(super) median: f64,
    /// The lowest round's.
    pub(super) min: f64,
    /// The highest round's.
    pub(super) max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        Some(Self {
            median: estimate(&values)?.median,
            min: values.iter().copied().min_by(f64::total_cmp)?,
            max: values.iter().copied().max_by(f64::total_cmp)?,
        })
    }
}

impl Bench {
    pub(super) fn new(stats: &AdminStats, plan: &Plan, samples: Vec<Sample>) -> Self {
        let invalid = samples.iter().filter_map(|sample| {
            let Sample { round, connections, kind, problem, .. } = sample;
            let problem = problem.as_ref()?;
            Some(format!("round {round}, {kind:?} over {connections} connections: {problem}"))
        });
        Self {
            format: 1,
            date: machine::now(),
            command: machine::command(std::env::args()),
            machine: machine::machine(),
            service: stats.service.clone(),
            layout: stats.layout.clone(),
            backend: stats.backend.clone(),
            workers: stats.workers,
            rounds: plan.rounds,
            seconds: plan.duration.as_secs_f64(),
            results: plan.connections.iter().filter_map(|number| ratio(*number, &samples)).collect(),
            problems: invalid.collect(),
            samples,
        }
    }
}

fn ratio(connections: usize, samples: &[Sample]) -> Option<Ratio> {
    let of =
        |kind| samples.iter().filter(move |sample| (sample.connections, sample.kind) == (connections, kind));
    let ratios = of(Kind::Grab).filter_map(|grab| {
        let echo = of(Kind::Echo).find(|echo| echo.round == grab.round)?;
        Some(grab.per_s / echo.per_s)
    });
    Some(Ratio {
        connections,
        ratio: Spread::of(ratios)?,
        grab: rates(&of(Kind::Grab).collect::<Vec<_>>())?,
        echo: rates(&of(Kind::Echo).collect::<Vec<_>>())?,
    })
}

fn rates(samples: &[&Sample]) -> Option<Rates> {
    let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(|sample| figure(sample)));
    Some(Rates {
        per_s: spread(|sample| sample.per_s)?,
        p50_ms: spread(|sample| sample.p50_ms)?,
        p99_ms: spread(|sample| sample.p99_ms)?,
        generator_cpu_us: Spread::of(samples.iter().filter_map(|sample| sample.generator_cpu_us)),
        service_cpu_us: Spread::of(samples.iter().filter_map(|sample| sample.service_cpu_us)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, kind: Kind, per_s: f64) -> Sample {
        Sample {
            round,
            connections: 64,
            kind,
            per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
            generator_cpu_us: Some(6.0),
            service_cpu_us: None,
            problem: None,
        }
    }

    #[test]
    fn a_ratio_is_of_rounds_not_of_medians() {
        let samples = [
            sample(1, Kind::Echo, 100.0),
            sample(1, Kind::Grab, 50.0),
            sample(2, Kind::Grab, 30.0),
            sample(2, Kind::Echo, 50.0),
            sample(3, Kind::Echo, 200.0),
            sample(3, Kind::Grab, 20.0),
        ];
        let ratio = ratio(64, &samples).unwrap();
        assert_eq!(ratio.ratio, Spread { median: 0.5, min: 0.1, max: 0.6 });
        assert_eq!(ratio.grab.per_s, Spread { median: 30.0, min: 20.0, max: 50.0 });
        assert!(ratio.grab.service_cpu_us.is_none());
        assert!(super::ratio(256, &samples).is_none());
    }
}
