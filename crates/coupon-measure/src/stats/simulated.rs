//! The rule, tried on thousands of simulated comparisons of which the truth is known.

use super::{Comparison, Judgement, Least, RELEVANT_DIFFERENCE, judge, judge_family, ratios};
use crate::random::Random;

/// A latency: skewed, with a heavy tail, as rounds on a shared machine have it.
fn noise(random: &mut Random, spread: f64) -> f64 {
    let radius = (-2.0 * random.unit().max(1e-300).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * random.unit()).cos();
    (spread * normal).exp() * if random.unit() < 0.05 { 3.0 } else { 1.0 }
}

/// The share of many comparisons of `rounds` rounds each that call a difference, where the first contestant truly takes
/// `effect` times as long; the rounds themselves go up and down by far more.
fn called(rounds: usize, effect: f64, spread: f64) -> f64 {
    let mut random = Random::new(7, 0);
    let comparisons = 4_000;
    let found = (0..comparisons)
        .filter(|_| {
            let pairs: Vec<(f64, f64)> = (0..rounds)
                .map(|_| {
                    let mood = noise(&mut random, 0.5);
                    (mood * effect * noise(&mut random, spread), mood * noise(&mut random, spread))
                })
                .collect();
            matches!(judge(&ratios(pairs)), Judgement::More(_) | Judgement::Less(_))
        })
        .count();
    found as f64 / f64::from(comparisons)
}

#[test]
fn equal_contestants_seldom_differ() {
    for rounds in [5, 6, 9, 15, 30] {
        // 5 % at most; the rest is the simulation's own noise.
        let wrong = called(rounds, 1.0, 0.3);
        assert!(wrong < 0.06, "{rounds} rounds: {wrong}");
    }
}

/// The share of many families of `pairs` times `metrics` comparisons between three equal contestants that call anything.
fn any_called(rounds: usize, noise: impl Fn(&mut Random) -> f64) -> f64 {
    let mut random = Random::new(11, 0);
    let families = 2_000;
    let found = (0..families)
        .filter(|_| {
            let mut comparisons = Vec::new();
            for _metric in 0..2 {
                let figures: Vec<[f64; 3]> = (0..rounds)
                    .map(|_| {
                        let mood = noise(&mut random);
                        [0, 1, 2].map(|_| mood * noise(&mut random))
                    })
                    .collect();
                for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                    let ratios = ratios(figures.iter().map(|round| (round[one], round[other])));
                    comparisons.push(Comparison { ratios, least: Least::ratio(RELEVANT_DIFFERENCE) });
                }
            }
            judge_family(&comparisons)
                .iter()
                .any(|one| matches!(one.judgement, Judgement::More(_) | Judgement::Less(_)))
        })
        .count();
    found as f64 / f64::from(families)
}

#[test]
fn a_family_of_comparisons_of_equal_contestants_errs_no_more_often_than_one_may() {
    // Two standard errors of 5 % in 2,000.
    let most = 0.05 + 2.0 * (0.05_f64 * 0.95 / 2_000.0).sqrt();
    for rounds in [5, 7, 9, 15] {
        for wrong in [
            any_called(rounds, |random| noise(random, 0.3)),
            // Without any tails at all, where Student's t errs the most.
            any_called(rounds, |random| 1.0 + random.unit()),
            any_called(rounds, Random::exponential),
        ] {
            assert!(wrong <= most, "{rounds} rounds: {wrong}");
        }
    }
}

#[test]
fn noise_below_what_matters_is_never_a_difference() {
    assert!(called(5, 1.0, 0.005) < 0.001);
}

#[test]
fn a_doubled_latency_is_found_through_the_noise() {
    assert!(called(5, 2.0, 0.1) > 0.5, "{}", called(5, 2.0, 0.1));
    assert!(called(15, 2.0, 0.3) > 0.95, "{}", called(15, 2.0, 0.3));
}

#[test]
fn pairing_finds_what_the_rounds_own_swing_would_hide() {
    // Rounds vary by half, contestants differ by a fifth: only within a round can it be seen.
    assert!(called(15, 1.2, 0.05) > 0.8, "{}", called(15, 1.2, 0.05));
}
