//! What a series says of growth: computed from its figures, never written by hand.

use super::model::{Curve, Growth, Series, Spread};
use super::shown::with_unit;
use crate::format::{number, plain, times};
use crate::stats::RELEVANT_DIFFERENCE;

/// What became of a series between two values of x, and whether it had to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// One line.
    pub(super) text: String,
    /// Whether it asks for a cause.
    pub(super) wants_a_cause: bool,
}

/// Says how a series depends on x; nothing when fewer than two of its points are known.
///
/// The pair of points is told at which it does worst. Only what the rounds' own spread does not explain counts: the best
/// round of the worse point is held against the worst round of the better one.
pub(super) fn statement(curve: &Curve, series: &Series) -> Option<Statement> {
    let known = curve.x.iter().zip(&series.points);
    let points: Vec<(f64, Spread)> = known.filter_map(|(x, y)| Some((*x, *y.known()?))).collect();
    let (first, last) = (points.first()?, points.last()?);
    let (x_times, y_times) = (last.0 / first.0, last.1.median / first.1.median);
    if points.len() < 2 {
        return None;
    }
    let name = &series.name;
    let overall = format!(
        "{name}: {} → {} ({}) for {} as many {}",
        number(first.1.median),
        with_unit(&number(last.1.median), &series.unit),
        times(y_times),
        times(x_times),
        curve.x_label
    );
    let worst = worst(&points, series.must);
    let wants_a_cause = worst.as_ref().is_some_and(|worst| worst.excess > 1.0 + RELEVANT_DIFFERENCE);
    let verdict = match (worst, series.must) {
        (Some(worst), Growth::Cost(_)) if wants_a_cause => {
            format!("; **grows faster than it must** from {} to {}", plain(worst.from), plain(worst.to))
        }
        (Some(worst), Growth::Rate(_)) if wants_a_cause => {
            format!("; **falls though it need not** from {} to {}", plain(worst.from), plain(worst.to))
        }
        (_, Growth::Free) => String::new(),
        (_, Growth::Cost(_)) => "; no faster than it must".to_owned(),
        (_, Growth::Rate(_)) => "; does not fall".to_owned(),
    };
    Some(Statement { text: overall + &verdict, wants_a_cause })
}

struct Worst {
    from: f64,
    to: f64,
    /// How many times as bad as it had to be.
    excess: f64,
}

fn worst(points: &[(f64, Spread)], must: Growth) -> Option<Worst> {
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(at, before)| points.iter().skip(at + 1).map(move |after| (before, after)));
    let excesses = pairs.filter_map(|(before, after)| {
        let x_times = after.0 / before.0;
        let excess = match must {
            Growth::Cost(power) => after.1.min / before.1.max / x_times.powf(power),
            Growth::Rate(power) => before.1.min * x_times.powf(power) / after.1.max,
            Growth::Free => return None,
        };
        Some(Worst { from: before.0, to: after.0, excess })
    });
    excesses.filter(|worst| !worst.excess.is_nan()).max_by(|a, b| a.excess.total_cmp(&b.excess))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Reading;

    fn said(must: Growth, y: &[&[f64]]) -> Statement {
        let points = y.iter().map(|rounds| Reading::or_because(Spread::of(rounds), "not measured"));
        let series = Series { name: "grab".into(), unit: "ms".into(), must, points: points.collect() };
        let curve = Curve {
            id: "c".into(),
            what: "grabs".into(),
            x_label: "connections".into(),
            x: vec![10.0, 100.0, 1_000.0],
            series: Vec::new(),
            problems: Vec::new(),
        };
        statement(&curve, &series).unwrap()
    }

    #[test]
    fn a_cost_may_grow_with_what_it_must_grow_with() {
        let said_flat = said(Growth::Cost(0.0), &[&[1.0], &[1.0], &[2.0]]);
        assert!(
            said_flat.wants_a_cause && said_flat.text.contains("faster than it must** from 100 to 1,000")
        );
        let linear = said(Growth::Cost(1.0), &[&[1.0], &[10.0], &[90.0]]);
        assert_eq!(
            linear.text,
            "grab: 1.00 → 90.0 ms (90×) for 100× as many connections; no faster than it must"
        );
        assert!(!linear.wants_a_cause);
    }

    #[test]
    fn a_rate_that_falls_after_its_peak_is_told_with_the_peak() {
        let fell = said(Growth::Rate(0.0), &[&[50.0], &[90.0], &[60.0]]);
        assert!(fell.wants_a_cause && fell.text.contains("falls though it need not** from 100 to 1,000"));
        assert!(!said(Growth::Rate(0.0), &[&[50.0], &[90.0], &[88.0]]).wants_a_cause);
    }

    #[test]
    fn what_the_rounds_own_spread_explains_wants_no_cause() {
        assert!(!said(Growth::Cost(0.0), &[&[1.0, 1.2, 1.6], &[1.4, 1.5], &[1.5, 1.9, 2.0]]).wants_a_cause);
        assert!(!said(Growth::Free, &[&[1.0], &[9.0], &[90.0]]).wants_a_cause);
    }

    #[test]
    fn points_that_are_missing_are_left_out() {
        let text = said(Growth::Rate(0.0), &[&[50.0], &[], &[60.0]]).text;
        assert!(text.starts_with("grab: 50.0 → 60.0 ms (1.20×)"), "{text}");
    }
}
