//! The part of requests that failed, over all rounds of all runs. Often there is none in either, so that it has no ratio.

use coupon_measure::format;
use coupon_measure::stats::estimate;

use super::model::{ChangeVerdict, DiffRow, FAILED};
use super::sides::Sides;
use crate::model::{Contestant, Metric};

/// Two parts lie farther apart by chance in 3 of 1,000 comparisons: so many standard deviations.
const DEVIATIONS: f64 = 3.0;

/// The requests of one side.
#[derive(Debug, Clone, Copy)]
struct Requests {
    failed: u64,
    all: u64,
}

impl Requests {
    fn of(metric: &Metric, runs: &[&Contestant]) -> Self {
        let (failed, all) = metric.failures(runs.iter().flat_map(|run| &run.rounds));
        Self { failed, all }
    }

    fn percent(self) -> Option<f64> {
        (self.all > 0).then(|| 100.0 * self.failed as f64 / self.all as f64)
    }
}

/// The failures of two sides.
pub(super) fn row(metric: &Metric, sides: &Sides<'_>) -> DiffRow {
    let [before, after] = [&sides.before, &sides.after].map(|side| Requests::of(metric, side));
    let (change, reason) = judged(before, after);
    let of_all = |side: Requests| estimate(side.percent().as_slice());
    DiffRow {
        contestant: sides.before.first().map(|of| of.name.clone()).unwrap_or_default(),
        metric: metric.to_string(),
        label: metric.label(),
        unit: metric.unit(),
        before: of_all(before),
        after: of_all(after),
        ratio: None,
        p: None,
        change,
        reason,
    }
}

fn judged(before: Requests, after: Requests) -> (ChangeVerdict, Option<String>) {
    let (Some(earlier), Some(later)) = (before.percent(), after.percent()) else {
        return (ChangeVerdict::Undecided, None);
    };
    let (more, chance) = (later - earlier, by_chance(before, after));
    let change = match more {
        _ if more.abs() >= FAILED.max(chance) => {
            if more > 0.0 {
                ChangeVerdict::Worse
            } else {
                ChangeVerdict::Better
            }
        }
        _ if more.abs() + chance < FAILED => ChangeVerdict::Same,
        _ => ChangeVerdict::Undecided,
    };
    let reason = (change == ChangeVerdict::Undecided)
        .then(|| format!("chance may make {} of it", format::percent(chance / 100.0)));
    (change, reason)
}

/// The percent of requests by which chance alone sets two sides apart that fail equally often.
fn by_chance(before: Requests, after: Requests) -> f64 {
    let [(failed, of), (failed_after, of_after)] =
        [before, after].map(|side| (side.failed as f64, side.all as f64));
    let part = (failed + failed_after) / (of + of_after);
    100.0 * DEVIATIONS * (part * (1.0 - part) * (1.0 / of + 1.0 / of_after)).sqrt()
}

#[cfg(test)]
mod tests {
    use coupon_measure::Random;

    use super::*;

    fn change(before: (u64, u64), after: (u64, u64)) -> ChangeVerdict {
        let [before, after] = [before, after].map(|(failed, all)| Requests { failed, all });
        judged(before, after).0
    }

    #[test]
    fn more_failures_are_worse_only_where_chance_seldom_makes_as_many() {
        assert_eq!(change((0, 15_000), (0, 15_000)), ChangeVerdict::Same);
        assert_eq!(change((0, 15_000), (90, 15_000)), ChangeVerdict::Worse);
        assert_eq!(change((90, 15_000), (0, 15_000)), ChangeVerdict::Better);
        // 0.1 % more, where 1 % fails: one comparison of five would say as much.
        assert_eq!(change((150, 15_000), (170, 15_000)), ChangeVerdict::Undecided);
        assert_eq!(change((150, 15_000), (150, 15_000)), ChangeVerdict::Undecided);
        assert_eq!(change((15_000, 1_500_000), (17_000, 1_500_000)), ChangeVerdict::Worse);
        assert_eq!(change((15_000, 1_500_000), (15_300, 1_500_000)), ChangeVerdict::Same);
        assert_eq!(change((0, 0), (5, 10)), ChangeVerdict::Undecided);
    }

    #[test]
    fn equal_services_that_fail_one_request_in_a_hundred_are_seldom_called_worse_or_better() {
        let mut random = Random::new(13, 0);
        let mut drawn = || ((0..15_000).filter(|_| random.unit() < 0.01).count() as u64, 15_000);
        let called = (0..200).filter(|_| change(drawn(), drawn()) != ChangeVerdict::Undecided).count();
        assert!(called <= 4, "{called} of 200");
    }
}
