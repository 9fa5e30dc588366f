//! Two reports side by side: what became better, what became worse, and what cannot be told.
//!
//! A round of the one is held against the round of the same index of the other: with the same seed both had the same
//! requests at the same times. The ratios are judged as those of two contestants are ([`coupon_measure::stats`]). What they cannot
//! show is what the machine did between the two runs, which is in every round of one and in none of the other: a
//! difference is therefore called from [`LEAST`] on, twice what contestants of one run take.

mod comparable;
mod text;

use std::collections::BTreeSet;

use serde::Serialize;

pub use comparable::{notes, obstacles};
pub use text::print;

use coupon_measure::format;
use coupon_measure::stats::{Estimate, Judgement, estimate, judge_by, ratios};

use super::endpoints;
use super::model::{Contestant, Metric, Report};
use super::summarise::endpoints_of;

/// The least difference that is called one, unless something else is asked for.
pub const LEAST: f64 = 0.1;
/// The percent of requests from which on more or fewer failures are a difference.
const FAILED: f64 = 0.1;

/// The change of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Its interval excludes "no change", and the change is large enough to matter, for the better.
    Better,
    /// Likewise, for the worse.
    Worse,
    /// The whole interval is too small a change to matter.
    Same,
    /// Neither was shown: it takes more rounds, or a quieter machine.
    Undecided,
}

/// A figure before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
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
    /// The judgement on the ratio.
    pub change: Change,
    /// The reason why there is no judgement, if there is none.
    pub reason: Option<String>,
}

/// Two reports side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Reservations about the comparison.
    pub notes: Vec<String>,
    /// Every figure that both have.
    pub rows: Vec<Row>,
}

impl Diff {
    /// Holds one report against an earlier one, by every metric or by these only.
    #[must_use]
    pub fn of(before: &Report, after: &Report, least: f64, only: &[Metric]) -> Self {
        let pairs = before.contestants.iter().filter_map(|one| Some((one, after.contestant(&one.name)?)));
        let rows = pairs.flat_map(|(one, two)| contestant(one, two, least, only)).collect();
        Self { notes: notes(before, after), rows }
    }

    /// Counts the figures with that change.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }
}

fn contestant(before: &Contestant, after: &Contestant, least: f64, only: &[Metric]) -> Vec<Row> {
    let mut metrics = if only.is_empty() { metrics(before, after) } else { only.to_vec() };
    // What neither has, such as rows stored a second on files, is nothing to tell.
    let has =
        |of: &Contestant, metric: &Metric| of.rounds.iter().any(|round| metric.read(round).value().is_some());
    metrics.retain(|metric| has(before, metric) || has(after, metric));
    let rows = metrics.iter().map(|metric| match metric {
        Metric::Errors | Metric::ErrorsOf { .. } => errors(metric, before, after),
        _ => row(metric, before, after, least),
    });
    rows.collect()
}

/// The part of requests that failed, and those that contestants are compared by.
fn metrics(before: &Contestant, after: &Contestant) -> Vec<Metric> {
    let mut metrics = Metric::of_service().to_vec();
    metrics.extend(endpoints_of([before, after]).iter().flat_map(|endpoint| Metric::of_endpoint(endpoint)));
    let scenarios = before.rounds.iter().chain(&after.rounds).flat_map(|round| round.scenarios.keys());
    let scenarios: BTreeSet<&String> = scenarios.collect();
    metrics.extend(scenarios.into_iter().flat_map(|scenario| Metric::of_scenario(scenario)));
    let has_spread = before.shards > 1;
    metrics.retain(|metric| match metric {
        Metric::EffectiveShards | Metric::EffectiveShardsByCpu => has_spread,
        Metric::Shards { endpoint } | Metric::Tables { endpoint } => endpoints::has_plan(endpoint),
        Metric::Errors => true,
        _ => metric.is_compared(),
    });
    metrics
}

