//! A series of reports: every figure over time, and the places at which it changed for good.
//!
//! The run is the unit: what a machine does between two runs is in no interval of rounds, and shows in how far runs differ by
//! themselves. [`coupon_measure::stats::changes`] finds places for all figures of a series together, so that in a series in
//! which nothing changed it finds a change with a probability of 5 % at most. Runs that cannot be compared, by the same rules
//! as two reports, are series of their own.

mod figures;
mod series;
mod text;

use std::collections::BTreeSet;

use serde::Serialize;

use coupon_measure::format;
use coupon_measure::stats::Estimate;
use coupon_measure::stats::changes::FEWEST;

use crate::diff::{ChangeVerdict, LEAST};
use crate::model::{Metric, Report};

pub use text::print;
pub(crate) use text::{by, by_chance, cannot_say, sentence};

/// A report, and what people know it by.
#[derive(Debug, Clone)]
pub struct Given {
    /// The name, such as that of its file.
    pub name: String,
    /// The report.
    pub report: Report,
}

/// The way to look at them.
#[derive(Debug, Clone, Copy)]
pub struct HistoryOptions<'a> {
    /// The least change that is called one.
    pub least: f64,
    /// The metrics to look at; all that two reports are compared by if empty.
    pub only: &'a [Metric],
}

impl Default for HistoryOptions<'_> {
    fn default() -> Self {
        Self { least: LEAST, only: &[] }
    }
}

/// Reports over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// The least change that is called one.
    pub least: f64,
    /// Reports that can be compared with each other, by the time of their first.
    pub series: Vec<RunSeries>,
    /// Remarks on the reports that were given.
    pub notes: Vec<String>,
}

/// Reports that can be compared with each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSeries {
    /// The conditions under which all of them measured.
    pub conditions: String,
    /// The differences from the first of the series before, which make this one of its own.
    pub apart: Vec<String>,
    /// The runs, from the first.
    pub runs: Vec<Run>,
    /// True where there are runs enough to find a change of any of its figures.
    pub judged: bool,
    /// True when an audit passed before and the last one fails.
    pub audit_broken: bool,
    /// Every figure that any run has.
    pub figures: Vec<Figures>,
}

/// A run of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The name of its report.
    pub name: String,
    /// The time at which it began, RFC 3339, UTC.
    pub date: String,
    /// False when its audit found a promise broken.
    pub audit_passed: bool,
    /// Versions and kernel that differ from those of the run before.
    pub differs: Vec<String>,
    /// The reason for which its rates and times are left out, if they are.
    pub left_out: Option<String>,
}

/// A figure over the runs of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The contestant.
    pub contestant: String,
    /// The metric as `report.json` names it.
    pub metric: String,
    /// The same for people.
    pub label: String,
    /// Its unit; empty for pure numbers.
    pub unit: &'static str,
    /// True when more of it is better.
    pub more_is_better: bool,
    /// The median over the rounds of each run; `null` where a run has none.
    pub points: Vec<Option<Estimate>>,
    /// The places at which it changed, from the first.
    pub changes: Vec<LastingChange>,
}

/// A change of a figure that lasted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastingChange {
    /// The first run after it, by its index in the series.
    pub at: usize,
    /// The median of the runs before it, from the change before.
    pub before: f64,
    /// The median of the runs after it, up to the next change.
    pub after: f64,
    /// After ÷ before; `null` where one of them is 0.
    pub ratio: Option<f64>,
    /// The probability of as clear a change of any figure if nothing changed.
    pub p: f64,
    /// `better` or `worse`.
    pub change: ChangeVerdict,
}

impl History {
    /// Puts reports in the order of their times, parts them into series, and looks for changes.
    ///
    /// # Errors
    /// When a report does not say when it was made.
    pub fn of(given: Vec<Given>, how: &HistoryOptions<'_>) -> anyhow::Result<Self> {
        let (given, notes) = series::in_order(given)?;
        let parted = series::parted(given);
        let first_of_before = std::iter::once(None).chain(parted.iter().map(|runs| runs.first()));
        let series =
            first_of_before.zip(&parted).map(|(before, runs)| RunSeries::of(before, runs, how)).collect();
        Ok(Self { least: how.least, series, notes })
    }

    /// True when a figure of any series is worse since its last change, or an audit fails that passed before.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.series.iter().any(|series| series.audit_broken || series.worse().next().is_some())
    }

    /// True when every series has runs enough to find a change of any of its figures.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        !self.series.is_empty() && self.series.iter().all(|series| series.judged)
    }
}

impl Figures {
    /// True where runs enough have it to find a change.
    pub(crate) fn is_judged(&self) -> bool {
        self.points.iter().flatten().count() >= FEWEST
    }
}

impl RunSeries {
    fn of(before: Option<&Given>, runs: &[Given], how: &HistoryOptions<'_>) -> Self {
        let reports: Vec<&Report> = runs.iter().map(|run| &run.report).collect();
        let figures = figures::all(&reports, how);
        Self {
            conditions: reports.first().map(|report| series::conditions(&report.meta)).unwrap_or_default(),
            apart: before.zip(runs.first()).map(|(one, two)| series::apart(one, two)).unwrap_or_default(),
            runs: series::runs(runs),
            judged: runs.len() >= FEWEST && figures.iter().all(Figures::is_judged),
            audit_broken: figures::audit_broken(&reports),
            figures,
        }
    }

    /// True where there are runs enough to find a change of a figure that all of them have.
    pub(crate) fn has_runs_enough(&self) -> bool {
        self.runs.len() >= FEWEST
    }

    /// The figures that too few of its runs have.
    pub(crate) fn not_judged(&self) -> impl Iterator<Item = &Figures> {
        self.figures.iter().filter(|figures| !figures.is_judged())
    }

    /// The number of its runs, and their times.
    pub(crate) fn span(&self) -> String {
        let date = |run: Option<&Run>| run.map(|run| run.date.clone()).unwrap_or_default();
        let runs = format::counted(self.runs.len() as u64, "run");
        format!("{runs}, {} to {}", date(self.runs.first()), date(self.runs.last()))
    }

    /// The figures whose last change was for the worse.
    pub fn worse(&self) -> impl Iterator<Item = (&Figures, &LastingChange)> {
        let last = self.figures.iter().filter_map(|figures| Some((figures, figures.changes.last()?)));
        last.filter(|(_, changed)| changed.change == ChangeVerdict::Worse)
    }

    /// The runs that begin with a change of any figure, from the first.
    pub(crate) fn places(&self) -> Vec<usize> {
        let all = self.figures.iter().flat_map(|figures| &figures.changes).map(|changed| changed.at);
        all.collect::<BTreeSet<usize>>().into_iter().collect()
    }

    /// The figures that change at a place.
    pub(crate) fn changes_at(&self, at: usize) -> impl Iterator<Item = (&Figures, &LastingChange)> {
        self.figures.iter().filter_map(move |figures| {
            Some((figures, figures.changes.iter().find(|changed| changed.at == at)?))
        })
    }
}
