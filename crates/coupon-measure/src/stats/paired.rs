//! Two contestants, paired by round.

use super::{Estimate, MIN_ROUNDS, estimate};

/// The least difference worth a verdict: 5 %. Smaller ones may be real, but are no reason to choose, and between two
/// processes on one machine they can come from where the linker put a loop.
pub const RELEVANT_DIFFERENCE: f64 = 0.05;

/// The result of a comparison of two contestants.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// The first has more of it.
    More(Estimate),
    /// The first has less of it.
    Less(Estimate),
    /// No difference that clears the noise and matters.
    NoDifference(Estimate),
    /// Too few rounds in common; the estimate of what there is, if there is any.
    TooFewRounds(Option<Estimate>),
}

impl Judgement {
    /// The median ratio and its interval.
    #[must_use]
    pub fn ratio(&self) -> Option<&Estimate> {
        match self {
            Self::More(ratio) | Self::Less(ratio) | Self::NoDifference(ratio) => Some(ratio),
            Self::TooFewRounds(ratio) => ratio.as_ref(),
        }
    }
}

/// The ratio within each round that has both figures. Two zeros are equal; a ratio to a single zero says nothing
/// and is left out.
pub fn ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
    let ratio = |(a, b): (f64, f64)| if a == 0.0 && b == 0.0 { 1.0 } else { a / b };
    pairs.into_iter().map(ratio).filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect()
}

/// Judges the ratios of two contestants, one a round. The module's documentation says how and why.
#[must_use]
pub fn judge(ratios: &[f64]) -> Judgement {
    judge_by(ratios, RELEVANT_DIFFERENCE)
}

/// The same with another least difference that is worth a verdict.
#[must_use]
pub fn judge_by(ratios: &[f64], least: f64) -> Judgement {
    match estimate(ratios) {
        Some(ratio) if ratio.n < MIN_ROUNDS => Judgement::TooFewRounds(Some(ratio)),
        None => Judgement::TooFewRounds(None),
        Some(ratio) if ratio.low > 1.0 && ratio.median >= 1.0 + least => Judgement::More(ratio),
        Some(ratio) if ratio.high < 1.0 && ratio.median <= 1.0 / (1.0 + least) => Judgement::Less(ratio),
        Some(ratio) => Judgement::NoDifference(ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_much_in_every_round_is_a_difference() {
        assert!(matches!(judge(&[2.0, 1.9, 2.2, 2.1, 1.8]), Judgement::More(ratio) if ratio.median == 2.0));
        assert!(matches!(judge(&[0.5, 0.52, 0.45, 0.48, 0.55]), Judgement::Less(_)));
    }

    #[test]
    fn one_round_the_other_way_makes_five_inconclusive() {
        assert!(matches!(judge(&[2.0, 1.9, 0.99, 2.1, 1.8]), Judgement::NoDifference(_)));
    }

    #[test]
    fn four_rounds_give_no_verdict_however_clear() {
        assert!(matches!(judge(&[9.0; 4]), Judgement::TooFewRounds(Some(_))));
        assert!(matches!(judge(&[]), Judgement::TooFewRounds(None)));
    }

    #[test]
    fn a_certain_but_tiny_difference_is_none() {
        assert!(matches!(judge(&[1.02; 30]), Judgement::NoDifference(_)));
    }

    #[test]
    fn the_judgement_does_not_depend_on_who_comes_first() {
        let there = [1.06, 1.2, 1.055, 1.04, 1.3];
        let back: Vec<f64> = there.iter().map(|ratio| 1.0 / ratio).collect();
        assert!(matches!(judge(&there), Judgement::More(_)));
        assert!(matches!(judge(&back), Judgement::Less(_)));
    }

    #[test]
    fn a_zero_on_one_side_says_nothing() {
        assert_eq!(ratios([(1.0, 2.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]), [0.5, 1.0]);
    }
}
