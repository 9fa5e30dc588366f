//! Two reports side by side: what became better, what became worse, and where that cannot be said.
//!
//! A round of the one is held against the round of the same index of the other: with the same seed both had the same
//! requests at the same times. What rounds cannot show is what the machine did between the two runs, which is in every
//! round of one and in none of the other. So of two single runs rates and times may *look* worse or better, and only
//! what is counted is judged. With [`MIN_RUNS`] runs in all the run is the unit: their medians show how far runs differ
//! by themselves, and Student's t says whether those after lie farther away, corrected for all figures together (Holm).
//! What is counted is judged of every run: one run that is worse than those before is enough, and the failures of all
//! runs of a side are taken together.
//!
//! Rates and times of a run in which the load was the limit are those of the load: they are left out.

mod comparable;
mod counted;
mod failures;
mod judged;
mod text;
mod without_ratio;

use std::collections::BTreeSet;

use serde::Serialize;

pub(crate) use comparable::other_series;
pub use comparable::{notes, obstacles};
pub(crate) use judged::{LEAST_SPREAD, values};
pub use text::print;
pub(crate) use text::with_unit;

use coupon_measure::stats::Estimate;

use super::endpoints;
use super::model::{Contestant, Metric, Report};
use super::summarise::endpoints_of;

/// The least difference that is called one, unless something else is asked for.
pub const LEAST: f64 = 0.1;
/// The percent of requests from which on more or fewer failures are a difference.
pub(crate) const FAILED: f64 = 0.1;
/// The least number of runs, before and after together, that shows how far runs differ by themselves.
pub const MIN_RUNS: usize = 5;

/// The change of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeVerdict {
    /// Its interval excludes "no change", and the change is large enough to matter, for the better.
    Better,
    /// Likewise, for the worse.
    Worse,
    /// The rounds say better, and what happened between the runs may be all of it.
    LooksBetter,
    /// Likewise, for the worse.
    LooksWorse,
    /// The whole interval is too small a change to matter.
    Same,
    /// Neither was shown: it takes more rounds, or a quieter machine.
    Undecided,
}

/// A figure before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffRow {
    /// The contestant.
    pub contestant: String,
    /// The metric as `report.json` names it.
    pub metric: String,
    /// The same for people.
    pub label: String,
    /// Its unit; empty for pure numbers.
    pub unit: &'static str,
    /// The median over rounds before.
    pub before: Option<Estimate>,
    /// The same after.
    pub after: Option<Estimate>,
    /// After ÷ before, by round; none for errors, of which there may have been none.
    pub ratio: Option<Estimate>,
    /// The probability of as large a change if nothing has changed, corrected for all figures (Holm); none for what is counted.
    pub p: Option<f64>,
    /// The judgement on the ratio.
    pub change: ChangeVerdict,
    /// The reason why there is no judgement, if there is none.
    pub reason: Option<String>,
}

/// The unit that changes of rates and times are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// None: two single runs cannot tell a change from what the machine did in between.
    None,
    /// Rounds, as if nothing had happened in between.
    Round,
    /// Runs.
    Run,
}

/// The way to compare.
#[derive(Debug, Clone)]
pub struct DiffOptions<'a> {
    /// The least change that is called one.
    pub least: f64,
    /// The metrics to compare by; all of them if empty.
    pub only: &'a [Metric],
    /// True to judge by rounds whatever happened between the runs.
    pub rounds_alone: bool,
}

impl Default for DiffOptions<'_> {
    fn default() -> Self {
        Self { least: LEAST, only: &[], rounds_alone: false }
    }
}

/// Two reports side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The unit that rates and times were judged by.
    pub unit: Unit,
    /// True when rates and times were not judged, or not by runs, since the load was the limit of some runs. A service
    /// that got slower may be why: it holds each connection for longer.
    pub load_limited: bool,
    /// Reservations about the comparison.
    pub notes: Vec<String>,
    /// Every figure that both have.
    pub rows: Vec<DiffRow>,
}

impl Diff {
    /// Holds one report against an earlier one.
    #[must_use]
    pub fn of(before: &Report, after: &Report, how: &DiffOptions<'_>) -> Self {
        Self::of_runs(&[before], &[after], how)
    }

    /// Holds reports of the same thing against earlier ones; the first of each are shown.
    #[must_use]
    pub fn of_runs(before: &[&Report], after: &[&Report], how: &DiffOptions<'_>) -> Self {
        let [fair_before, fair_after] = [before, after].map(|runs| -> Vec<&Report> {
            runs.iter().copied().filter(|report| !report.was_the_load_the_limit()).collect()
        });
        let unit_of = |runs: usize| match runs {
            _ if how.rounds_alone => Unit::Round,
            MIN_RUNS.. => Unit::Run,
            _ => Unit::None,
        };
        let unit = unit_of(fair_before.len() + fair_after.len());
        let has_too_few = unit != unit_of(before.len() + after.len());
        let (Some(one), Some(two)) = (before.first(), after.first()) else {
            return Self { unit, load_limited: false, notes: Vec::new(), rows: Vec::new() };
        };
        let names = one.contestants.iter().map(|contestant| contestant.name.as_str());
        let subjects: Vec<Subject<'_>> = names
            .filter_map(|name| {
                let all = Sides::of(name, before, after);
                let is_in_both = !all.before.is_empty() && !all.after.is_empty();
                let fair = Sides::of(name, &fair_before, &fair_after);
                is_in_both.then_some(Subject { name, all, fair })
            })
            .collect();
        let mut notes = notes(one, two);
        notes.extend([("before", before), ("after", after)].into_iter().filter_map(comparable::left_out));
        notes.extend(comparable::between(unit));
        let rows = judged::rows(&subjects, how, unit);
        let is_limited = |row: &DiffRow| {
            row.reason.as_deref() == Some(judged::OF_THE_LOAD) || has_too_few && row.p.is_some()
        };
        let load_limited = rows.iter().any(is_limited);
        Self { unit, load_limited, notes, rows }
    }

    /// Counts the figures with that change.
    #[must_use]
    pub fn count(&self, change: ChangeVerdict) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }
}

/// A contestant of both.
struct Subject<'a> {
    name: &'a str,
    /// It in every run.
    all: Sides<'a>,
    /// It in the runs in which the load was not the limit.
    fair: Sides<'a>,
}

impl<'a> Subject<'a> {
    /// The runs that have a figure of the contestant's own.
    const fn sides(&self, metric: &Metric) -> &Sides<'a> {
        if metric.is_timed() { &self.fair } else { &self.all }
    }
}

/// A contestant in some runs, before and after.
struct Sides<'a> {
    before: Vec<&'a Contestant>,
    after: Vec<&'a Contestant>,
}

impl<'a> Sides<'a> {
    fn of(name: &str, before: &[&'a Report], after: &[&'a Report]) -> Self {
        let find = |runs: &[&'a Report]| -> Vec<&'a Contestant> {
            runs.iter().filter_map(|report| report.contestant(name)).collect()
        };
        Self { before: find(before), after: find(after) }
    }

    /// The metrics that are compared.
    fn asked(&self, only: &[Metric]) -> Vec<Metric> {
        let runs: Vec<&Contestant> = self.before.iter().chain(&self.after).copied().collect();
        compared(&runs, only)
    }

    /// The first of each side.
    fn shown(&self) -> Option<(&'a Contestant, &'a Contestant)> {
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
