//! Two distributions of times, compared as a whole.
//!
//! Two services with the same median may still answer otherwise: the one always in about that time, the other in half
//! of it or in twice as long. The greatest distance between the two cumulative distributions says by how much
//! (Kolmogorov and Smirnov). Its usual tables take every request for an independent observation, which requests of one
//! round are not; so the distance is held against those that arise when the two are swapped within rounds, in every
//! possible way or in many. Equal contestants could have been swapped, whatever a round did to its requests: that is
//! exact (a permutation test; P. Good, *Permutation, Parametric and Bootstrap Tests of Hypotheses*, 2005). Of many ways
//! some are drawn, and no more of them once so many have been as far apart that chance plainly makes such a distance:
//! that is no less exact, and contestants that are alike take little time (J. Besag and P. Clifford, *Sequential Monte
//! Carlo p-values*, Biometrika 1991).

use crate::random::Random;

/// The steps of a bucket's bounds in a decade.
const STEPS: f64 = 16.0;
/// The number of buckets: from 10 µs to 100 s.
const BUCKETS: usize = 112;
/// The lower end of the first, in milliseconds.
const FIRST_MS: f64 = 0.01;
/// The ways to swap are counted out up to this many.
const COUNTED: u64 = 1_024;
/// The most ways that are drawn, where there are more: what the pairs of eight contestants and more need, corrected together.
const SWAPS: u64 = 8_192;
/// The number of drawn ways as far apart that ends the drawing.
const ENOUGH: u64 = 64;

/// The bucket of a time.
#[must_use]
pub fn bucket(ms: f64) -> u16 {
    let at = ((ms / FIRST_MS).max(1.0).log10() * STEPS).floor();
    (at.min((BUCKETS - 1) as f64)) as u16
}

/// The upper end of a bucket, in milliseconds.
#[must_use]
pub fn upper_ms(bucket: u16) -> f64 {
    FIRST_MS * 10_f64.powf((f64::from(bucket) + 1.0) / STEPS)
}

/// The comparison of two distributions.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// The part of requests by which the two differ the most, 0 to 1.
    pub part: f64,
    /// The bucket up to which that is counted.
    pub bucket: u16,
    /// The first's part of requests up to there.
    pub first: f64,
    /// The second's.
    pub second: f64,
    /// The probability that equal contestants are as far apart.
    pub p: f64,
    /// The number of rounds.
    pub rounds: usize,
}

/// Requests by bucket, in one round.
pub type Counts = [(u16, u64)];

/// Compares two contestants, paired by round; nothing without a round in which both have requests.
pub fn distance<'a>(
    pairs: impl IntoIterator<Item = (&'a Counts, &'a Counts)>,
    seed: u64,
) -> Option<Distance> {
    // A round's difference between the two; a round counts as much as any other.
    let rounds: Vec<(Vec<f64>, Vec<f64>)> =
        pairs.into_iter().filter_map(|(one, other)| Some((cumulative(one)?, cumulative(other)?))).collect();
    let differences: Vec<Vec<f64>> = rounds
        .iter()
        .map(|(one, other)| one.iter().zip(other).map(|(one, other)| one - other).collect())
        .collect();
    let n = differences.len();
    let differences = within(differences);
    let (bucket, part) = farthest(&differences, 0)?;
    let mean = |side: &mut dyn Iterator<Item = &Vec<f64>>| -> f64 {
        side.filter_map(|sums| sums.get(bucket)).sum::<f64>() / n as f64
    };
    Some(Distance {
        part,
        bucket: u16::try_from(bucket).unwrap_or(u16::MAX),
        first: mean(&mut rounds.iter().map(|(one, _)| one)),
        second: mean(&mut rounds.iter().map(|(_, other)| other)),
        p: swapped(&differences, part, seed),
        rounds: n,
    })
}

/// The differences up to the last bucket in which there is any.
fn within(mut differences: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let last =
        |difference: &Vec<f64>| difference.iter().rposition(|each| each.abs() > 1e-12).map_or(1, |at| at + 1);
    let until = differences.iter().map(last).max().unwrap_or(1);
    differences.iter_mut().for_each(|difference| difference.truncate(until));
    differences
}

/// The part of requests up to the end of each bucket.
fn cumulative(counts: &Counts) -> Option<Vec<f64>> {
    let mut sums = vec![0.0; BUCKETS];
    for (bucket, count) in counts {
        *sums.get_mut(usize::from(*bucket))? += *count as f64;
    }
    let all: f64 = sums.iter().sum();
    if all <= 0.0 {
        return None;
    }
    let mut so_far = 0.0;
    for sum in &mut sums {
        so_far += *sum / all;
        *sum = so_far;
    }
    Some(sums)
}

/// The ways to swap two contestants within rounds: to swap all is to swap none, so one half of them says everything.
fn ways(rounds: usize) -> u64 {
    1 << rounds.saturating_sub(1).min(62)
}

/// The least probability that so many rounds can show, however far apart two contestants are.
#[must_use]
pub fn least_p(rounds: usize) -> f64 {
    match ways(rounds) {
        counted @ ..=COUNTED => 1.0 / counted as f64,
        _ => 1.0 / (SWAPS + 1) as f64,
    }
}

