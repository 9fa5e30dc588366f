//! A median and the interval that holds it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least number of rounds that supports a verdict: with four, even the widest interval covers only 87.5 %.
pub const MIN_ROUNDS: usize = 5;

/// The coverage that an interval should have, where there are enough rounds for it.
pub const TARGET_LEVEL: f64 = 0.95;

/// A median over rounds, and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// The probability with which such an interval covers the true median, 0 to 1: 0.9375 for five rounds.
    pub level: f64,
    /// The number of rounds it is made of.
    pub n: usize,
}

/// The median of some rounds' figures, with its order-statistic interval; `None` without figures or with one that
/// is not a number.
#[must_use]
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (k, level) = rank(n);
    let (lower, upper) = (sorted.get(n.checked_sub(1)? / 2)?, sorted.get(n / 2)?);
    Some(Estimate {
        median: f64::midpoint(*lower, *upper),
        low: *sorted.get(k - 1)?,
        high: *sorted.get(n - k)?,
        level,
        n,
    })
}

/// The probability with which the interval of so many rounds covers the true median: 0 for a single one.
#[must_use]
pub fn coverage(rounds: usize) -> f64 {
    if rounds == 0 { 0.0 } else { rank(rounds).1 }
}

/// The order statistics that bound the median, the k-th smallest and the k-th largest, and their coverage.
///
/// The largest k (narrowest interval) that still reaches [`TARGET_LEVEL`]; 1 when none does.
fn rank(n: usize) -> (usize, f64) {
    let mut probability = 0.5_f64.powf(n as f64); // P(Binomial(n, ½) = j), from j = 0
    let mut below = probability; // P(Binomial(n, ½) <= j)
    let mut best = (1, (1.0 - 2.0 * below).max(0.0));
    for j in 1..n / 2 {
        probability *= (n - j + 1) as f64 / j as f64;
        below += probability;
        let level = 1.0 - 2.0 * below;
        if level < TARGET_LEVEL {
            break;
        }
        best = (j + 1, level);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranks_and_levels_are_those_of_the_binomial_distribution() {
        // n, k, level: the exact binomial sums for 95 %.
        for (n, k, level) in [
            (5, 1, 0.9375),
            (6, 1, 0.96875),
            (8, 1, 0.9921875),
            (9, 2, 0.9609375),
            (10, 2, 0.978515625),
            (12, 3, 0.961_425_781_25),
            (20, 6, 0.958_610_534_667_968_8),
            (30, 10, 0.957_226_054_742_932_3),
        ] {
            let found = rank(n);
            assert_eq!(found.0, k, "n = {n}");
            assert!((found.1 - level).abs() < 1e-12, "n = {n}: {}", found.1);
        }
    }

    #[test]
    fn five_rounds_span_their_interval_and_say_its_true_level() {
        let five = estimate(&[3.0, 1.0, 5.0, 2.0, 4.0]).unwrap();
        assert_eq!(five, Estimate { median: 3.0, low: 1.0, high: 5.0, level: 0.9375, n: 5 });
    }

    #[test]
    fn an_even_number_of_rounds_has_its_median_in_the_middle() {
        assert_eq!(estimate(&[1.0, 2.0, 4.0, 100.0]).unwrap().median, 3.0);
    }

    #[test]
    fn one_round_is_not_sure_of_anything() {
        let one = estimate(&[7.0]).unwrap();
        assert_eq!((one.median, one.low, one.high, one.level), (7.0, 7.0, 7.0, 0.0));
        assert_eq!([0, 1, 5].map(coverage), [0.0, 0.0, 0.9375]);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn more_rounds_narrow_the_interval() {
        let values: Vec<f64> = (1..=30).map(f64::from).collect();
        let thirty = estimate(&values).unwrap();
        assert_eq!((thirty.low, thirty.high), (10.0, 21.0));
    }
}
