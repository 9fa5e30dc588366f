//! From rounds to conclusions. Everything here is made of the report's own figures; no strategy is known by name.

mod advice;
mod answer;
mod baseline;
mod cautions;
mod cures;
mod doubts;
mod figures;
mod mix;
mod needs;
mod positions;
mod shapes;
mod standing;
mod verdicts;

use super::model::{AuditTotals, Report};

pub(crate) use figures::{endpoints_of, median_shares, scenarios_of};
pub(crate) use needs::candidates;
pub(crate) use verdicts::inverse;

/// Fills everything that follows from the rounds: work by shard, summaries, doubts, verdicts, shapes,
/// needs, audit totals, advice and cautions. May be called again, also on a report that was read from its file.
pub fn summarise(report: &mut Report) {
    for contestant in &mut report.contestants {
        contestant.rounds.iter_mut().for_each(figures::fill_spread);
        contestant.summaries = figures::summaries(contestant);
    }
    report.doubts = doubts::all(report);
    report.verdicts = verdicts::all(report);
    report.shapes = shapes::all(report);
    report.positions = positions::all(report);
    report.audit = audit(report);
    let (needs, advice) = needs::all(report).into_iter().unzip();
    report.needs = needs;
    report.advice = advice::all(report, advice);
    report.answer = answer::of(report);
    report.cautions = cautions::all(report);
}

fn audit(report: &Report) -> AuditTotals {
    let mut totals = AuditTotals::default();
    for contestant in &report.contestants {
        for round in &contestant.rounds {
            match round.audit.known() {
                Some(audit) => {
                    totals.rounds_audited += 1;
                    totals.sums.add(audit);
                }
                None => totals.rounds_not_audited.push(format!(
                    "{}, round {}: {}",
                    contestant.name,
                    round.index + 1,
                    round.audit.reason().unwrap_or_default()
                )),
            }
        }
    }
    totals.passed = totals.rounds_audited > 0 && totals.rounds_not_audited.is_empty() && totals.sums.passed();
    totals
}
