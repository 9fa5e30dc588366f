//! The signed-rank test: chance without a word about a distribution.

/// The most values that are judged by the exact distribution: with more, the normal one hardly differs from it.
const EXACT: usize = 50;

/// The least probability that so many values can have by chance: that of all on one side.
#[must_use]
pub fn least(n: usize) -> f64 {
    2.0 * 0.5_f64.powf(n as f64)
}

/// The probability that values which are as likely to be above as below 0 lie as far on one side as these (Wilcoxon's signed
/// ranks, two-sided). Zeros say nothing and are left out; of equal sizes each has the middle rank.
#[must_use]
pub fn signed(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().copied().filter(|value| *value != 0.0).collect();
    sizes.sort_by(|one, other| one.abs().total_cmp(&other.abs()));
    let ranks = doubled_ranks(&sizes);
    let all: usize = ranks.iter().sum();
    if all == 0 {
        return 1.0;
    }
    let above: usize =
        sizes.iter().zip(&ranks).filter(|(value, _)| **value > 0.0).map(|(_, rank)| rank).sum();
    let fewer = above.min(all - above);
    let p = if ranks.len() <= EXACT { 2.0 * at_most(&ranks, fewer) } else { by_normal(&ranks, fewer) };
    p.min(1.0)
}

/// Twice the rank of each of some sorted sizes: so that the middle of two ranks is whole.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let same = |one: &f64, other: &f64| one.abs() == other.abs();
    let mut ranks = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(same) {
        // Ranks first + 1 to first + length: twice their mean.
        let (first, length) = (ranks.len(), group.len());
        ranks.extend(std::iter::repeat_n(2 * first + length + 1, length));
    }
    ranks
}

/// The part of all ways to put signs on ranks in which those above 0 come to no more than `sum`.
fn at_most(ranks: &[usize], sum: usize) -> f64 {
    let mut ways = vec![0.0; sum + 1];
    if let Some(none) = ways.first_mut() {
        *none = 1.0;
    }
    for rank in ranks {
        for at in (*rank..=sum).rev() {
            let without = ways.get(at - rank).copied().unwrap_or(0.0);
            if let Some(way) = ways.get_mut(at) {
                *way += without;
            }
        }
    }
    ways.iter().sum::<f64>() * 0.5_f64.powf(ranks.len() as f64)
}

fn by_normal(ranks: &[usize], sum: usize) -> f64 {
    let (mean, squares) = ranks.iter().fold((0.0, 0.0), |(mean, squares), rank| {
        let rank = *rank as f64;
        (mean + rank / 2.0, squares + rank * rank / 4.0)
    });
    // As many degrees of freedom as make Student's distribution the normal one.
    super::student::two_sided((mean - sum as f64) / squares.sqrt(), 1e7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_are_those_of_the_tables() {
        // Ten values: a sum of 8 or less on one side is what 5 % find on either (p = 0.0488), 3 what 1 % do (p = 0.0098).
        let of = |below: &[usize]| -> Vec<f64> {
            (1..=10).map(|rank| if below.contains(&rank) { -(rank as f64) } else { rank as f64 }).collect()
        };
        assert!((signed(&of(&[8])) - 0.048_828).abs() < 1e-6, "{}", signed(&of(&[8])));
        assert!((signed(&of(&[1, 2])) - 0.009_766).abs() < 1e-6, "{}", signed(&of(&[1, 2])));
        assert_eq!(signed(&of(&[])), least(10));
        assert_eq!((signed(&[]), signed(&[0.0, 0.0])), (1.0, 1.0));
    }

    #[test]
    fn equal_sizes_share_a_rank_and_sides_do_not_matter() {
        let values = [1.0, -1.0, 2.0, 2.0, 3.0, 5.0, 0.0];
        let back = values.map(|value| -value);
        assert_eq!(signed(&values), signed(&back));
        assert_eq!(doubled_ranks(&[1.0, -1.0, 2.0]), [3, 3, 6]);
    }

    #[test]
    fn many_values_are_judged_as_the_exact_ones_would_be() {
        let ranks = doubled_ranks(&(1..=EXACT).map(|at| at as f64).collect::<Vec<_>>());
        for sum in [900, 1_000, 1_100] {
            let (exact, normal) = (2.0 * at_most(&ranks, sum), by_normal(&ranks, sum));
            assert!((exact / normal - 1.0).abs() < 0.15, "{sum}: {exact} {normal}");
        }
        let many: Vec<f64> = (1..=60).map(f64::from).collect();
        assert!(signed(&many) < 1e-9);
    }
}
