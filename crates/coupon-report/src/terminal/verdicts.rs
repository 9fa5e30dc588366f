//! The contestants ahead of others, by metric.

use std::io;

use coupon_measure::format::{self, number};
use coupon_measure::stats::MIN_ROUNDS;

use super::text::Page;
use crate::model::{Call, Metric, Report, Verdict};
use crate::summarise::inverse;

/// One line for each contestant that is ahead of another by a metric, then the metrics without a difference.
///
/// Fan-out is counted, not timed, and stands in the contestants' tables; cures have a section of their own.
pub(super) fn print(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let plain = report.contestants.iter().filter(|contestant| report.is_plain(contestant));
    let names: Vec<&str> = plain.map(|contestant| contestant.name.as_str()).collect();
    let among = |name: &str| names.contains(&name);
    let verdicts: Vec<&Verdict> =
        report.verdicts.iter().filter(|v| !v.metric.is_fan_out() && among(&v.a) && among(&v.b)).collect();
    let mut metrics: Vec<&Metric> = verdicts.iter().map(|verdict| &verdict.metric).collect();
    metrics.dedup();
    let (mut same, mut too_few) = (Vec::new(), Vec::new());
    for metric in metrics {
        let of: Vec<&Verdict> =
            verdicts.iter().copied().filter(|verdict| verdict.metric == *metric).collect();
        if of.iter().any(|verdict| verdict.call == Call::Difference) {
            differences(report, metric, &of, &names, page)?;
        } else if of.iter().any(|verdict| verdict.call == Call::NoDifference) {
            same.push(metric.label());
        } else if of.iter().all(|verdict| verdict.call == Call::TooFewRounds) {
            too_few.push(metric.label());
        }
    }
    if !same.is_empty() {
        page.wrapped(&format!("No difference in: {}.", same.join(", ")), 0, 2)?;
    }
    let withheld: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.call == Call::Withheld)
        .map(|verdict| verdict.metric.label())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if !withheld.is_empty() {
        page.wrapped(&format!("Withheld, for the doubts above: {}.", withheld.join(", ")), 0, 2)?;
    }
    let judged = verdicts.iter().any(|verdict| verdict.call != Call::TooFewRounds);
    if !judged {
        page.wrapped(&format!("None: a verdict takes {MIN_ROUNDS} rounds in common."), 0, 2)?;
    } else if !too_few.is_empty() {
        let few = too_few.join(", ");
        page.wrapped(&format!("Fewer than {MIN_ROUNDS} rounds have figures for: {few}."), 0, 2)?;
    }
    Ok(())
}

fn differences(
    report: &Report,
    metric: &Metric,
    verdicts: &[&Verdict],
    names: &[&str],
    page: &mut Page<'_>,
) -> io::Result<()> {
    page.bold(&metric.label())?;
    for name in names {
        let ahead: Vec<String> =
            verdicts.iter().filter(|v| v.better.as_deref() == Some(name)).filter_map(|v| margin(v)).collect();
        let Some(median) = report.contestant(name).and_then(|contestant| contestant.median(metric)) else {
            continue;
        };
        if !ahead.is_empty() {
            let unit = metric.unit();
            let shown = if unit.is_empty() { format::plain(median) } else { number(median) };
            let space = if unit == "ms" { " " } else { "" };
            page.wrapped(&format!("{name} ({shown}{space}{unit}) is ahead of {}", ahead.join(", ")), 2, 4)?;
        }
    }
    Ok(())
}

/// `hash by 3.1× (2.8×–3.4×)`.
fn margin(verdict: &Verdict) -> Option<String> {
    let ratio = verdict.ratio.as_ref()?;
    let ratio = if ratio.median < 1.0 { inverse(ratio) } else { ratio.clone() };
    let worse = verdict.worse.as_deref()?;
    Some(format!("{worse} by {}", format::ratio(&ratio)))
}
