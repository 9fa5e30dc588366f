//! The figures of two sides, judged.

use coupon_measure::format;
use coupon_measure::stats::{
    Comparison, ERROR, Judged, Judgement, Least, estimate, holm, judge_by, judge_family, ratios, student,
};

use super::{Change, FAILED, How, Row, Sides, Unit, metrics};
use crate::model::{Contestant, Metric};

/// Runs never differ by less than this, as a part: a few that happen to agree are not sure of anything.
const LEAST_SPREAD: f64 = 0.01;

/// A figure that is timed, before it is judged.
struct Timed<'a> {
    metric: Metric,
    sides: &'a Sides<'a>,
    pairs: Vec<(f64, f64)>,
}

/// Every figure of every contestant, in their order.
pub(super) fn rows(sides: &[Sides<'_>], how: &How<'_>, unit: Unit) -> Vec<Row> {
    let mut rows: Vec<Option<Row>> = Vec::new();
    let mut timed: Vec<(usize, Timed<'_>)> = Vec::new();
    for of in sides {
        let Some((before, after)) = of.shown() else { continue };
        for metric in asked(before, after, how.only) {
            let drifts = !metric.is_counted() && !matches!(metric, Metric::Errors | Metric::ErrorsOf { .. });
            if drifts {
                timed.push((rows.len(), Timed::of(metric, of)));
                rows.push(None);
            } else {
                rows.push(Some(counted(&metric, before, after, how.least)));
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

/// The metrics that either has a figure of.
fn asked(before: &Contestant, after: &Contestant, only: &[Metric]) -> Vec<Metric> {
    let mut metrics = if only.is_empty() { metrics(before, after) } else { only.to_vec() };
    // What neither has, such as rows stored a second on files, is nothing to tell.
    let has =
        |of: &Contestant, metric: &Metric| of.rounds.iter().any(|round| metric.read(round).value().is_some());
    metrics.retain(|metric| has(before, metric) || has(after, metric));
    metrics
}

impl<'a> Timed<'a> {
    fn of(metric: Metric, sides: &'a Sides<'a>) -> Self {
        let pairs = sides.shown().map(|(before, after)| pairs(&metric, before, after)).unwrap_or_default();
        Self { metric, sides, pairs }
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

    fn row(&self, ratio: Judgement, p: Option<f64>, (change, reason): (Change, Option<String>)) -> Row {
        let known = to_or_from_nothing(&self.pairs, self.metric.more_is_better());
        let (change, reason) = known.unwrap_or((change, reason));
        let [before, after] = [&self.sides.before, &self.sides.after].map(|side| match side.as_slice() {
            [only] => estimate(&values(&self.metric, only)),
            runs => estimate(&runs.iter().filter_map(|run| median(&self.metric, run)).collect::<Vec<_>>()),
        });
        Row {
            contestant: self.sides.before.first().map(|of| of.name.clone()).unwrap_or_default(),
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

fn values(metric: &Metric, contestant: &Contestant) -> Vec<f64> {
    contestant.rounds.iter().filter_map(|round| metric.read(round).value()).collect()
}

fn median(metric: &Metric, contestant: &Contestant) -> Option<f64> {
    Some(estimate(&values(metric, contestant))?.median)
}

/// After and before, by round.
fn pairs(metric: &Metric, before: &Contestant, after: &Contestant) -> Vec<(f64, f64)> {
    let pairs = after.rounds.iter().filter_map(|round| {
        let earlier = before.rounds.iter().find(|earlier| earlier.index == round.index)?;
        Some((metric.read(round).value()?, metric.read(earlier).value()?))
    });
    pairs.collect()
}

/// All figures by rounds, corrected together. What they say is only what it looks like, unless it is to be trusted.
fn by_rounds(timed: &[Timed<'_>], least: f64, trusted: bool) -> Vec<Row> {
    let comparisons: Vec<Comparison> = timed
        .iter()
        .map(|one| Comparison { ratios: ratios(one.pairs.iter().copied()), least: one.least(least) })
        .collect();
    let judged = judge_family(&comparisons);
    timed
        .iter()
        .zip(judged)
        .map(|(one, Judged { judgement, p, .. })| {
            let (found, reason) = change(&judgement, one.metric.more_is_better(), least);
            let found = match found {
                Change::Better if !trusted => Change::LooksBetter,
                Change::Worse if !trusted => Change::LooksWorse,
                other => other,
            };
            one.row(judgement, p, (found, reason))
        })
        .collect()
}

/// All figures by runs, corrected together.
fn by_runs(timed: &[Timed<'_>], least: f64) -> Vec<Row> {
    let medians = |one: &Timed<'_>, side: &[&Contestant]| -> Vec<f64> {
        let medians = side.iter().filter_map(|run| median(&one.metric, run)).filter(|median| *median > 0.0);
        medians.map(f64::ln).collect()
    };
    let logs: Vec<(Vec<f64>, Vec<f64>)> =
        timed.iter().map(|one| (medians(one, &one.sides.before), medians(one, &one.sides.after))).collect();
    let chances: Vec<f64> =
        logs.iter().map(|(before, after)| student::of_two(after, before, LEAST_SPREAD)).collect();
    timed
        .iter()
        .zip(logs)
        .zip(holm(&chances))
        .map(|((one, (before, after)), p)| {
            let mean = |logs: &[f64]| logs.iter().sum::<f64>() / logs.len() as f64;
            let ratio = (mean(&after) - mean(&before)).exp();
            let apart = (mean(&after).exp() - mean(&before).exp()).abs() >= one.metric.least_apart();
            let far = ratio >= 1.0 + least || ratio <= 1.0 / (1.0 + least);
            let judgement = judge_by(&ratios(one.pairs.iter().copied()), least);
            let better = (ratio > 1.0) == one.metric.more_is_better();
            let change = match (p <= ERROR && far && apart, better) {
                (true, true) => Change::Better,
                (true, false) => Change::Worse,
                (false, _) => Change::Undecided,
            };
            let runs = format::counted((before.len() + after.len()) as u64, "run");
            let reason = Some(format!("{} over {runs}", format::times(ratio)));
            one.row(judgement, Some(p), (change, reason))
        })
        .collect()
}

/// A figure that is counted: what the machine did has no part in it.
fn counted(metric: &Metric, before: &Contestant, after: &Contestant, least: f64) -> Row {
    if matches!(metric, Metric::Errors | Metric::ErrorsOf { .. }) {
        return errors(metric, before, after);
    }
    let pairs = pairs(metric, before, after);
    let judgement = judge_by(&ratios(pairs.iter().copied()), least);
    let (change, reason) = to_or_from_nothing(&pairs, metric.more_is_better())
        .unwrap_or_else(|| change(&judgement, metric.more_is_better(), least));
    Row {
        contestant: before.name.clone(),
        metric: metric.to_string(),
        label: metric.label(),
        unit: metric.unit(),
        before: estimate(&values(metric, before)),
        after: estimate(&values(metric, after)),
        ratio: judgement.ratio().cloned(),
        p: None,
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
        p: None,
        change,
        reason: None,
    }
}
