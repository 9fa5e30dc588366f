//! Counts by range of a key and by time, in bounded room: when a key or a moment comes that has no place yet,
//! neighbours are joined until it has.

use std::time::Duration;

/// The most ranges of keys.
pub const RANGES: usize = 32;
/// The most steps of time.
pub const STEPS: usize = 60;
/// The first length of a step, in milliseconds.
const FIRST_STEP: u64 = 250;

/// Counts by range of a key, from 0 on, and by time. All ranges are alike wide, and all steps alike long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// The number of keys in a range.
    width: u64,
    /// The length of a step, in milliseconds.
    step: u64,
    /// One row for each range, as far as keys have come.
    rows: Vec<[u64; STEPS]>,
}

impl Grid {
    /// An empty one, whose ranges have at least so many keys.
    #[must_use]
    pub fn new(width: u64) -> Self {
        Self { width: width.clamp(1, 1 << 32).next_power_of_two(), step: FIRST_STEP, rows: Vec::new() }
    }

    /// Counts a key at a time.
    pub fn add(&mut self, key: u64, at: Duration) {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        while key / self.width >= RANGES as u64 {
            self.widen();
        }
        while at / self.step >= STEPS as u64 {
            self.lengthen();
        }
        self.count(index(key / self.width), index(at / self.step), 1);
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while self.width != other.width {
            if self.width < other.width { self.widen() } else { other.widen() }
        }
        while self.step != other.step {
            if self.step < other.step { self.lengthen() } else { other.lengthen() }
        }
        for (range, row) in other.rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(step, count)| self.count(range, step, *count));
        }
    }

    fn count(&mut self, range: usize, step: usize, count: u64) {
        if self.rows.len() <= range {
            self.rows.resize(range + 1, [0; STEPS]);
        }
        if let Some(cell) = self.rows.get_mut(range).and_then(|row| row.get_mut(step)) {
            *cell += count;
        }
    }

    /// Joins every two ranges.
    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let both = |pair: &[[u64; STEPS]]| {
            std::array::from_fn(|step| pair.iter().filter_map(|row| row.get(step)).sum())
        };
        self.rows = self.rows.chunks(2).map(both).collect();
    }

    /// Joins every two steps.
    fn lengthen(&mut self) {
        self.step = self.step.saturating_mul(2);
        for row in &mut self.rows {
            let before = *row;
            let mut pairs = before.chunks(2);
            *row = std::array::from_fn(|_| pairs.next().map_or(0, |pair| pair.iter().sum()));
        }
    }

    /// The number of keys in a range: range n begins with the key n × this.
    #[must_use]
    pub const fn width(&self) -> u64 {
        self.width
    }

    /// The length of a step.
    #[must_use]
    pub const fn step(&self) -> Duration {
        Duration::from_millis(self.step)
    }

    /// The counts of each range, from the lowest keys to the highest that came; all as far as the last step with any.
    #[must_use]
    pub fn rows(&self) -> Vec<&[u64]> {
        let last = |row: &[u64; STEPS]| row.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let steps = self.rows.iter().map(last).max().unwrap_or(0);
        self.rows.iter().filter_map(|row| row.get(..steps)).collect()
    }
}

/// A number that is below the bounds of a grid.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_hundred_keys_over_a_minute_have_ranges_of_four_and_steps_of_a_second_and_a_bit() {
        let mut grid = Grid::new(1);
        for key in 1..=100 {
            grid.add(key, ms(key * 600));
        }
        assert_eq!((grid.width(), grid.step()), (4, ms(2_000)));
        let rows = grid.rows();
        assert_eq!((rows.len(), rows[0].len()), (26, 31));
        assert_eq!(rows.iter().map(|row| row.iter().sum::<u64>()).collect::<Vec<_>>()[..3], [3, 4, 4]);
    }

    #[test]
    fn a_key_that_is_hot_stays_in_its_range_when_ranges_are_joined() {
        let mut grid = Grid::new(1);
        (0..1_000).for_each(|_| grid.add(5, ms(10)));
        grid.add(1_000_000, ms(3_600_000));
        let rows = grid.rows();
        assert_eq!((rows[0][0], rows.len()), (1_000, 31));
        assert_eq!(rows[30].iter().sum::<u64>(), 1);
    }

    #[test]
    fn the_largest_key_and_the_latest_moment_have_a_place() {
        let mut grid = Grid::new(512);
        grid.add(u64::MAX, Duration::MAX);
        assert_eq!(grid.rows().iter().flat_map(|row| row.iter()).sum::<u64>(), 1);
    }

    proptest! {
        #[test]
        fn merged_grids_count_what_one_would_have(
            one in proptest::collection::vec((0_u64..5_000, 0_u64..100_000), 0..200),
            other in proptest::collection::vec((0_u64..500, 0_u64..10_000), 0..200),
        ) {
            let of = |parts: &[&[(u64, u64)]]| {
                let mut grid = Grid::new(1);
                parts.iter().copied().flatten().for_each(|(key, at)| grid.add(*key, ms(*at)));
                grid
            };
            let mut merged = of(&[&one]);
            merged.merge(&of(&[&other]));
            prop_assert_eq!(&merged, &of(&[&one, &other]));
            prop_assert!(merged.rows().len() <= RANGES && merged.rows().iter().all(|row| row.len() <= STEPS));
        }
    }
}
