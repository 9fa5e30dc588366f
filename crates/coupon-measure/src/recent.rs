//! The frequent values of the last minute, in bounded memory: a window every ten seconds, with a sketch of its own for each
//! column of what is seen.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::sketch::{Frequent, Often};

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(10);
/// The number of windows that are counted, the one that goes on among them: they reach back for fifty seconds at least, a minute
/// at most.
const WINDOWS: u64 = 6;

/// Rows of so many numbers each, seen of late. A copy shares what both have seen so far.
#[derive(Debug, Clone)]
pub struct Recent<const COLUMNS: usize> {
    /// The latest last.
    windows: VecDeque<Window<COLUMNS>>,
}

#[derive(Debug, Clone)]
struct Window<const COLUMNS: usize> {
    /// Its number, from 0 at the beginning of time.
    number: u64,
    columns: Arc<[Frequent<u64>; COLUMNS]>,
}

impl<const COLUMNS: usize> Default for Recent<COLUMNS> {
    fn default() -> Self {
        Self { windows: VecDeque::new() }
    }
}

impl<const COLUMNS: usize> Recent<COLUMNS> {
    /// Counts rows seen at a time. All counts that are read together have one beginning of time.
    pub fn see(&mut self, at: Duration, rows: impl Iterator<Item = [u64; COLUMNS]>) {
        let number = number(at);
        // A time before the last one's counts with it.
        if self.windows.back().is_none_or(|last| last.number < number) {
            let columns = std::array::from_fn(|_| Frequent::small());
            self.windows.push_back(Window { number, columns: Arc::new(columns) });
            self.windows.retain(|window| window.number >= oldest(at));
        }
        let Some(window) = self.windows.back_mut() else { return };
        // A copy that a reader has stays as it is.
        let columns = Arc::make_mut(&mut window.columns);
        for row in rows {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.add(&value));
        }
    }
}

/// The counts of several [`Recent`], read together.
#[derive(Debug)]
pub struct Recents<const COLUMNS: usize> {
    of: Vec<Recent<COLUMNS>>,
    at: Duration,
}

impl<const COLUMNS: usize> Recents<COLUMNS> {
    /// These counts, as of that time.
    #[must_use]
    pub const fn new(of: Vec<Recent<COLUMNS>>, at: Duration) -> Self {
        Self { of, at }
    }

    /// The time that the counts reach back: since the beginning, as long as that is less than a minute ago.
    #[must_use]
    pub fn span(&self) -> Duration {
        let begun = WINDOW * u32::try_from(oldest(self.at)).unwrap_or(u32::MAX);
        self.at.saturating_sub(begun)
    }

    /// The most frequent values of a column, over all counts.
    #[must_use]
    pub fn column(&self, column: usize) -> Top {
        let mut top = Top::default();
        let windows = self.of.iter().flat_map(|recent| &recent.windows);
        let counted = windows.filter(|window| window.number >= oldest(self.at));
        for sketch in counted.filter_map(|window| window.columns.get(column)) {
            top.add(sketch);
        }
        top
    }
}

fn number(at: Duration) -> u64 {
    at.as_secs() / WINDOW.as_secs()
}

/// The number of the oldest window that counts.
fn oldest(at: Duration) -> u64 {
    (number(at) + 1).saturating_sub(WINDOWS)
}

/// Counts of values, added up.
#[derive(Debug, Default)]
pub struct Top {
    all: u64,
    error: u64,
    /// The least number of times that each value came.
    least: HashMap<u64, u64>,
}

impl Top {
    /// Adds what a sketch has counted.
    pub fn add(&mut self, sketch: &Frequent<u64>) {
        self.all += sketch.total();
        self.error += sketch.error();
        for Often { value, least, .. } in sketch.counted() {
            *self.least.entry(value).or_default() += least;
        }
    }

