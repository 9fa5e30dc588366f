//! Whole distributions of times, compared: the same median may hide another shape.

use coupon_measure::format;
use coupon_measure::stats::{ERROR, MIN_ROUNDS, holm, shape};

use super::figures::endpoints_of;
use super::needs::candidates;
use crate::endpoints;
use crate::model::{Call, Contestant, Metric, Quantile, Report, Shape};

/// The least part of requests by which two shapes must differ.
const LEAST: f64 = 0.1;

/// Every two candidates by every endpoint that strategies differ in.
pub(super) fn all(report: &Report) -> Vec<Shape> {
    let candidates = candidates(report);
    let keys = endpoints_of(candidates.iter().copied());
    let keys = keys.iter().filter(|key| endpoints::is_sharded(key));
    keys.flat_map(|key| of_endpoint(report, &candidates, key)).collect()
}

fn of_endpoint(report: &Report, candidates: &[&Contestant], key: &str) -> Vec<Shape> {
    let mut found: Vec<Shape> = Vec::new();
    for (at, a) in candidates.iter().enumerate() {
        found.extend(candidates.iter().skip(at + 1).filter_map(|b| pair(report, a, b, key)));
    }
    let corrected = holm(&found.iter().map(|shape| shape.p).collect::<Vec<_>>());
    let among = found.len() as f64;
    for (shape, p) in found.iter_mut().zip(corrected) {
        shape.p = p;
        let median = report.verdict(&Metric::latency(key, Quantile::P50), &shape.a, &shape.b);
        let same_median = median.is_some_and(|verdict| verdict.call == Call::NoDifference);
        let withheld = median.is_some_and(|verdict| verdict.call == Call::Withheld);
        shape.differs = p <= ERROR && shape.distance >= LEAST && shape.rounds >= MIN_ROUNDS && !withheld;
        shape.same_median = shape.differs && same_median;
        shape.text = text(shape, shape::least_p(shape.rounds) * among <= ERROR);
    }
    found
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
        differs: false,
        same_median: false,
        text: String::new(),
    })
}

/// A sentence on two shapes, which may have been too seldom measured to be told apart whatever they are.
fn text(shape: &Shape, enough_rounds: bool) -> String {
    let Shape { endpoint, a, b, at_ms, a_within, b_within, .. } = shape;
    let (name, at) = (endpoints::name(endpoint), format::number(*at_ms));
    let (of_a, of_b) = (format::percent(*a_within), format::percent(*b_within));
    match (shape.differs, shape.same_median) {
        (false, _) if !enough_rounds => {
            format!("{name}: too few rounds to tell shapes of {a} and {b} apart.")
        }
        (true, true) => {
            format!("{name}: same median, other shape: within {at} ms {a} answers {of_a}, {b} {of_b}.")
        }
        (true, false) => format!("{name}: within {at} ms {a} answers {of_a}, {b} {of_b}."),
        (false, _) => format!("{name}: no other shape was shown between {a} and {b}."),
    }
}
