//! Figures over runs, and what changed in them.

use coupon_measure::stats::changes::{ChangePoint, places};
use coupon_measure::stats::{BEYOND, Estimate, estimate};

use super::{Figures, HistoryOptions, LastingChange};
use crate::diff::{ChangeVerdict, FAILED, LEAST_SPREAD, compared, values};
use crate::model::{Contestant, Metric, Report};

/// Orders are drawn by a fixed seed: the same reports have the same changes.
const SEED: u64 = 1;

/// Every figure that two reports would be compared by, of every contestant that any has.
pub(super) fn all(reports: &[&Report], how: &HistoryOptions<'_>) -> Vec<Figures> {
    let (metrics, mut figures): (Vec<Metric>, Vec<Figures>) =
        names(reports).into_iter().flat_map(|name| of_contestant(reports, name, how)).unzip();
    let levels: Vec<Vec<Option<f64>>> =
        metrics.iter().zip(&figures).map(|(metric, of)| levels(metric, &of.points)).collect();
    let places = places(&levels, LEAST_SPREAD, SEED);
    for ((metric, of), own) in metrics.iter().zip(&mut figures).zip(places) {
        of.changes = kept(metric, &of.points, own, how.least);
    }
    figures
}

/// True when an audit passed before and the last one fails.
pub(super) fn audit_broken(reports: &[&Report]) -> bool {
    let passed = |report: &&Report| report.audit.sums.passed();
    reports.last().is_some_and(|last| !passed(last)) && reports.iter().any(passed)
}

/// The contestants of all reports, in the order in which they come up.
fn names<'a>(reports: &[&'a Report]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for contestant in reports.iter().flat_map(|report| &report.contestants) {
        if !names.contains(&contestant.name.as_str()) {
            names.push(&contestant.name);
        }
    }
    names
}

fn of_contestant(reports: &[&Report], name: &str, how: &HistoryOptions<'_>) -> Vec<(Metric, Figures)> {
    let runs: Vec<&Contestant> = reports.iter().filter_map(|report| report.contestant(name)).collect();
    let figures = |metric: Metric| {
        let points = reports.iter().map(|report| point(report, name, &metric)).collect();
        let figures = Figures {
            contestant: name.to_owned(),
            metric: metric.to_string(),
            label: metric.label(),
            unit: metric.unit(),
            more_is_better: metric.more_is_better(),
            points,
            changes: Vec::new(),
        };
        (metric, figures)
    };
    compared(&runs, how.only).into_iter().map(figures).collect()
}

/// A report's figure; none where the load, and no contestant, made it.
fn point(report: &Report, name: &str, metric: &Metric) -> Option<Estimate> {
    if metric.is_timed() && report.was_the_load_the_limit() {
        return None;
    }
    let contestant = report.contestant(name)?;
    if is_failures(metric) {
        let (failed, all) = metric.failures(&contestant.rounds);
        return estimate(&[(all > 0).then(|| 100.0 * failed as f64 / all as f64)?]);
    }
    estimate(&values(metric, contestant))
}

const fn is_failures(metric: &Metric) -> bool {
    matches!(metric, Metric::Errors | Metric::ErrorsOf { .. })
}

/// The logarithms of the medians, in which equal ratios are equal steps. A difference too small to notice is added to
/// each, so that close to nothing it makes no great step; and nothing at all is as far as any ratio goes.
fn levels(metric: &Metric, points: &[Option<Estimate>]) -> Vec<Option<f64>> {
    let unnoticed = if is_failures(metric) { FAILED } else { metric.least_apart() };
    let most = points.iter().flatten().map(|point| point.median).fold(0.0, f64::max);
    let floor = if most > 0.0 { most / BEYOND } else { 1.0 };
    let level = |point: &Estimate| (point.median + unnoticed).max(floor).ln();
    points.iter().map(|point| point.as_ref().map(level)).collect()
}

/// The changes that are large enough to matter between what was before and what came after, each up to the next.
fn kept(
    metric: &Metric,
    points: &[Option<Estimate>],
    mut own: Vec<ChangePoint>,
    least: f64,
) -> Vec<LastingChange> {
    loop {
        let sides: Vec<Option<(f64, f64)>> = (0..own.len()).map(|nth| sides(points, &own, nth)).collect();
        let sizes = sides.iter().map(|sides| sides.map_or(0.0, |sides| size(metric, sides, least)));
        let smallest = sizes.enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other));
        match smallest {
            // What is left of its sides has other neighbours then.
            Some((nth, size)) if size < 1.0 => {
                own.remove(nth);
            }
            _ => {
                let told =
                    own.iter().zip(sides).filter_map(|(place, sides)| Some(changed(metric, *place, sides?)));
                return told.collect();
            }
        }
    }
}

/// The medians of the runs before a place and after it, up to the next on either side.
fn sides(points: &[Option<Estimate>], own: &[ChangePoint], nth: usize) -> Option<(f64, f64)> {
    let at = own.get(nth)?.at;
    let from = nth.checked_sub(1).and_then(|before| own.get(before)).map_or(0, |place| place.at);
    let until = own.get(nth + 1).map_or(points.len(), |place| place.at);
    let median = |points: &[Option<Estimate>]| -> Option<f64> {
        let medians: Vec<f64> = points.iter().flatten().map(|point| point.median).collect();
        Some(estimate(&medians)?.median)
    };
    Some((median(points.get(from..at)?)?, median(points.get(at..until)?)?))
}

/// The size of a change: 1 for the least that matters.
fn size(metric: &Metric, (before, after): (f64, f64), least: f64) -> f64 {
    let apart = (after - before).abs();
    if is_failures(metric) {
        return apart / FAILED;
    }
    let (less, more) = (before.min(after), before.max(after));
    let enough = |of: f64, least: f64| if least > 0.0 { of / least } else { f64::INFINITY };
    match (less > 0.0, more > 0.0) {
        (_, false) => 0.0,
        (false, true) => f64::INFINITY,
        (true, true) => enough(more / less - 1.0, least).min(enough(apart, metric.least_apart())),
    }
}

fn changed(
    metric: &Metric,
    ChangePoint { at, p }: ChangePoint,
    (before, after): (f64, f64),
) -> LastingChange {
    let better = (after > before) == metric.more_is_better();
    LastingChange {
        at,
        before,
        after,
        ratio: (before > 0.0 && after > 0.0).then(|| after / before),
        p,
        change: if better { ChangeVerdict::Better } else { ChangeVerdict::Worse },
    }
}
