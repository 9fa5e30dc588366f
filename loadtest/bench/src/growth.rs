//! Statements about growth, computed from a series' figures and never written by hand.

use coupon_measure::format::{number, plain, times};
use coupon_measure::stats::RELEVANT_DIFFERENCE;

use super::model::{AllowedGrowth, Curve, RoundSpread, Series};
use super::text::with_unit;

/// The change of a series from the first to the last value of x, and the judgement on its worst pair of points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// The change in words: `grab: 10,000 → 5,000/s (0.50×) for 64× as many connections`.
    change: String,
    /// The change alone: `0.50×`.
    factor: String,
    /// The judgement: `does not fall`; empty where nothing is expected.
    judgement: String,
    /// True when the figures ask for a cause.
    pub(super) wants_a_cause: bool,
}

impl Statement {
    /// One line that stands for itself.
    pub(super) fn line(&self) -> String {
        join(&self.change, "; ", &self.judgement)
    }

    /// A cell below the series' figures.
    pub(super) fn cell(&self) -> String {
        join(&self.factor, ", ", &self.judgement)
    }
}

fn join(first: &str, between: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}{between}{second}") }
}

/// States how a series depends on x; nothing when fewer than two of its points are known.
///
/// A series breaks its rule only if the rounds' own spread does not explain it: of every two points, the best round
/// of the worse one is held against the worst round of the better one. A change from first to last whose medians
/// break the rule within that spread is called what it is.
pub(super) fn statement(curve: &Curve, series: &Series) -> Option<Statement> {
    let known = curve.x.iter().zip(&series.points);
    let points: Vec<(f64, RoundSpread)> = known.filter_map(|(x, y)| Some((*x, *y.known()?))).collect();
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let factor = times(last.1.median / first.1.median);
    let change = format!(
        "{}: {} → {} ({factor}) for {} as many {}",
        series.name,
        number(first.1.median),
        with_unit(&number(last.1.median), &series.unit),
        times(last.0 / first.0),
        curve.x_label
    );
    let beyond_spread = worst(&points, series.must).filter(|worst| matters(worst.excess));
    let medians = excess(series.must, last.0 / first.0, first.1.median, last.1.median);
    let judgement = judgement(series.must, beyond_spread.as_ref(), medians.is_some_and(matters));
    Some(Statement { change, factor, judgement, wants_a_cause: beyond_spread.is_some() })
}

fn judgement(must: AllowedGrowth, beyond_spread: Option<&Worst>, medians_break_it: bool) -> String {
    let (kept, within_spread, broken) = match must {
        AllowedGrowth::Free => return String::new(),
        AllowedGrowth::Cost(_) => {
            ("no faster than it must", "grows faster than it must, within", "**grows faster than it must**")
        }
        AllowedGrowth::Rate(_) => ("does not fall", "falls, within", "**falls though it need not**"),
    };
    match beyond_spread {
        Some(worst) => format!("{broken} from {} to {}", plain(worst.from), plain(worst.to)),
        None if medians_break_it => format!("{within_spread} the rounds' spread"),
        None => kept.to_owned(),
    }
}

/// The pair of points that breaks a rule of growth most.
struct Worst {
    from: f64,
    to: f64,
    /// The factor by which it is worse than it had to be.
    excess: f64,
}

/// True when a change is beyond what counts as none.
const fn matters(excess: f64) -> bool {
    excess > 1.0 + RELEVANT_DIFFERENCE
}

fn worst(points: &[(f64, RoundSpread)], must: AllowedGrowth) -> Option<Worst> {
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(at, before)| points.iter().skip(at + 1).map(move |after| (before, after)));
    let excesses = pairs.filter_map(|((from, before), (to, after))| {
        let (before, after) = match must {
            AllowedGrowth::Cost(_) => (before.max, after.min),
            AllowedGrowth::Rate(_) | AllowedGrowth::Free => (before.min, after.max),
        };
        Some(Worst { from: *from, to: *to, excess: excess(must, to / from, before, after)? })
    });
    excesses.filter(|worst| !worst.excess.is_nan()).max_by(|a, b| a.excess.total_cmp(&b.excess))
}

/// The factor by which a change is worse than it had to be, for so many times as much of x; none where nothing is
/// expected.
fn excess(must: AllowedGrowth, x_times: f64, before: f64, after: f64) -> Option<f64> {
    match must {
        AllowedGrowth::Cost(power) => Some(after / before / x_times.powf(power)),
        AllowedGrowth::Rate(power) => Some(before * x_times.powf(power) / after),
        AllowedGrowth::Free => None,
    }
}

#[cfg(test)]
mod tests {
    use coupon_report::model::Reading;

    use super::*;

    fn said(must: AllowedGrowth, y: &[&[f64]]) -> Statement {
        let points = y.iter().map(|rounds| Reading::or_because(RoundSpread::of(rounds), "not measured"));
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
        let said_flat = said(AllowedGrowth::Cost(0.0), &[&[1.0], &[1.0], &[2.0]]);
        assert!(
            said_flat.wants_a_cause && said_flat.line().contains("faster than it must** from 100 to 1,000")
        );
        let linear = said(AllowedGrowth::Cost(1.0), &[&[1.0], &[10.0], &[90.0]]);
        assert_eq!(
            linear.line(),
            "grab: 1.00 → 90.0 ms (90×) for 100× as many connections; no faster than it must"
        );
        assert!(!linear.wants_a_cause);
    }

    #[test]
    fn a_rate_that_falls_after_its_peak_is_told_with_the_peak() {
        let fell = said(AllowedGrowth::Rate(0.0), &[&[50.0], &[90.0], &[60.0]]);
        assert!(fell.wants_a_cause && fell.line().contains("falls though it need not** from 100 to 1,000"));
        assert!(!said(AllowedGrowth::Rate(0.0), &[&[50.0], &[90.0], &[88.0]]).wants_a_cause);
    }

    #[test]
    fn medians_that_fall_within_the_rounds_spread_are_not_said_not_to_fall() {
        let fell = said(AllowedGrowth::Rate(0.0), &[&[32.0, 41.0, 42.0], &[26.0, 29.0, 34.0]]);
        assert_eq!(fell.cell(), "0.71×, falls, within the rounds' spread");
        assert!(!fell.wants_a_cause);
        let grew = said(AllowedGrowth::Cost(0.0), &[&[1.0, 2.0, 3.0], &[2.9, 3.0, 3.1]]);
        assert_eq!(grew.cell(), "1.50×, grows faster than it must, within the rounds' spread");
        assert_eq!(said(AllowedGrowth::Rate(0.0), &[&[32.0], &[33.0]]).cell(), "1.03×, does not fall");
        let bent = said(AllowedGrowth::Cost(0.0), &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]]);
        assert_eq!(
            bent.cell(),
            "1.00×, no faster than it must",
            "the words are about the same points as the factor"
        );
    }

    #[test]
    fn what_the_rounds_own_spread_explains_wants_no_cause() {
        assert!(
            !said(AllowedGrowth::Cost(0.0), &[&[1.0, 1.2, 1.6], &[1.4, 1.5], &[1.5, 1.9, 2.0]]).wants_a_cause
        );
        assert!(!said(AllowedGrowth::Free, &[&[1.0], &[9.0], &[90.0]]).wants_a_cause);
    }

    #[test]
    fn points_that_are_missing_are_left_out() {
        let text = said(AllowedGrowth::Rate(0.0), &[&[50.0], &[], &[60.0]]).line();
        assert!(text.starts_with("grab: 50.0 → 60.0 ms (1.20×)"), "{text}");
    }
}
