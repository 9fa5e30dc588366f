//! Figures of streams that are too long to be kept: how many different values, which of them are frequent, and a fair
//! sample. None takes more room when more values come.

use std::borrow::Borrow;
use std::hash::Hash;

use datasketches::common::NumStdDev;
use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use datasketches::hll::{HllSketch, HllType};

use crate::Random;

/// 16,384 registers: two standard deviations are 1.6 %.
const REGISTERS: u8 = 14;
/// A value that has 0.1 % of all is counted to within that: the sketch promises 3.5 / 4,096 of them.
const COUNTERS: usize = 4_096;

/// Counts different values (HyperLogLog).
#[derive(Debug, Clone)]
pub struct Distinct(HllSketch);

impl Default for Distinct {
    #[expect(clippy::expect_used, reason = "the number of registers is one that is allowed")]
    fn default() -> Self {
        Self(HllSketch::new(REGISTERS, HllType::Hll8).expect("from 4 to 21"))
    }
}

impl Distinct {
    /// Sees a value.
    pub fn add(&mut self, value: &str) {
        self.0.update(value);
    }

    /// The number of different values.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.0.estimate()
    }

    /// The number is between these, in 997 of 1,000 cases.
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        (self.0.lower_bound(NumStdDev::Three), self.0.upper_bound(NumStdDev::Three))
    }
}

/// A value that is frequent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Often<T = String> {
    /// The value.
    pub value: T,
    /// It came so many times at least.
    pub least: u64,
    /// It came so many times at most.
    pub most: u64,
}

/// Finds frequent values, by the algorithm of Misra and Gries as it is of Space-Saving: counters for a few thousand,
/// from all of which something is taken off when there are too many.
#[derive(Debug, Clone)]
pub struct Frequent<T = String>(FrequentItemsSketch<T>);

impl<T: Eq + Hash> Default for Frequent<T> {
    fn default() -> Self {
        Self::with(COUNTERS)
    }
}

impl<T: Eq + Hash> Frequent<T> {
    #[expect(clippy::expect_used, reason = "both numbers of counters are ones that are allowed")]
    fn with(counters: usize) -> Self {
        Self(FrequentItemsSketch::new(counters).expect("a power of two, from 8 on"))
    }

    /// A sketch of a quarter of the counters: the error promised is 0.35 % of all, and the room taken 27 KB for numbers.
    #[must_use]
    pub fn small() -> Self {
        Self::with(COUNTERS / 4)
    }

    /// Sees a value.
    pub fn add<Q>(&mut self, value: &Q)
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        self.0.update_ref(value);
    }

    /// The number of values seen.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.total_weight()
    }

    /// No count is further off than this.
    #[must_use]
    pub fn error(&self) -> u64 {
        self.0.maximum_error()
    }

    /// Every value that is counted still, in no order. One that is not came [`error`](Self::error) times at most.
    pub fn counted(&self) -> impl Iterator<Item = Often<T>>
    where
        T: Clone,
    {
        // An upper bound is above the error wherever there is a counter.
        let rows = self.0.frequent_items(ErrorType::NoFalseNegatives);
        rows.into_iter().map(|row| Often {
            value: row.item().clone(),
            least: row.lower_bound(),
            most: row.upper_bound(),
        })
    }

    /// The most frequent values, the first of them first. A value that is left out came [`error`](Self::error) times at
    /// most, or less often than these.
    #[must_use]
    pub fn most(&self, values: usize) -> Vec<Often<T>>
    where
        T: Clone + Ord,
    {
        let mut found: Vec<Often<T>> = self.counted().collect();
        found.sort_by(|a, b| b.most.cmp(&a.most).then_with(|| a.value.cmp(&b.value)));
        found.truncate(values);
        found
    }
}

/// A fair sample of a stream: every element is in it with the same probability.
#[derive(Debug, Clone)]
pub struct Reservoir<T> {
    kept: Vec<T>,
    room: usize,
    seen: u64,
    random: Random,
}