    /// The number of values seen.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.all
    }

    /// No count is further off than this, which is as small a part of all as it is in the sketches.
    #[must_use]
    pub const fn error(&self) -> u64 {
        self.error
    }

    /// The values that are certainly more frequent than any that is not counted any more, the most frequent first, at
    /// most so many. Whatever has more than twice the error is among them, if there is room.
    #[must_use]
    pub fn most(&self, values: usize) -> Vec<Often<u64>> {
        let certain = self.least.iter().filter(|(_, least)| **least > self.error);
        let mut found: Vec<Often<u64>> = certain
            .map(|(value, least)| Often { value: *value, least: *least, most: least + self.error })
            .collect();
        found.sort_unstable_by(|a, b| b.least.cmp(&a.least).then_with(|| a.value.cmp(&b.value)));
        found.truncate(values);
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Random;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn often(value: u64, times: u64) -> Often<u64> {
        Often { value, least: times, most: times }
    }

    #[test]
    fn what_is_older_than_a_minute_counts_no_longer() {
        let mut recent = Recent::<1>::default();
        recent.see(seconds(3), [[7], [7], [8]].into_iter());
        recent.see(seconds(14), [[8]].into_iter());
        let most = |at| Recents::new(vec![recent.clone()], seconds(at)).column(0).most(9);
        assert_eq!(most(15), [often(7, 2), often(8, 2)]);
        assert_eq!(most(59), [often(7, 2), often(8, 2)]);
        assert_eq!(most(60), [often(8, 1)]);
        assert_eq!(most(70), []);
    }

    #[test]
    fn the_span_is_as_long_as_the_counts_reach_back() {
        for (at, span) in [(0, 0), (9, 9), (59, 59), (60, 50), (69, 59), (3_605, 55)] {
            assert_eq!(Recents::<1>::new(Vec::new(), seconds(at)).span(), seconds(span), "{at}");
        }
    }

    #[test]
    fn windows_that_are_over_take_no_room() {
        let mut recent = Recent::<2>::default();
        for at in 0..1_000 {
            recent.see(seconds(at), [[at, 1]].into_iter());
            assert!(recent.windows.len() <= 6);
        }
    }

    #[test]
    fn who_has_seen_the_same_value_is_added_up_column_by_column() {
        let (mut one, mut other) = (Recent::<2>::default(), Recent::<2>::default());
        one.see(seconds(1), [[1, 50], [2, 50]].into_iter());
        other.see(seconds(12), [[1, 60], [1, 50]].into_iter());
        let all = Recents::new(vec![one, other], seconds(12));
        assert_eq!(all.column(0).most(9), [often(1, 3), often(2, 1)]);
        assert_eq!(all.column(1).most(1), [often(50, 3)]);
        assert_eq!((all.column(0).all(), all.column(0).error()), (4, 0));
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut recent = Recent::<1>::default();
        recent.see(seconds(1), [[5]].into_iter());
        let before = recent.clone();
        recent.see(seconds(2), [[5]].into_iter());
        assert_eq!(Recents::new(vec![before], seconds(2)).column(0).most(1), [often(5, 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn counts_are_within_their_error_and_nothing_hot_is_missed(seed in any::<u64>(), values in 1_u64..50_000) {
            let mut random = Random::new(seed, 0);
            let mut workers = [Recent::<1>::default(), Recent::default()];
            let mut truth = BTreeMap::<u64, u64>::new();
            for second in 0..50 {
                let worker = if random.below(2) == 0 { &mut workers[0] } else { &mut workers[1] };
                // A value of three is the first.
                let rows: Vec<[u64; 1]> = (0..200)
                    .map(|_| [if random.below(3) == 0 { 0 } else { random.below(values) }])
                    .collect();
                rows.iter().for_each(|[value]| *truth.entry(*value).or_default() += 1);
                worker.see(seconds(second), rows.into_iter());
            }
            let top = Recents::new(workers.to_vec(), seconds(50)).column(0);
            prop_assert_eq!(top.all(), 10_000);
            prop_assert!(top.error() <= 35, "{}", top.error());
            let most = top.most(usize::MAX);
            prop_assert_eq!(most.first().map(|often| often.value), Some(0));
            for Often { value, least, most } in &most {
                prop_assert!((*least..=*most).contains(&truth[value]), "{}", value);
            }
            for (value, times) in truth {
                let named = most.iter().any(|often| often.value == value);
                prop_assert!(named || times <= 2 * top.error(), "{} came {} times", value, times);
            }
        }
    }
}
