//! The figures of a run as JSON.

use std::collections::BTreeMap;

use coupon_loadgen::http::Target;
use coupon_loadgen::load::{self, Arrivals, EndpointOutcome, GeneratorCost, LoadSpec, Outcome, PhaseOutcome};
use coupon_loadgen::workload::Workload;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The whole file. Latencies are milliseconds from the intended start.
#[derive(Serialize)]
pub(super) struct Run<'a> {
    format: u32,
    target: String,
    /// Requests a second; null for a closed loop.
    rate: Option<f64>,
    connections: usize,
    duration_s: f64,
    timeout_s: f64,
    seed: u64,
    workload: &'a Workload,
    elapsed_s: f64,
    /// True when the run was ended early: the figures are those of `elapsed_s`, not of `duration_s`.
    interrupted: bool,
    endpoints: BTreeMap<&'static str, Endpoint<'a>>,
    /// The workload's scenarios, in its order; empty without.
    scenarios: Vec<Scenario<'a>>,
    /// The parts of the workload's [arrivals]; empty without.
    phases: Vec<Phase<'a>>,
    grabs: Grabs,
    /// True when coupons sold out: the rate of grabs is no throughput figure then.
    sold_out: bool,
    unsent: u64,
    reconnects: u64,
    generator: Generator,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    requests: u64,
    ok: u64,
    ok_per_s: f64,
    errors: &'a BTreeMap<String, u64>,
    latency_ms: Option<Latency>,
    /// As the answers say; null when they do not.
    mean_shards: Option<f64>,
    mean_tables: Option<f64>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    name: &'a str,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
    from_s: f64,
    until_s: f64,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Tally {
    ok: u64,
    errors: u64,
    latency_ms: Option<Latency>,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Serialize)]
struct Grabs {
    granted: u64,
    granted_per_s: f64,
    out_of_stock: u64,
    duplicate: u64,
    invalid_time: u64,
    rejected: u64,
    unknown: u64,
}

#[derive(Serialize)]
struct Generator {
    cpu_seconds: Option<f64>,
    cpu_us_per_request: Option<f64>,
    requests_sent: u64,
    /// Lateness of requests that were sent with a connection free; null for a closed loop.
    lateness_us: Option<Lateness>,
}

#[derive(Serialize)]
struct Lateness {
    p50: u64,
    p99: u64,
    max: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(target: &Target, spec: &'a LoadSpec, outcome: &'a Outcome) -> Self {
        let rate = match spec.arrivals {
            Arrivals::Open { rate } => Some(rate),
            Arrivals::Closed => None,
        };
        let seconds = outcome.elapsed.as_secs_f64();
        let endpoints =
            outcome.endpoints.iter().map(|(kind, figures)| (kind.key(), endpoint(figures, seconds)));
        Self {
            format: 1,
            target: target.url(""),
            rate,
            connections: spec.connections,
            duration_s: spec.duration.as_secs_f64(),
            timeout_s: spec.timeout.as_secs_f64(),
            seed: spec.seed,
            workload: &spec.workload,
            elapsed_s: seconds,
            interrupted: spec.is_stopped(),
            endpoints: endpoints.collect(),
            scenarios: outcome
                .scenarios
                .iter()
                .map(|of| Scenario { name: &of.name, tally: tally(&of.tally) })
                .collect(),
            phases: outcome.phases.iter().filter(|phase| phase.from < spec.duration).map(phase).collect(),
            grabs: grabs(outcome),
            sold_out: outcome.sold_out > 0,
            unsent: outcome.unsent,
            reconnects: outcome.reconnects,
            generator: generator(&outcome.generator, rate.is_some()),
        }
    }
}

fn grabs(outcome: &Outcome) -> Grabs {
    let counts = outcome.counts;
    Grabs {
        granted: counts.granted,
        granted_per_s: outcome.granted_per_second(),
        out_of_stock: counts.out_of_stock,
        duplicate: counts.duplicate,
        invalid_time: counts.invalid_time,
        rejected: counts.rejected,
        unknown: counts.unknown,
    }
}

fn generator(cost: &GeneratorCost, is_open: bool) -> Generator {
    Generator {
        cpu_seconds: cost.cpu_seconds,
        cpu_us_per_request: cost.cpu_us_per_request(),
        requests_sent: cost.requests,
        lateness_us: is_open.then_some(Lateness {
            p50: cost.lateness_p50_us,
            p99: cost.lateness_p99_us,
            max: cost.lateness_max_us,
        }),
    }
}

fn phase(figures: &PhaseOutcome) -> Phase<'_> {
    Phase {
        name: &figures.name,
        from_s: figures.from.as_secs_f64(),
        until_s: figures.until.as_secs_f64(),
        tally: tally(&figures.tally),
    }
}

fn tally(of: &load::Tally) -> Tally {
    Tally { ok: of.ok, errors: of.errors, latency_ms: latency(&of.latency) }
}

fn latency(micros: &Histogram<u64>) -> Option<Latency> {
    let ms = |quantile| micros.value_at_quantile(quantile) as f64 / 1_000.0;
    (!micros.is_empty()).then(|| Latency {
        p50: ms(0.5),
        p90: ms(0.9),
        p99: ms(0.99),
        p999: ms(0.999),
        max: ms(1.0),
    })
}

fn endpoint(figures: &EndpointOutcome, seconds: f64) -> Endpoint<'_> {
    Endpoint {
        requests: figures.requests(),
        ok: figures.ok,
        ok_per_s: figures.ok as f64 / seconds,
        errors: &figures.errors,
        latency_ms: latency(&figures.latency),
        mean_shards: figures.mean_shards(),
        mean_tables: figures.mean_tables(),
    }
}
