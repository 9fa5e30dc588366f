//! The figures that are counted: what the machine did between two runs has no part in them.

use coupon_measure::stats::{estimate, judge_by, ratios};

use super::judged::{change, pairs, values};
use super::model::{ChangeVerdict, DiffRow};
use super::sides::Sides;
use super::without_ratio::between_rounds;
use crate::model::{Contestant, Metric};

/// A counted figure, of every run after against every run before.
pub(super) fn row(metric: &Metric, sides: &Sides<'_>, least: f64) -> Option<DiffRow> {
    let mut runs: Vec<Vec<DiffRow>> = sides
        .after
        .iter()
        .map(|after| sides.before.iter().map(|before| of_two(metric, before, after, least)).collect())
        .collect();
    let of_runs: Vec<ChangeVerdict> =
        runs.iter().map(|rows| agreed(rows.iter().map(|row| row.change))).collect();
    // One run that is worse than those before is enough: its count is no chance.
    let found = match of_runs.iter().position(|change| *change == ChangeVerdict::Worse) {
        Some(_) => ChangeVerdict::Worse,
        None => agreed_by_all(&of_runs),
    };
    let at = of_runs.iter().position(|change| *change == found).unwrap_or_default();
    let (number, rows) = (runs.len(), runs.get_mut(at)?);
    let shown = rows.iter().position(|row| row.change == found).unwrap_or_default();
    let mut row = (!rows.is_empty()).then(|| rows.swap_remove(shown))?;
    if found == ChangeVerdict::Undecided && row.change != found {
        row.reason = Some("the runs differ".to_owned());
    }
    row.change = found;
    if found == ChangeVerdict::Worse && number > 1 {
        let run = format!("run {} of {number} after", at + 1);
        row.reason = Some(row.reason.map_or_else(|| run.clone(), |reason| format!("{run}: {reason}")));
    }
    Some(row)
}

/// The change that all of these say, but for those that say nothing.
fn agreed(changes: impl Iterator<Item = ChangeVerdict>) -> ChangeVerdict {
    let told: Vec<ChangeVerdict> = changes.filter(|change| *change != ChangeVerdict::Undecided).collect();
    agreed_by_all(&told)
}

/// The change that every one of these says.
fn agreed_by_all(changes: &[ChangeVerdict]) -> ChangeVerdict {
    match changes {
        [first, rest @ ..] if rest.iter().all(|change| change == first) => *first,
        _ => ChangeVerdict::Undecided,
    }
}

fn of_two(metric: &Metric, before: &Contestant, after: &Contestant, least: f64) -> DiffRow {
    let pairs = pairs(metric, before, after);
    let judgement = judge_by(&ratios(pairs.iter().copied()), least);
    // Chance has no part in a count: what is equal in every round that both have is the same, however few those are.
    let equal = !pairs.is_empty() && pairs.iter().all(|(after, before)| after == before);
    let (change, reason) = match between_rounds(&pairs, metric.more_is_better()) {
        Some(found) => found,
        None if equal => (ChangeVerdict::Same, None),
        None => change(&judgement, metric.more_is_better(), least),
    };
    DiffRow {
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
