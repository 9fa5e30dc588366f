//! The figures that are nothing on one side alone: they have no ratio there, and theirs is the greatest change of all.

use coupon_measure::format;

use super::model::ChangeVerdict;

/// The number of rounds or runs in which a figure is nothing.
#[derive(Clone, Copy)]
struct Nothing {
    some: usize,
    of: usize,
}

impl Nothing {
    const fn in_most(self) -> bool {
        2 * self.some > self.of
    }

    fn sentence(self, when: &str, unit: &str) -> Option<String> {
        let of = format::counted(self.of as u64, unit);
        (self.some > 0).then(|| format!("nothing {when} in {} of {of}", self.some))
    }
}

/// The change between rounds, after and before; none where both have the figure or neither.
pub(super) fn between_rounds(
    pairs: &[(f64, f64)],
    more_is_better: bool,
) -> Option<(ChangeVerdict, Option<String>)> {
    let rounds =
        |is: fn(&&(f64, f64)) -> bool| Nothing { some: pairs.iter().filter(is).count(), of: pairs.len() };
    let gone = rounds(|(after, before)| *after == 0.0 && *before > 0.0);
    let come = rounds(|(after, before)| *after > 0.0 && *before == 0.0);
    judged(gone, come, more_is_better, "round")
}

/// The change between the figures of runs.
pub(super) fn between_runs(
    after: &[f64],
    before: &[f64],
    more_is_better: bool,
) -> Option<(ChangeVerdict, Option<String>)> {
    let [after, before] = [after, before]
        .map(|runs| Nothing { some: runs.iter().filter(|figure| **figure == 0.0).count(), of: runs.len() });
    judged(after, before, more_is_better, "run")
}

fn judged(
    gone: Nothing,
    come: Nothing,
    more_is_better: bool,
    unit: &str,
) -> Option<(ChangeVerdict, Option<String>)> {
    let told: Vec<String> =
        [gone.sentence("after", unit), come.sentence("before", unit)].into_iter().flatten().collect();
    if told.is_empty() {
        return None;
    }
    let change = match (gone.in_most(), come.in_most()) {
        (true, true) | (false, false) => ChangeVerdict::Undecided,
        (_, more) if more == more_is_better => ChangeVerdict::Better,
        _ => ChangeVerdict::Worse,
    };
    Some((change, Some(told.join(", "))))
}
