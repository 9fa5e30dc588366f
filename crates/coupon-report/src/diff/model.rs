//! The findings of a comparison of reports, and how it is made.

use coupon_measure::stats::Estimate;
use serde::Serialize;

use crate::model::Metric;

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
    /// Counts the figures with that change.
    #[must_use]
    pub fn count(&self, change: ChangeVerdict) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }
}
