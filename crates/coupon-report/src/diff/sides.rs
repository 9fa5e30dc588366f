//! A contestant of several runs, and the metrics that these are compared by.

use std::collections::BTreeSet;

use crate::endpoints;
use crate::model::{Contestant, Metric, Report};
use crate::summarise::endpoints_of;

/// A contestant of both.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    /// It in every run.
    pub(super) all: Sides<'a>,
    /// It in the runs in which the load was not the limit.
    pub(super) fair: Sides<'a>,
}

impl<'a> Subject<'a> {
    /// The runs that have a figure of the contestant's own.
    pub(super) const fn sides(&self, metric: &Metric) -> &Sides<'a> {
        if metric.is_timed() { &self.fair } else { &self.all }
    }
}

/// A contestant in some runs, before and after.
pub(super) struct Sides<'a> {
    pub(super) before: Vec<&'a Contestant>,
    pub(super) after: Vec<&'a Contestant>,
}

impl<'a> Sides<'a> {
    pub(super) fn of(name: &str, before: &[&'a Report], after: &[&'a Report]) -> Self {
        let find = |runs: &[&'a Report]| -> Vec<&'a Contestant> {
            runs.iter().filter_map(|report| report.contestant(name)).collect()
        };
        Self { before: find(before), after: find(after) }
    }

    /// The metrics that are compared.
    pub(super) fn asked(&self, only: &[Metric]) -> Vec<Metric> {
        let runs: Vec<&Contestant> = self.before.iter().chain(&self.after).copied().collect();
        compared(&runs, only)
    }

    /// The first of each side.
    pub(super) fn shown(&self) -> Option<(&'a Contestant, &'a Contestant)> {
        Some((self.before.first()?, self.after.first()?))
    }
}

/// The metrics that runs of one contestant are compared by, of those that any of them has a figure of: these alone, or all.
pub(crate) fn compared(runs: &[&Contestant], only: &[Metric]) -> Vec<Metric> {
    let rounds = || runs.iter().flat_map(|run| &run.rounds);
    let mut metrics = if only.is_empty() { metrics(runs) } else { only.to_vec() };
    // A metric that no run has a figure of, such as rows stored a second on files, is left out.
    metrics.retain(|metric| rounds().any(|round| metric.read(round).value().is_some()));
    metrics
}

/// The part of requests that failed, and those that contestants are compared by.
fn metrics(runs: &[&Contestant]) -> Vec<Metric> {
    let mut metrics = Metric::of_service().to_vec();
    let endpoints = endpoints_of(runs.iter().copied());
    metrics.extend(endpoints.iter().flat_map(|endpoint| Metric::of_endpoint(endpoint)));
    let rounds = runs.iter().flat_map(|run| &run.rounds);
    let scenarios: BTreeSet<&String> = rounds.flat_map(|round| round.scenarios.keys()).collect();
    metrics.extend(scenarios.into_iter().flat_map(|scenario| Metric::of_scenario(scenario)));
    let has_spread = runs.iter().any(|run| run.most_shards() > 1);
    metrics.retain(|metric| match metric {
        Metric::EffectiveShards | Metric::EffectiveShardsByCpu => has_spread,
        Metric::Shards { endpoint } | Metric::Tables { endpoint } => endpoints::has_plan(endpoint),
        Metric::Errors => true,
        _ => metric.is_compared(),
    });
    metrics
}
