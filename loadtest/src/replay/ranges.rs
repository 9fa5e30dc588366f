//! Ranges of rooms that have as much work each as the rooms allow.

use std::num::NonZeroU16;

use coupon_core::RoomId;
use range_svc::RoomRanges;

use super::Recording;

/// The most ranges a shard that a split may have: each is a table, and more of them even out ever less.
const MOST_PER_SHARD: u64 = 16;

/// As many ranges as shards, so that the busiest of them is as little busy as can be. A room is never cut.
#[must_use]
pub fn equal_work(recording: &Recording, shards: NonZeroU16) -> RoomRanges {
    let grabs = &recording.rooms.grabs;
    let ranges = usize::from(shards.get());
    // No range can have less than the busiest room, and none needs more than all.
    let (mut low, mut high) = (grabs.iter().copied().max().unwrap_or(0), grabs.iter().sum::<u64>());
    while low < high {
        let middle = u64::midpoint(low, high);
        if filled(grabs, middle).len() <= ranges { high = middle } else { low = middle + 1 }
    }
    starting_at(&filled(grabs, low))
}

/// More ranges than shards, so that a hot room has one of its own and the others even out what it leaves. Range i lives on
/// shard i % shards, whatever it holds: of all sizes of ranges, the one that fits that best.
#[must_use]
pub fn split(recording: &Recording, shards: NonZeroU16) -> RoomRanges {
    let grabs = &recording.rooms.grabs;
    let (total, shards) = (grabs.iter().sum::<u64>(), u64::from(shards.get()));
    let sizes = (shards + 1..=shards * MOST_PER_SHARD).map(|ranges| total.div_ceil(ranges));
    let candidates = sizes.map(|most| filled(grabs, most));
    let best = candidates.min_by_key(|starts| (hottest(grabs, starts, shards), starts.len()));
    starting_at(&best.unwrap_or_default())
}

/// Where ranges start that hold at most so many grabs; a room with more has a range of its own.
fn filled(grabs: &[u64], most: u64) -> Vec<usize> {
    let (mut starts, mut held) = (Vec::new(), 0);
    for (room, more) in grabs.iter().enumerate() {
        if starts.is_empty() || held + more > most {
            starts.push(room);
            held = 0;
        }
        held += more;
    }
    starts
}

/// The grabs on the busiest shard.
fn hottest(grabs: &[u64], starts: &[usize], shards: u64) -> u64 {
    let mut loads = vec![0; usize::try_from(shards).unwrap_or(1)];
    let ends = starts.iter().skip(1).copied().chain([grabs.len()]);
    for (range, (start, end)) in starts.iter().zip(ends).enumerate() {
        let work: u64 = grabs.get(*start..end).unwrap_or_default().iter().sum();
        let shards = loads.len();
        if let Some(load) = loads.get_mut(range % shards) {
            *load += work;
        }
    }
    loads.into_iter().max().unwrap_or(0)
}

fn starting_at(starts: &[usize]) -> RoomRanges {
    RoomRanges::Starts(starts.iter().filter_map(|start| RoomId::new(*start as u64 + 1).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    fn recording(grabs: &[u64]) -> Recording {
        let mut recording = Recording::default();
        recording.rooms.grabs = grabs.to_vec();
        recording
    }

    fn starts(ranges: &RoomRanges) -> Vec<usize> {
        match ranges {
            RoomRanges::Starts(starts) => starts.iter().map(|room| room.get() as usize - 1).collect(),
            RoomRanges::Equal(_) => panic!("these are listed"),
        }
    }

    #[test]
    fn equal_work_leaves_no_range_busier_than_it_must_be() {
        let ranges = equal_work(&recording(&[9, 1, 1, 1, 3, 3, 3, 3, 12]), FOUR);
        assert_eq!(starts(&ranges), [0, 4, 8]);
        // Nothing lower than 12 can be: that is one room.
        let ranges = equal_work(&recording(&[5, 5, 5, 5]), FOUR);
        assert_eq!(starts(&ranges), [0, 1, 2, 3]);
    }

    #[test]
    fn no_other_four_ranges_are_better() {
        let mut random = Random::new(1, 0);
        for _ in 0..50 {
            let grabs: Vec<u64> = (0..12).map(|_| random.below(100)).collect();
            let found = hottest(&grabs, &starts(&equal_work(&recording(&grabs), FOUR)), 4);
            for a in 1..10 {
                for b in a + 1..11 {
                    for c in b + 1..12 {
                        assert!(hottest(&grabs, &[0, a, b, c], 4) >= found, "{grabs:?}: {a}, {b}, {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_split_gives_neighbours_that_are_hot_shards_of_their_own() {
        // Rooms 1 to 4 have all the work, and any range of two of them would halve what four shards are worth.
        let mut grabs = vec![1; 100];
        grabs[..4].copy_from_slice(&[1_000, 1_000, 1_000, 1_000]);
        let found = split(&recording(&grabs), FOUR);
        assert!(hottest(&grabs, &starts(&found), 4) <= 1_100, "{found}");
        assert_eq!(starts(&found)[..4], [0, 1, 2, 3]);
    }
}
