//! The figures of two sides, judged.

use coupon_measure::format;
use coupon_measure::stats::{
    Comparison, ERROR, Judged, Judgement, Least, estimate, holm, judge_by, judge_family, ratios, student,
};

use super::model::{ChangeVerdict, DiffOptions, DiffRow, Unit};
use super::sides::{Sides, Subject};
use super::without_ratio::{between_rounds, between_runs};
use super::{counted, failures};
use crate::model::{Contestant, Metric};

/// Runs never differ by less than this, as a part: a few that happen to agree are not sure of anything.
pub(crate) const LEAST_SPREAD: f64 = 0.01;

/// The reason of a figure that only the load has a part in.
pub(super) const OF_THE_LOAD: &str = "the load was the limit";

/// A figure that is timed, before it is judged.
struct Timed<'a> {
    name: &'a str,
    metric: Metric,
    sides: &'a Sides<'a>,
    pairs: Vec<(f64, f64)>,
}

/// Every figure of every contestant, in their order.
pub(super) fn rows(subjects: &[Subject<'_>], how: &DiffOptions<'_>, unit: Unit) -> Vec<DiffRow> {
    let mut rows: Vec<Option<DiffRow>> = Vec::new();
    let mut timed: Vec<(usize, Timed<'_>)> = Vec::new();
    for of in subjects {
        for metric in of.all.asked(how.only) {
            let sides = of.sides(&metric);
            if matches!(metric, Metric::Errors | Metric::ErrorsOf { .. }) {
                rows.push(Some(failures::row(&metric, sides)));
            } else if metric.is_counted() {
                rows.push(counted::row(&metric, sides, how.least));
            } else if sides.shown().is_none() {
                rows.push(Some(of_the_load(of.name, &metric)));
            } else {
                timed.push((rows.len(), Timed::of(of.name, metric, sides)));
                rows.push(None);
            }
        }
    }
    let (places, timed): (Vec<usize>, Vec<Timed<'_>>) = timed.into_iter().unzip();
    let judged = match unit {
        Unit::Run => by_runs(&timed, how.least),
        Unit::Round | Unit::None => by_rounds(&timed, how.least, unit == Unit::Round),
    };
    for (place, row) in places.into_iter().zip(judged) {
        if let Some(empty) = rows.get_mut(place) {
            *empty = Some(row);
        }
    }
    rows.into_iter().flatten().collect()
}

/// A figure of which one side has no run whose limit was not the load.
fn of_the_load(name: &str, metric: &Metric) -> DiffRow {
    DiffRow {
        contestant: name.to_owned(),
        metric: metric.to_string(),
        label: metric.label(),
        unit: metric.unit(),
        before: None,
        after: None,
        ratio: None,
        p: None,
        change: ChangeVerdict::Undecided,
        reason: Some(OF_THE_LOAD.to_owned()),
    }
}

impl<'a> Timed<'a> {
    fn of(name: &'a str, metric: Metric, sides: &'a Sides<'a>) -> Self {
        let pairs = sides.shown().map(|(before, after)| pairs(&metric, before, after)).unwrap_or_default();
        Self { name, metric, sides, pairs }
    }

    fn least(&self, least: f64) -> Least {
        let medians = self
            .sides
            .shown()
            .and_then(|(before, after)| Some((median(&self.metric, after)?, median(&self.metric, before)?)));
        medians.map_or(Least::ratio(least), |medians| {
            Least::ratio(least).and_apart(medians, self.metric.least_apart())
        })
    }

    fn row(
        &self,
        ratio: &Judgement,
        p: Option<f64>,
        (change, reason): (ChangeVerdict, Option<String>),
    ) -> DiffRow {
        let [before, after] = [&self.sides.before, &self.sides.after].map(|side| match side.as_slice() {
            [only] => estimate(&values(&self.metric, only)),
            runs => estimate(&runs.iter().filter_map(|run| median(&self.metric, run)).collect::<Vec<_>>()),
        });
        DiffRow {
            contestant: self.name.to_owned(),
            metric: self.metric.to_string(),
            label: self.metric.label(),
            unit: self.metric.unit(),
            before,
            after,
            ratio: ratio.ratio().cloned(),
            p,
            change,
            reason,
        }
    }
}

pub(crate) fn values(metric: &Metric, contestant: &Contestant) -> Vec<f64> {
    contestant.rounds.iter().filter_map(|round| metric.read(round).value()).collect()
}

fn median(metric: &Metric, contestant: &Contestant) -> Option<f64> {
    Some(estimate(&values(metric, contestant))?.median)
}

/// After and before, by round.
pub(super) fn pairs(metric: &Metric, before: &Contestant, after: &Contestant) -> Vec<(f64, f64)> {
    let pairs = after.rounds.iter().filter_map(|round| {
        let earlier = before.rounds.iter().find(|earlier| earlier.index == round.index)?;
        Some((metric.read(round).value()?, metric.read(earlier).value()?))
    });
    pairs.collect()
}

/// All figures by rounds, corrected together. What they say is only what it looks like, unless it is to be trusted.
fn by_rounds(timed: &[Timed<'_>], least: f64, trusted: bool) -> Vec<DiffRow> {
    let comparisons: Vec<Comparison> = timed
        .iter()
        .map(|one| Comparison { ratios: ratios(one.pairs.iter().copied()), least: one.least(least) })
        .collect();
    let judged = judge_family(&comparisons);
    timed
        .iter()
        .zip(judged)
        .map(|(one, Judged { judgement, p, .. })| {
            let more_is_better = one.metric.more_is_better();
            let (found, reason) = between_rounds(&one.pairs, more_is_better)
                .unwrap_or_else(|| change(&judgement, more_is_better, least));
            let found = match found {
                ChangeVerdict::Better if !trusted => ChangeVerdict::LooksBetter,
                ChangeVerdict::Worse if !trusted => ChangeVerdict::LooksWorse,
                other => other,
            };
            one.row(&judgement, p, (found, reason))
        })
        .collect()
}

/// All figures by runs, corrected together.
fn by_runs(timed: &[Timed<'_>], least: f64) -> Vec<DiffRow> {
    let runs: Vec<ByRun> = timed.iter().map(ByRun::of).collect();
    let chances: Vec<f64> = runs.iter().map(ByRun::chance).collect();
    timed
        .iter()
        .zip(&runs)
        .zip(holm(&chances))
        .map(|((one, runs), p)| {
            let found = between_runs(&runs.after, &runs.before, one.metric.more_is_better())
                .unwrap_or_else(|| runs.change(&one.metric, p, least));
            one.row(&judge_by(&ratios(one.pairs.iter().copied()), least), Some(p), found)
        })
        .collect()
}

/// The medians of runs.
struct ByRun {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl ByRun {
    fn of(timed: &Timed<'_>) -> Self {
        let medians = |side: &[&Contestant]| -> Vec<f64> {
            side.iter().filter_map(|run| median(&timed.metric, run)).collect()
        };
        Self { before: medians(&timed.sides.before), after: medians(&timed.sides.after) }
    }

    /// Their logarithms, before and after.
    fn logs(&self) -> [Vec<f64>; 2] {
        [&self.before, &self.after]
            .map(|side| side.iter().filter(|median| **median > 0.0).map(|median| median.ln()).collect())
    }

    /// The probability of as large a change if nothing has changed.
    fn chance(&self) -> f64 {
        let [before, after] = self.logs();
        student::of_two(&after, &before, LEAST_SPREAD)
    }

    fn change(&self, metric: &Metric, p: f64, least: f64) -> (ChangeVerdict, Option<String>) {
        let [before, after] = self.logs().map(|logs| logs.iter().sum::<f64>() / logs.len() as f64);
        let ratio = (after - before).exp();
        let apart = (after.exp() - before.exp()).abs() >= metric.least_apart();
        let far = ratio >= 1.0 + least || ratio <= 1.0 / (1.0 + least);
        let better = (ratio > 1.0) == metric.more_is_better();
        let change = match (p <= ERROR && far && apart, better) {
            (true, true) => ChangeVerdict::Better,
            (true, false) => ChangeVerdict::Worse,
            (false, _) => ChangeVerdict::Undecided,
        };
        let runs = format::counted((self.before.len() + self.after.len()) as u64, "run");
        (change, Some(format!("{} over {runs}", format::times(ratio))))
    }
}

/// The verdict of a judgement on a figure, and a reason where there is one.
pub(super) fn change(
    judgement: &Judgement,
    more_is_better: bool,
    least: f64,
) -> (ChangeVerdict, Option<String>) {
    match judgement {
        Judgement::More(_) => {
            (if more_is_better { ChangeVerdict::Better } else { ChangeVerdict::Worse }, None)
        }
        Judgement::Less(_) => {
            (if more_is_better { ChangeVerdict::Worse } else { ChangeVerdict::Better }, None)
        }
        Judgement::NoDifference(ratio) if ratio.low > 1.0 / (1.0 + least) && ratio.high < 1.0 + least => {
            (ChangeVerdict::Same, None)
        }
        Judgement::NoDifference(_) => (ChangeVerdict::Undecided, None),
        Judgement::TooFewRounds(ratio) => {
            let n = ratio.as_ref().map_or(0, |ratio| ratio.n);
            (ChangeVerdict::Undecided, Some(format!("{} in common", format::counted(n as u64, "round"))))
        }
    }
}
