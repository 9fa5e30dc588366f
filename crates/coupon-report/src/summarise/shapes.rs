//! Whole distributions of times, compared: the same median may hide another shape.

use coupon_measure::format;
use coupon_measure::stats::{ERROR, MIN_ROUNDS, holm, shape};

use super::figures::endpoints_of;
use super::verdicts::{Couple, couples};
use crate::endpoints;
use crate::model::{Call, Contestant, Metric, Quantile, Report, Shape};

/// The least part of requests by which two shapes must differ.
const LEAST: f64 = 0.1;

/// Every two that verdicts compare, by every endpoint that strategies differ in.
pub(super) fn all(report: &Report) -> Vec<Shape> {
    let couples = couples(report);
    let mut questions: Vec<&str> = couples.iter().map(|couple| couple.question).collect();
    questions.sort_unstable();
    questions.dedup();
    let keys = endpoints_of(&report.contestants);
    let keys = keys.iter().filter(|key| endpoints::is_sharded(key));
    keys.flat_map(|key| questions.iter().flat_map(|question| of_question(report, &couples, question, key)))
        .collect()
}

/// The pairs of one question by one endpoint, corrected together.
fn of_question(report: &Report, couples: &[Couple<'_>], question: &str, key: &str) -> Vec<Shape> {
    let couples = couples.iter().filter(|couple| couple.question == question);
    let mut found: Vec<Shape> = couples.filter_map(|couple| pair(report, couple.a, couple.b, key)).collect();
    let corrected = holm(&found.iter().map(|shape| shape.p).collect::<Vec<_>>());
    let needed = fewest_rounds(found.len());
    for (shape, p) in found.iter_mut().zip(corrected) {
        shape.p = p;
        let median = report.verdict(&Metric::latency(key, Quantile::P50), &shape.a, &shape.b);
        let same_median = median.is_some_and(|verdict| verdict.call == Call::NoDifference);
        let withheld = median.is_some_and(|verdict| verdict.call == Call::Withheld);
        shape.differs = p <= ERROR && shape.distance >= LEAST && shape.rounds >= MIN_ROUNDS && !withheld;
        shape.same_median = shape.differs && same_median;
        shape.rounds_needed = needed;
        shape.text = text(shape);
    }
    found
}

/// The fewest rounds in which any of so many pairs can be told apart; none if there are more pairs than the swaps that are drawn
/// can tell.
fn fewest_rounds(pairs: usize) -> Option<usize> {
    (MIN_ROUNDS..MIN_ROUNDS + 64).find(|rounds| shape::least_p(*rounds) * pairs as f64 <= ERROR)
}

fn pair(report: &Report, a: &Contestant, b: &Contestant, key: &str) -> Option<Shape> {
    let pairs = a.rounds.iter().filter_map(|round| {
        let other = b.rounds.iter().find(|other| other.index == round.index)?;
        let of = |round: &'_ crate::model::Round| Some(round.endpoints.get(key)?.histogram.clone());
        Some((of(round)?, of(other)?))
    });
    let pairs: Vec<_> = pairs.filter(|(one, other)| !one.is_empty() && !other.is_empty()).collect();
    let pairs = pairs.iter().map(|(one, other)| (one.as_slice(), other.as_slice()));
    let found = shape::distance(pairs, report.meta.seed)?;
    Some(Shape {
        endpoint: key.to_owned(),
        a: a.name.clone(),
        b: b.name.clone(),
        distance: found.part,
        at_ms: shape::upper_ms(found.bucket),
        a_within: found.first,
        b_within: found.second,
        p: found.p,
        rounds: found.rounds,
        rounds_needed: None,
        differs: false,
        same_median: false,
        text: String::new(),
    })
}

/// A sentence on two shapes, which may have been too seldom measured to be told apart whatever they are.
fn text(shape: &Shape) -> String {
    let Shape { endpoint, a, b, at_ms, a_within, b_within, .. } = shape;
    let (name, at) = (endpoints::name(endpoint), format::number(*at_ms));
    let (of_a, of_b) = (format::percent(*a_within), format::percent(*b_within));
    match (shape.differs, shape.same_median) {
        (false, _) if shape.has_too_few_rounds() => {
            format!("{name}: too few rounds to tell shapes of {a} and {b} apart: {}.", shape.takes())
        }
        (true, true) => {
            format!("{name}: same median, other shape: within {at} ms {a} answers {of_a}, {b} {of_b}.")
        }
        (true, false) => format!("{name}: within {at} ms {a} answers {of_a}, {b} {of_b}."),
        (false, _) => format!("{name}: no other shape was shown between {a} and {b}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_pairs_take_more_rounds_until_no_number_is_enough() {
        assert_eq!([1, 3, 6, 28].map(fewest_rounds), [Some(6), Some(7), Some(8), Some(11)]);
        assert_eq!([409, 410].map(fewest_rounds), [Some(12), None]);
    }
}