fn row(metric: &Metric, before: &Contestant, after: &Contestant, least: f64) -> Row {
    let of = |contestant: &Contestant| -> Vec<f64> {
        contestant.rounds.iter().filter_map(|round| metric.read(round).value()).collect()
    };
    let pairs = after.rounds.iter().filter_map(|round| {
        let earlier = before.rounds.iter().find(|earlier| earlier.index == round.index)?;
        Some((metric.read(round).value()?, metric.read(earlier).value()?))
    });
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let judgement = judge_by(&ratios(pairs.iter().copied()), least);
    let (change, reason) = to_or_from_nothing(&pairs, metric.more_is_better())
        .unwrap_or_else(|| change(&judgement, metric.more_is_better(), least));
    Row {
        contestant: before.name.clone(),
        metric: metric.to_string(),
        label: metric.label(),
        unit: metric.unit(),
        before: estimate(&of(before)),
        after: estimate(&of(after)),
        ratio: judgement.ratio().cloned(),
        change,
        reason,
    }
}

/// A figure that is nothing in rounds of one report alone has no ratio there, and is the greatest change of all.
fn to_or_from_nothing(pairs: &[(f64, f64)], more_is_better: bool) -> Option<(Change, Option<String>)> {
    let rounds = |is: fn(&&(f64, f64)) -> bool| pairs.iter().filter(is).count();
    let (gone, come) = (
        rounds(|(after, before)| *after == 0.0 && *before > 0.0),
        rounds(|(after, before)| *after > 0.0 && *before == 0.0),
    );
    let most = |some: usize| 2 * some > pairs.len();
    let change = match (most(gone), most(come)) {
        _ if gone + come == 0 => return None,
        (true, _) => {
            if more_is_better {
                Change::Worse
            } else {
                Change::Better
            }
        }
        (_, true) => {
            if more_is_better {
                Change::Better
            } else {
                Change::Worse
            }
        }
        _ => Change::Undecided,
    };
    let of = |some: usize, when: &str| {
        (some > 0)
            .then(|| format!("nothing {when} in {some} of {}", format::counted(pairs.len() as u64, "round")))
    };
    let told: Vec<String> = [of(gone, "after"), of(come, "before")].into_iter().flatten().collect();
    Some((change, Some(told.join(", "))))
}

fn change(judgement: &Judgement, more_is_better: bool, least: f64) -> (Change, Option<String>) {
    match judgement {
        Judgement::More(_) => (if more_is_better { Change::Better } else { Change::Worse }, None),
        Judgement::Less(_) => (if more_is_better { Change::Worse } else { Change::Better }, None),
        Judgement::NoDifference(ratio) if ratio.low > 1.0 / (1.0 + least) && ratio.high < 1.0 + least => {
            (Change::Same, None)
        }
        Judgement::NoDifference(_) => (Change::Undecided, None),
        Judgement::TooFewRounds(ratio) => {
            let n = ratio.as_ref().map_or(0, |ratio| ratio.n);
            (Change::Undecided, Some(format!("{} in common", format::counted(n as u64, "round"))))
        }
    }
}

/// The part of requests that failed, over all rounds. Often there is none in either, so that it has no ratio.
fn errors(metric: &Metric, before: &Contestant, after: &Contestant) -> Row {
    let [earlier, later] = [before, after].map(|of| metric.over(&of.rounds).0.value());
    let change = match later.zip(earlier).map(|(later, earlier)| later - earlier) {
        None => Change::Undecided,
        Some(more) if more >= FAILED => Change::Worse,
        Some(less) if less <= -FAILED => Change::Better,
        Some(_) => Change::Same,
    };
    let of_all = |part: Option<f64>| estimate(part.as_slice());
    Row {
        contestant: before.name.clone(),
        metric: metric.to_string(),
        label: metric.label(),
        unit: metric.unit(),
        before: of_all(earlier),
        after: of_all(later),
        ratio: None,
        change,
        reason: None,
    }
}
