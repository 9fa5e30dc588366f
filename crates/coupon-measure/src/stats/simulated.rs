//! The rule, tried on thousands of simulated comparisons of which the truth is known.

use super::{Judgement, judge, ratios};
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
        // The level promises 6.25 % at most for five rounds and 5 % for more; the rest is the simulation's own noise.
        let wrong = called(rounds, 1.0, 0.3);
        assert!(wrong < 0.075, "{rounds} rounds: {wrong}");
    }
}

#[test]
fn noise_below_what_matters_is_never_a_difference() {
    assert!(called(5, 1.0, 0.005) < 0.001);
}

#[test]
fn a_doubled_latency_is_found_through_the_noise() {
    assert!(called(5, 2.0, 0.1) > 0.75);
    assert!(called(15, 2.0, 0.3) > 0.95);
}

#[test]
fn pairing_finds_what_the_rounds_own_swing_would_hide() {
    // Rounds vary by half, contestants differ by a fifth: only within a round can it be seen.
    assert!(called(15, 1.2, 0.05) > 0.95);
}
