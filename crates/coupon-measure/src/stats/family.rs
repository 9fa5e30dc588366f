//! Several comparisons that answer one question, judged together.

use super::MIN_ROUNDS;
use super::paired::{Judgement, Least, chance, judge_with};

/// The part of runs with equal contestants in which the comparisons of one family may call any difference at all.
pub const ERROR: f64 = 0.05;

/// The comparison of two contestants, judged as one of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The result.
    pub judgement: Judgement,
    /// The probability of as large a difference by chance, corrected for the size of the family; none with too few rounds.
    pub p: Option<f64>,
    /// The number of comparisons in the family.
    pub of: usize,
}

/// One comparison of a family: the ratios of two contestants by round, and the least difference that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// A ratio for each round.
    pub ratios: Vec<f64>,
    /// The least that is worth a verdict.
    pub least: Least,
}

/// Judges comparisons that answer one question: that any of them calls a difference where there is none has a probability of
/// [`ERROR`] at most (S. Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, 1979).
#[must_use]
pub fn judge_family(comparisons: &[Comparison]) -> Vec<Judged> {
    let enough = |one: &Comparison| one.ratios.len() >= MIN_ROUNDS;
    let of = comparisons.iter().filter(|one| enough(one)).count();
    let raw: Vec<Option<f64>> =
        comparisons.iter().map(|one| enough(one).then(|| chance(&one.ratios, of))).collect();
    let mut corrected = holm(&raw.iter().flatten().copied().collect::<Vec<_>>()).into_iter();
    comparisons
        .iter()
        .zip(raw)
        .map(|(one, raw)| {
            let p = raw.and_then(|_| corrected.next());
            Judged { judgement: judge_with(&one.ratios, one.least, p.unwrap_or(1.0)), p, of }
        })
        .collect()
}

/// Holm's correction: each probability as it counts among all of them.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let at = |index: usize| p.get(index).copied().unwrap_or(1.0);
    order.sort_by(|one, other| at(*one).total_cmp(&at(*other)));
    let mut corrected = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((at(index) * (p.len() - rank) as f64).min(1.0));
        if let Some(place) = corrected.get_mut(index) {
            *place = largest;
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_counts_as_often_as_there_are_comparisons() {
        // The example of Holm's own procedure: 3 × 0.01, 2 × 0.04, 1 × 0.03 after that no less than 0.06.
        let corrected = holm(&[0.04, 0.01, 0.03]);
        for (found, wanted) in corrected.iter().zip([0.06, 0.03, 0.06]) {
            assert!((found - wanted).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[]), [] as [f64; 0]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn what_holds_alone_may_not_hold_among_many() {
        let close = || Comparison { ratios: vec![1.1, 1.3, 1.06, 1.25, 1.12], least: Least::ratio(0.05) };
        let alone = judge_family(&[close()]);
        assert!(matches!(alone[0].judgement, Judgement::More(_)), "{alone:?}");
        let among: Vec<Judged> = judge_family(&vec![close(); 12]);
        assert!(among.iter().all(|one| matches!(one.judgement, Judgement::NoDifference(_))), "{among:?}");
        assert_eq!(among[0].of, 12);
    }

    #[test]
    fn comparisons_with_too_few_rounds_are_no_part_of_the_family() {
        let few = Comparison { ratios: vec![2.0; 4], least: Least::ratio(0.05) };
        let many = Comparison { ratios: vec![2.0, 2.1, 1.9, 2.0, 2.2], least: Least::ratio(0.05) };
        let judged = judge_family(&[few, many]);
        assert_eq!((judged[0].p, judged[1].of), (None, 1));
        assert!(matches!(judged[0].judgement, Judgement::TooFewRounds(Some(_))));
        assert!(matches!(judged[1].judgement, Judgement::More(_)));
    }
}