/// The bucket of the greatest distance, where the two are swapped in the rounds whose bit is set.
fn farthest(differences: &[Vec<f64>], swapped: u64) -> Option<(usize, f64)> {
    let n = differences.len();
    let mut sums = vec![0.0; differences.first()?.len()];
    for (round, difference) in differences.iter().enumerate() {
        let sign = if round < 64 && swapped >> round & 1 == 1 { -1.0 } else { 1.0 };
        for (sum, each) in sums.iter_mut().zip(difference) {
            *sum += sign * each;
        }
    }
    let distances = sums.into_iter().map(|sum: f64| sum.abs() / n as f64).enumerate();
    distances.reduce(|far, other| if other.1 > far.1 { other } else { far })
}

/// The part of all swaps after which the two are at least as far apart.
fn swapped(differences: &[Vec<f64>], part: f64, seed: u64) -> f64 {
    let as_far = |swaps: u64| farthest(differences, swaps).is_some_and(|(_, far)| far >= part - 1e-12);
    let ways = ways(differences.len());
    if ways <= COUNTED {
        let found = (0..ways).filter(|swaps| as_far(*swaps)).count();
        return found as f64 / ways as f64;
    }
    let mut random = Random::new(seed, 0x05A9);
    let mut found = 0;
    for drawn in 1..=SWAPS {
        found += u64::from(as_far(random.next_u64()));
        if found == ENOUGH {
            return found as f64 / drawn as f64;
        }
    }
    // What was measured is one of the ways.
    (found + 1) as f64 / (SWAPS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests around a time, spread over a third of it.
    fn round(random: &mut Random, humps: &[f64]) -> Vec<(u16, u64)> {
        let mut counts = std::collections::BTreeMap::new();
        let mood = 1.0 + 0.3 * random.unit();
        for at in 0..600 {
            let ms = humps[at % humps.len()] * mood * (0.85 + 0.3 * random.unit());
            *counts.entry(bucket(ms)).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    fn of(random: &mut Random, rounds: usize, one: &[f64], other: &[f64]) -> Distance {
        let pairs: Vec<_> = (0..rounds).map(|_| (round(random, one), round(random, other))).collect();
        distance(pairs.iter().map(|(one, other)| (one.as_slice(), other.as_slice())), 1).unwrap()
    }

    #[test]
    fn buckets_hold_what_they_say() {
        for ms in [0.01, 0.5, 3.0, 999.0] {
            let at = bucket(ms);
            assert!(upper_ms(at) > ms && (at == 0 || upper_ms(at - 1) <= ms), "{ms}: {at}");
        }
        assert_eq!((bucket(0.0), bucket(1e9)), (0, 111));
    }

    #[test]
    fn two_humps_around_one_median_are_another_shape() {
        let mut random = Random::new(3, 0);
        let found = of(&mut random, 9, &[4.0], &[1.0, 1.0, 4.0, 16.0, 16.0]);
        assert!(found.p <= 0.01 && found.part > 0.3, "{found:?}");
        assert!(found.second > found.first || found.first > found.second);
    }

    #[test]
    fn equal_services_are_seldom_called_different_whatever_their_rounds_do() {
        let mut random = Random::new(5, 0);
        let called = (0..300).filter(|_| of(&mut random, 7, &[2.0, 9.0], &[2.0, 9.0]).p <= 0.05).count();
        // Two standard errors of 5 % in 300.
        assert!(called as f64 <= 300.0 * (0.05 + 2.0 * (0.05_f64 * 0.95 / 300.0).sqrt()), "{called}");
    }

    #[test]
    fn five_rounds_are_too_few_to_tell_a_shape_and_thirty_are_drawn() {
        let mut random = Random::new(7, 0);
        assert!(of(&mut random, 5, &[4.0], &[1.0, 16.0]).p >= 1.0 / 16.0);
        let thirty = of(&mut random, 30, &[4.0], &[1.0, 16.0]);
        assert!(thirty.p < 0.01 && thirty.rounds == 30, "{thirty:?}");
        assert_eq!(distance([], 1), None);
    }

    #[test]
    fn every_pair_of_two_to_eight_contestants_can_be_told_apart_from_six_to_eleven_rounds_on() {
        let mut random = Random::new(9, 0);
        for (fewest, contestants) in [(6, 2), (7, 3), (8, 4), (11, 8)] {
            let pairs = f64::from(contestants * (contestants - 1) / 2);
            assert!(least_p(fewest) * pairs <= 0.05 && least_p(fewest - 1) * pairs > 0.05, "{fewest}");
            for rounds in [fewest, 30] {
                let found = of(&mut random, rounds, &[4.0], &[1.0, 16.0]).p;
                assert!(
                    (found - least_p(rounds)).abs() < 1e-12 && found * pairs <= 0.05,
                    "{rounds}: {found}"
                );
            }
        }
    }

    #[test]
    fn equal_services_are_seldom_called_different_where_the_ways_are_drawn() {
        let mut random = Random::new(11, 0);
        let called = (0..200).filter(|_| of(&mut random, 20, &[2.0, 9.0], &[2.0, 9.0]).p <= 0.05).count();
        assert!(called as f64 <= 200.0 * (0.05 + 2.0 * (0.05_f64 * 0.95 / 200.0).sqrt()), "{called}");
    }
}