impl<T> Reservoir<T> {
    /// An empty sample that has room for so many elements. The seed decides which.
    #[must_use]
    pub fn new(room: usize, random: Random) -> Self {
        Self { kept: Vec::new(), room, seen: 0, random }
    }

    /// Sees an element, which is made only if it is kept (algorithm R, of Vitter).
    pub fn add(&mut self, element: impl FnOnce() -> T) {
        self.seen += 1;
        if self.kept.len() < self.room {
            self.kept.push(element());
            return;
        }
        let place = usize::try_from(self.random.below(self.seen)).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = element();
        }
    }

    /// The elements kept, in no order.
    #[must_use]
    pub fn kept(&self) -> &[T] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Streams of up to 30,000 values: the smaller a value, the more frequent.
    fn streams() -> impl Strategy<Value = Vec<u64>> {
        (1_u64..1 << 40, 1_usize..30_000, 1_u64..100_000, any::<bool>()).prop_map(
            |(seed, length, values, skewed)| {
                let mut random = Random::new(seed, 0);
                let draw = |_| {
                    let even = random.below(values);
                    if skewed { random.below(even + 1) } else { even }
                };
                (0..length).map(draw).collect()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn different_values_are_counted_to_within_four_percent(stream in streams()) {
            let mut distinct = Distinct::default();
            stream.iter().for_each(|value| distinct.add(&value.to_string()));
            let truth = stream.iter().collect::<BTreeSet<_>>().len() as f64;
            // Five standard deviations: no stream is that far off.
            prop_assert!((distinct.estimate() / truth - 1.0).abs() < 0.04, "{} of {truth}", distinct.estimate());
            let (low, high) = distinct.bounds();
            prop_assert!(low <= distinct.estimate() && distinct.estimate() <= high);
        }

        #[test]
        fn every_count_of_a_frequent_value_is_within_its_bounds(stream in streams()) {
            let mut frequent = Frequent::<String>::default();
            let mut truth = BTreeMap::<String, u64>::new();
            for value in &stream {
                frequent.add(&value.to_string());
                *truth.entry(value.to_string()).or_default() += 1;
            }
            prop_assert_eq!(frequent.total(), stream.len() as u64);
            prop_assert!(frequent.error() as f64 <= 3.5 / COUNTERS as f64 * stream.len() as f64);
            let found = frequent.most(usize::MAX);
            for often in &found {
                let times = truth[&often.value];
                prop_assert!(often.least <= times && times <= often.most, "{:?}: {}", often, times);
            }
            // None that is more frequent than the error is missed.
            let known: BTreeSet<&String> = found.iter().map(|often| &often.value).collect();
            for (value, times) in &truth {
                prop_assert!(*times <= frequent.error() || known.contains(value), "{}: {}", value, times);
            }
        }
    }

    #[test]
    fn few_values_are_counted_exactly_and_the_most_frequent_come_first() {
        let (mut distinct, mut frequent) = (Distinct::default(), Frequent::<String>::default());
        for value in ["a", "b", "a", "c", "a", "b"] {
            distinct.add(value);
            frequent.add(value);
        }
        assert!((distinct.estimate() - 3.0).abs() < 0.01);
        let often = |value: &str, times| Often { value: value.to_owned(), least: times, most: times };
        assert_eq!((frequent.most(2), frequent.error()), (vec![often("a", 3), often("b", 2)], 0));
    }

    #[test]
    fn every_element_is_as_likely_in_a_sample() {
        let mut times = [0_u32; 10];
        for seed in 0..2_000 {
            let mut sample = Reservoir::new(3, Random::new(seed, 1));
            (0..10).for_each(|element| sample.add(|| element));
            assert_eq!(sample.kept().len(), 3);
            sample.kept().iter().for_each(|element| times[*element] += 1);
        }
        // 600 each, and a standard deviation of 20.
        assert!(times.iter().all(|times| (500..700).contains(times)), "{times:?}");
    }
}
