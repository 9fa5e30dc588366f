//! The rounds: echo and grabs take turns, in an order drawn anew for each round.

use std::time::Duration;

use anyhow::Context;
use coupon_service::api::{AdminStats, Drained};
use serde::Serialize;

use crate::compare::order::Order;
use crate::http::{Target, get_json, post_json};
use crate::load::{Arrivals, EndpointOutcome, LoadSpec, Outcome, run_load};
use crate::terminal;
use crate::workload::{Catalogue, Workload};

/// Load before the first round whose figures are thrown away.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) connections: Vec<usize>,
    pub(super) rounds: u32,
    pub(super) duration: Duration,
    pub(super) seed: u64,
    pub(super) catalogue: Catalogue,
}

/// What a round sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// `POST /bench/echo`.
    Echo,
    /// `POST /api/coupon/grab`, of pairs that were not grabbed yet.
    Grab,
}

/// One round of one kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    /// From 1.
    pub(super) round: u32,
    /// How many connections sent their next request when the last was answered.
    pub(super) connections: usize,
    /// What was sent.
    pub(super) kind: Kind,
    /// Answers a second; of grabs, those with `grab_status` 1.
    pub(super) per_s: f64,
    /// Milliseconds from sending to the whole answer: half were quicker.
    pub(super) p50_ms: f64,
    /// 99% were quicker.
    pub(super) p99_ms: f64,
    /// CPU microseconds of the load generator a request; null where the system does not say.
    pub(super) generator_cpu_us: Option<f64>,
    /// CPU microseconds of the service a request, draining included; null where the system does not say.
    pub(super) service_cpu_us: Option<f64>,
    /// Why this round is not valid, if it is not.
    pub(super) problem: Option<String>,
}

/// Measures everything the plan says.
///
/// # Errors
/// When the service cannot be put under load.
pub(super) fn all(target: &Target, plan: &Plan) -> anyhow::Result<Vec<Sample>> {
    let turns: Vec<(usize, Kind)> =
        plan.connections.iter().flat_map(|number| [(*number, Kind::Echo), (*number, Kind::Grab)]).collect();
    let mut bench = Measure { target, plan, grabbed: 0 };
    for (connections, kind) in &turns {
        terminal::progress(format!("warming up: {kind:?} over {connections} connections"));
        bench.sample(0, *connections, *kind, WARM_UP)?;
    }
    let mut order = Order::new(plan.seed);
    let mut samples = Vec::new();
    for round in 1..=plan.rounds {
        for turn in order.shuffled(turns.len()) {
            let Some((connections, kind)) = turns.get(turn) else { continue };
            let rounds = plan.rounds;
            terminal::progress(format!("round {round} of {rounds}: {kind:?} over {connections} connections"));
            samples.push(bench.sample(round, *connections, *kind, plan.duration)?);
        }
    }
    Ok(samples)
}

struct Measure<'a> {
    target: &'a Target,
    plan: &'a Plan,
    /// How many pairs were used: the next grabs go on from there.
    grabbed: u64,
}

impl Measure<'_> {
    fn sample(
        &mut self,
        round: u32,
        connections: usize,
        kind: Kind,
        duration: Duration,
    ) -> anyhow::Result<Sample> {
        let catalogue = self.plan.catalogue;
        let workload = match kind {
            Kind::Echo => Workload::echo(catalogue),
            Kind::Grab => Workload::distinct_grabs(catalogue, self.grabbed),
        };
        let load = LoadSpec {
            workload,
            connections,
            duration,
            seed: self.plan.seed,
            ..LoadSpec::new(Arrivals::Closed)
        };
        let before = self.cpu_seconds()?;
        let outcome = run_load(self.target, &load)?;
        // What a grab leaves to be done after its answer belongs to this round, not to the next.
        let _: Drained = post_json(self.target, "/admin/drain", &serde_json::json!({}))?;
        let after = self.cpu_seconds()?;
        let service_cpu = before.zip(after).map(|(before, after)| after - before);
        let sample = sample(round, connections, kind, &outcome, service_cpu)?;
        if kind == Kind::Grab {
            self.grabbed += outcome.endpoints.values().map(EndpointOutcome::requests).sum::<u64>();
        }
        Ok(sample)
    }

    fn cpu_seconds(&self) -> anyhow::Result<Option<f64>> {
        Ok(get_json::<AdminStats>(self.target, "/admin/stats")?.cpu_seconds)
    }
}

fn sample(
    round: u32,
    connections: usize,
    kind: Kind,
    outcome: &Outcome,
    service_cpu_seconds: Option<f64>,
) -> anyhow::Result<Sample> {
    let figures = outcome.endpoints.values().next().context("not one request was answered")?;
    let good = if kind == Kind::Grab { outcome.counts.granted } else { figures.ok };
    let requests = figures.requests() as f64;
    let ms = |quantile| figures.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Sample {
        round,
        connections,
        kind,
        per_s: good as f64 / outcome.elapsed.as_secs_f64(),
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
        generator_cpu_us: outcome.generator.cpu_us_per_request(),
        service_cpu_us: service_cpu_seconds.map(|seconds| seconds * 1e6 / requests),
        problem: problem(kind, outcome),
    })
}

/// Every request must have been answered, and every grab granted: a refusal is cheaper than a grant.
fn problem(kind: Kind, outcome: &Outcome) -> Option<String> {
    let mut problems = Vec::new();
    for (number, what) in [
        (outcome.errors(), "failed"),
        (outcome.counts.out_of_stock, "were sold out"),
        (outcome.counts.duplicate, "were duplicates"),
        (outcome.counts.invalid_time, "were outside their window"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
    if kind == Kind::Grab && outcome.counts.granted == 0 {
        problems.push("not one was granted".to_owned());
    }
    (!problems.is_empty()).then(|| problems.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load::{GeneratorCost, GrabCounts};

    #[test]
    fn a_round_with_anything_but_grants_is_not_valid() {
        let outcome = |counts: GrabCounts| Outcome {
            endpoints: BTreeMap::new(),
            grabs: Vec::new(),
            sold_out: counts.out_of_stock,
            counts,
            elapsed: Duration::from_secs(1),
            generator: GeneratorCost::default(),
            unsent: 0,
            reconnects: 0,
        };
        let granted = GrabCounts { granted: 9, ..GrabCounts::default() };
        assert_eq!(problem(Kind::Grab, &outcome(granted)), None);
        assert_eq!(problem(Kind::Echo, &outcome(GrabCounts::default())), None);
        let said = |counts| problem(Kind::Grab, &outcome(counts)).unwrap();
        assert!(said(GrabCounts { out_of_stock: 2, ..granted }).contains("2 were sold out"));
        assert!(said(GrabCounts { duplicate: 1, ..granted }).contains("1 were duplicates"));
        assert!(said(GrabCounts::default()).contains("not one was granted"));
    }
}
