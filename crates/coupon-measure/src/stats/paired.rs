//! Two contestants, paired by round.

use super::{ERROR, Estimate, MIN_ROUNDS, estimate};
use super::{ranks, student};

/// The least difference worth a verdict: 5 %. Smaller ones may be real, but are no reason to choose, and between two
/// processes on one machine they can come from where the linker put a loop.
pub const RELEVANT_DIFFERENCE: f64 = 0.05;

/// The ratio that stands for one with a single zero: nothing against something is a difference of more than any number of times.
pub const BEYOND: f64 = 1_000.0;

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

/// The least difference that is worth a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Least {
    /// As a part of the smaller of the two figures.
    ratio: f64,
    /// False when the two figures are so close that their difference does not matter, whatever their ratio.
    far_apart: bool,
}

impl Least {
    /// A part of the smaller figure.
    #[must_use]
    pub const fn ratio(ratio: f64) -> Self {
        Self { ratio, far_apart: true }
    }

    /// That part, and so much between the two medians.
    #[must_use]
    pub fn and_apart(self, (a, b): (f64, f64), least: f64) -> Self {
        Self { far_apart: (a - b).abs() >= least, ..self }
    }
}

/// The ratio within each round that has both figures. Two zeros are equal; a ratio with a single zero is [`BEYOND`] any other.
pub fn ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
    let ratio = |(a, b): (f64, f64)| match (a > 0.0, b > 0.0) {
        (false, false) => 1.0,
        (true, false) => BEYOND,
        (false, true) => 1.0 / BEYOND,
        (true, true) => (a / b).clamp(1.0 / BEYOND, BEYOND),
    };
    let known = |(a, b): &(f64, f64)| a.is_finite() && b.is_finite() && *a >= 0.0 && *b >= 0.0;
    pairs.into_iter().filter(known).map(ratio).collect()
}

/// The probability that equal contestants differ by as much, for one of so many comparisons. The module's documentation says
/// how and why.
#[must_use]
pub(super) fn chance(ratios: &[f64], among: usize) -> f64 {
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    // Decided by numbers alone, never by what the figures are.
    let enough = ranks::least(logs.len()) * among as f64 <= ERROR / 2.0;
    if enough { ranks::signed(&logs) } else { student::of_mean(&logs) }
}

/// Judges the ratios of two contestants, one a round, that are compared by nothing else. The module's documentation says how
/// and why.
#[must_use]
pub fn judge(ratios: &[f64]) -> Judgement {
    judge_by(ratios, RELEVANT_DIFFERENCE)
}

/// The same with another least difference that is worth a verdict.
#[must_use]
pub fn judge_by(ratios: &[f64], least: f64) -> Judgement {
    judge_with(ratios, Least::ratio(least), chance(ratios, 1))
}

/// The same, where the probability of the difference by chance has been corrected for what else is compared.
pub(super) fn judge_with(ratios: &[f64], least: Least, p: f64) -> Judgement {
    let shown = p <= ERROR && least.far_apart;
    let least = least.ratio;
    match estimate(ratios) {
        Some(ratio) if ratio.n < MIN_ROUNDS => Judgement::TooFewRounds(Some(ratio)),
        None => Judgement::TooFewRounds(None),
        Some(ratio) if shown && ratio.low > 1.0 && ratio.median >= 1.0 + least => Judgement::More(ratio),
        Some(ratio) if shown && ratio.high < 1.0 && ratio.median <= 1.0 / (1.0 + least) => {
            Judgement::Less(ratio)
        }
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
    fn a_difference_of_less_than_anybody_notices_is_none() {
        let twice = [2.0, 1.9, 2.2, 2.1, 1.8];
        let judged = |apart| judge_with(&twice, Least::ratio(0.05).and_apart((0.06, 0.03), apart), 0.0);
        assert!(matches!(judged(0.05), Judgement::NoDifference(_)));
        assert!(matches!(judged(0.02), Judgement::More(_)));
    }

    #[test]
    fn the_judgement_does_not_depend_on_who_comes_first() {
        let there = [1.16, 1.2, 1.155, 1.14, 1.3];
        let back: Vec<f64> = there.iter().map(|ratio| 1.0 / ratio).collect();
        assert!(matches!(judge(&there), Judgement::More(_)));
        assert!(matches!(judge(&back), Judgement::Less(_)));
    }

    #[test]
    fn a_zero_on_one_side_counts_and_two_are_equal() {
        assert_eq!(
            ratios([(1.0, 2.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (f64::NAN, 1.0)]),
            [0.5, 1.0, BEYOND, 1.0 / BEYOND]
        );
        let nothing = ratios([(900.0, 0.0), (880.0, 0.0), (910.0, 0.0), (905.0, 0.0), (890.0, 0.0)]);
        assert!(matches!(judge(&nothing), Judgement::More(_)));
    }
}
