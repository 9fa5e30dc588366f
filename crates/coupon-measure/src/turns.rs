//! The order of turns, and the seed of each round's requests: both drawn from one seed.

use crate::random::Random;

/// Apart from the streams of rounds, which are counted from 0.
const TURNS: u64 = 1 << 63;
const WARM_UP: u64 = 1 << 62;

/// The order of turns, drawn anew for every round.
#[derive(Debug)]
pub struct Turns(Random);

impl Turns {
    /// The turns of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed, TURNS))
    }

    /// The numbers below `count` in a random order (Fisher and Yates).
    pub fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = usize::try_from(self.0.below(last as u64 + 1)).unwrap_or(last);
            order.swap(last, other);
        }
        order
    }
}

/// The seed of a round's requests, the same for every contestant; that of the warm-up without a round.
pub fn seed_of_round(seed: u64, round: Option<u32>) -> u64 {
    Random::new(seed, round.map_or(WARM_UP, u64::from)).next_u64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_order_has_everybody_once_and_a_seed_repeats_it() {
        let (mut one, mut same) = (Turns::new(7), Turns::new(7));
        for _ in 0..20 {
            let order = one.shuffled(6);
            assert_eq!(order, same.shuffled(6));
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 6);
        }
        assert!(one.shuffled(0).is_empty());
    }

    #[test]
    fn everybody_is_first_about_as_often() {
        let mut turns = Turns::new(1);
        let mut first = [0_u32; 4];
        for _ in 0..4_000 {
            first[turns.shuffled(4)[0]] += 1;
        }
        assert!(first.iter().all(|times| (850..1_150).contains(times)), "{first:?}");
    }

    #[test]
    fn every_round_and_the_warm_up_have_requests_of_their_own() {
        let rounds = (0..100).map(Some).chain([None]);
        let seeds: BTreeSet<u64> = rounds.map(|round| seed_of_round(1, round)).collect();
        assert_eq!(seeds.len(), 101);
        assert_ne!(seed_of_round(1, Some(0)), seed_of_round(2, Some(0)));
    }
}
