//! Ranges of rooms that have as much work each as the rooms allow.

use std::num::NonZeroU16;

use coupon_core::RoomId;
use coupon_strategies::RoomRanges;

use super::Recording;

/// The most ranges a shard that a split may have: each is a table, and more of them even out ever less.
const MOST_PER_SHARD: u16 = 16;
/// The number of times that sizes are corrected.
const CORRECTIONS: u32 = 24;

/// Cuts as many ranges as shards, so that the busiest of them is as little busy as can be. A room is never cut.
#[must_use]
pub fn equal_work(recording: &Recording, shards: NonZeroU16) -> RoomRanges {
    let rows = &recording.rooms.stored;
    let ranges = usize::from(shards.get());
    // No range can have less than the busiest room, and none needs more than all.
    let (mut low, mut high) = (rows.iter().copied().max().unwrap_or(0), rows.iter().sum::<u64>());
    while low < high {
        let middle = u64::midpoint(low, high);
        if filled(rows, &[middle as f64]).len() <= ranges { high = middle } else { low = middle + 1 }
    }
    starting_at(recording, &filled(rows, &[low as f64]))
}

/// Ranges, more of them than shards, so that a hot room has one to itself and the others even out what it leaves. Range i lives
/// on shard i % shards, whatever it holds, so that a shard with a hot room must get less in its other ranges: sizes are corrected
/// by what each shard came to, again and again, and the best of all attempts counts.
#[must_use]
pub fn split(recording: &Recording, shards: NonZeroU16) -> RoomRanges {
    let rows = &recording.rooms.stored;
    let fair = rows.iter().sum::<u64>() as f64 / f64::from(shards.get());
    let mut best: Option<(u64, Vec<usize>)> = None;
    for per_shard in 2..=MOST_PER_SHARD {
        let mut sizes = vec![fair / f64::from(per_shard); usize::from(shards.get())];
        for _ in 0..CORRECTIONS {
            let starts = filled(rows, &sizes);
            let loads = loads(rows, &starts, sizes.len());
            let hottest = loads.iter().copied().max().unwrap_or(0);
            for (size, load) in sizes.iter_mut().zip(loads) {
                // By halves, so that a size does not swing; a range that holds nothing could never grow again.
                *size = (*size * (1.0 + fair / (load as f64).max(1.0)) / 2.0).clamp(1.0, fair.max(1.0));
            }
            if best.as_ref().is_none_or(|(least, found)| (hottest, starts.len()) < (*least, found.len())) {
                best = Some((hottest, starts));
            }
        }
    }
    starting_at(recording, &best.map(|(_, starts)| starts).unwrap_or_default())
}

/// The starts of ranges that hold at most so many rows, range i as many as size i % sizes says; a room with more has
/// a range to itself.
fn filled(rows: &[u64], sizes: &[f64]) -> Vec<usize> {
    let (mut starts, mut held, mut most) = (Vec::new(), 0, 0.0);
    for (room, more) in rows.iter().enumerate() {
        if starts.is_empty() || (held + more) as f64 > most {
            most = sizes.get(starts.len() % sizes.len().max(1)).copied().unwrap_or_default();
            starts.push(room);
            held = 0;
        }
        held += more;
    }
    starts
}

/// The rows on each shard.
fn loads(rows: &[u64], starts: &[usize], shards: usize) -> Vec<u64> {
    let mut loads = vec![0; shards];
    let ends = starts.iter().skip(1).copied().chain([rows.len()]);
    for (range, (start, end)) in starts.iter().zip(ends).enumerate() {
        if let Some(load) = loads.get_mut(range % shards) {
            *load += rows.get(*start..end).unwrap_or_default().iter().sum::<u64>();
        }
    }
    loads
}

/// The ranges that begin with these of the recording's rooms; the first begins with the first room that there can be.
fn starting_at(recording: &Recording, starts: &[usize]) -> RoomRanges {
    let ids = &recording.rooms.ids;
    let id = |start: usize| if start == 0 { Some(1) } else { ids.get(start).copied() };
    RoomRanges::Starts(starts.iter().filter_map(|start| RoomId::new(id(*start)?).ok()).collect())
}

#[cfg(test)]
mod tests {
    use coupon_measure::random::Random;

    use super::*;

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    fn recording(rows: &[u64]) -> Recording {
        let mut recording = Recording::default();
        recording.rooms.stored = rows.to_vec();
        recording.rooms.ids = (1..=rows.len() as u64).collect();
        recording
    }

    fn starts(ranges: &RoomRanges) -> Vec<usize> {
        match ranges {
            RoomRanges::Starts(starts) => starts.iter().map(|room| room.get() as usize - 1).collect(),
            RoomRanges::Equal(_) | RoomRanges::Placed(_) => panic!("these are listed"),
        }
    }

    fn hottest(rows: &[u64], starts: &[usize]) -> u64 {
        loads(rows, starts, 4).into_iter().max().unwrap()
    }

    #[test]
    fn a_split_gives_the_shard_of_a_hot_room_less_of_the_rest() {
        // The hot room has a shard's fair share to the last grab: no boundary can do better than that.
        let rows: Vec<u64> = (0..1_500).map(|room| if room == 520 { 500 } else { 1 }).collect();
        let found = hottest(&rows, &starts(&split(&recording(&rows), FOUR)));
        assert!((500..=515).contains(&found), "{found} of {}", 1_999);
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
            let rows: Vec<u64> = (0..12).map(|_| random.below(100)).collect();
            let found = hottest(&rows, &starts(&equal_work(&recording(&rows), FOUR)));
            for a in 1..10 {
                for b in a + 1..11 {
                    for c in b + 1..12 {
                        assert!(hottest(&rows, &[0, a, b, c]) >= found, "{rows:?}: {a}, {b}, {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_split_gives_neighbours_that_are_hot_shards_of_their_own() {
        // Rooms 1 to 4 have all the work, and any range of two of them would halve what four shards are worth.
        let mut rows = vec![1; 100];
        rows[..4].copy_from_slice(&[1_000, 1_000, 1_000, 1_000]);
        let found = split(&recording(&rows), FOUR);
        assert!(hottest(&rows, &starts(&found)) <= 1_100, "{found}");
        assert_eq!(starts(&found)[..4], [0, 1, 2, 3]);
    }
}
