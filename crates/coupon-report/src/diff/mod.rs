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
mod model;
mod sides;
mod text;
mod without_ratio;

use self::sides::{Sides, Subject};
use super::model::Report;

pub(crate) use self::comparable::other_series;
pub use self::comparable::{notes, obstacles};
pub(crate) use self::judged::{LEAST_SPREAD, values};
pub(crate) use self::model::FAILED;
pub use self::model::{ChangeVerdict, Diff, DiffOptions, DiffRow, LEAST, MIN_RUNS, Unit};
pub(crate) use self::sides::compared;
pub use self::text::print;
pub(crate) use self::text::with_unit;

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
}
