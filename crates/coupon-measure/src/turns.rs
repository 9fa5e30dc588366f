//! The order of turns, and the seed of each round's requests: both drawn from one seed.

use crate::random::Random;

/// The stream of turns, apart from those of rounds, which are counted from 0.
const TURNS: u64 = 1 << 63;
const WARM_UP: u64 = 1 << 62;

/// The order of turns: rotations of a row that is drawn anew whenever each of it was first once.
///
/// A machine that warms up, or a service that leaves work behind, favours a place in the order. Drawn anew for every round, one
/// contestant may well be first in most of five rounds; rotated, each is in every place as often as any other, or once more.
#[derive(Debug)]
pub struct Turns {
    random: Random,
    row: Vec<usize>,
    /// The rotations of the row that were used.
    used: usize,
}

impl Turns {
    /// The turns of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed, TURNS), row: Vec::new(), used: 0 }
    }

    /// The numbers below `count` in the order of the next round.
    pub fn next_order(&mut self, count: usize) -> Vec<usize> {
        if self.row.len() != count || self.used >= count {
            (self.row, self.used) = (self.shuffled(count), 0);
        }
        let mut order = self.row.clone();
        order.rotate_left(self.used);
        self.used += 1;
        order
    }

    /// The numbers below `count` in a random order (Fisher and Yates).
    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = usize::try_from(self.random.below(last as u64 + 1)).unwrap_or(last);
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
            let order = one.next_order(6);
            assert_eq!(order, same.next_order(6));
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 6);
        }
        assert!(one.next_order(0).is_empty());
    }

    #[test]
    fn everybody_has_every_place_as_often_as_any_other_or_once_more() {
        for (seed, contestants, rounds) in [(1, 3, 5), (2, 4, 30), (9, 6, 7), (3, 2, 15)] {
            let mut turns = Turns::new(seed);
            let mut places = vec![vec![0_usize; contestants]; contestants];
            for _ in 0..rounds {
                for (place, contestant) in turns.next_order(contestants).into_iter().enumerate() {
                    places[contestant][place] += 1;
                }
            }
            for (contestant, times) in places.iter().enumerate() {
                let (least, most) = (rounds / contestants, rounds.div_ceil(contestants));
                let even = times.iter().all(|times| (least..=most).contains(times));
                assert!(even, "seed {seed}: {contestant} has {times:?}");
            }
        }
    }

    #[test]
    fn every_row_comes_up() {
        let mut turns = Turns::new(1);
        let rows: BTreeSet<Vec<usize>> = (0..300).map(|_| turns.next_order(3)).collect();
        assert_eq!(rows.len(), 6);
    }

    #[test]
    fn every_round_and_the_warm_up_have_requests_of_their_own() {
        let rounds = (0..100).map(Some).chain([None]);
        let seeds: BTreeSet<u64> = rounds.map(|round| seed_of_round(1, round)).collect();
        assert_eq!(seeds.len(), 101);
        assert_ne!(seed_of_round(1, Some(0)), seed_of_round(2, Some(0)));
    }
}
