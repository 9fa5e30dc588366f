//! Grabs by second, counted in bounded space.

use std::collections::HashMap;
use std::ops::RangeInclusive;

/// The seconds that are counted at a time.
const MOST: usize = 500_000;

/// Counts by second of all grabs of a file, whether or not they are kept: of a part of them the busiest second is known all the
/// same. Of more seconds than fit each loses a grab, until some have none (J. Misra and D. Gries, *Finding Repeated Elements*,
/// 1982).
#[derive(Debug)]
pub(super) struct Seconds {
    counts: HashMap<i64, u32>,
    /// The grabs that each may have lost.
    lost: u32,
    most: usize,
}

impl Default for Seconds {
    fn default() -> Self {
        Self { counts: HashMap::new(), lost: 0, most: MOST }
    }
}

impl Seconds {
    pub(super) fn see(&mut self, millis: i64) {
        *self.counts.entry(millis.div_euclid(1_000)).or_default() += 1;
        while self.counts.len() > self.most {
            self.lost += 1;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The busiest second that begins within these milliseconds or just before them. None if all of these lost whatever they had.
    pub(super) fn busiest(&self, millis: &RangeInclusive<i64>) -> Option<CountedSecond> {
        let within = millis.start().div_euclid(1_000)..=millis.end().div_euclid(1_000);
        let those = self.counts.iter().filter(|(second, _)| within.contains(*second));
        let (second, count) = those.max_by_key(|(second, count)| (**count, std::cmp::Reverse(**second)))?;
        let least = u64::from(*count);
        Some(CountedSecond { second: *second, least, most: least + u64::from(self.lost) })
    }
}

/// A second with its grabs, which are known exactly as long as there are no more seconds than fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedSecond {
    /// The second, since 1970.
    pub second: i64,
    /// The grabs that it has at least.
    pub least: u64,
    /// Those that it has at most; no other second has more.
    pub most: u64,
}

impl CountedSecond {
    /// True if the grabs are known exactly.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.least == self.most
    }

    /// True if the most is a tenth too many at most.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        10 * (self.most - self.least) <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_is_known_however_many_others_there_are_and_strays_are_not_it() {
        let mut seconds = Seconds { most: 100, ..Seconds::default() };
        for n in 0..10_000_i64 {
            seconds.see(1_000_000 + n * 1_000);
            if n % 10 == 0 {
                seconds.see(7_000_400);
                seconds.see(0);
            }
        }
        let found = seconds.busiest(&(1_000_000..=11_000_000)).unwrap();
        // 1,000 of its own, and one as any.
        assert!(found.second == 7_000 && (found.least..=found.most).contains(&1_001), "{found:?}");
        assert!(!found.is_exact() && found.most - found.least == u64::from(seconds.lost), "{found:?}");
        assert!(seconds.counts.len() <= 100 && seconds.lost <= 12_000 / 100, "{}", seconds.lost);
        assert_eq!(seconds.busiest(&(0..=999)).map(|found| found.second), Some(0));
        assert_eq!(seconds.busiest(&(-9_000..=-5_000)), None);
    }

    #[test]
    fn a_count_is_known_that_is_a_tenth_too_high_at_most() {
        let of = |least, most| CountedSecond { second: 0, least, most };
        assert!(of(1_000, 1_000).is_exact() && of(1_000, 1_000).is_known());
        assert!(of(900, 1_000).is_known() && !of(899, 1_000).is_known());
    }
}
