//! A part of the rows: those of a user and a coupon together, chosen by their hash.

use anyhow::{Context, Result, ensure};
use coupon_measure::format::percent;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of a hash, apart from those that decide the places of rows.
const SEED: u64 = 0x5eed_7ace;

/// A part of the rows, as `1%` or `0.01`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct RowShare(f64);

impl Default for RowShare {
    /// All of them.
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::str::FromStr for RowShare {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = text.trim().strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let form = || format!("{text:?} is no part of the rows, such as 1% or 0.01");
        let part = number.trim().parse::<f64>().with_context(form)? / unit;
        ensure!(part > 0.0 && part <= 1.0, form());
        Ok(Self(part))
    }
}

impl std::fmt::Display for RowShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 0.001 { write!(f, "1 in {:.0}", 1.0 / self.0) } else { f.write_str(&percent(self.0)) }
    }
}

/// Chooses the rows that are kept. A row of a chosen user and coupon brings all of theirs along, so that repeats stay
/// repeats, and no strategy's shards are hit more than others: the hash is another than theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampling {
    part: RowShare,
}

impl Sampling {
    pub(super) const fn new(part: RowShare) -> Self {
        Self { part }
    }

    /// The part that is kept; none, if all is.
    pub(super) fn part(self) -> Option<RowShare> {
        (self.part.0 < 1.0).then_some(self.part)
    }

    /// Keeps half of what was kept so far.
    pub(super) fn halve(&mut self) {
        self.part.0 /= 2.0;
    }

    pub(super) fn keeps(self, user: u64, coupon: u64) -> bool {
        if self.part.0 >= 1.0 {
            return true;
        }
        let [low, high] = [user, coupon].map(u64::to_le_bytes);
        let hash = xxh3_64_with_seed([low, high].as_flattened(), SEED);
        // To 53 bits, all of which a double holds.
        ((hash >> 11) as f64) < self.part.0 * 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_be_written_in_two_ways() {
        assert_eq!("1%".parse::<RowShare>().unwrap(), "0.01".parse().unwrap());
        assert_eq!("100%".parse::<RowShare>().unwrap(), RowShare::default());
        for text in ["", "0", "0%", "101%", "1.5", "-1%", "some", "NaN"] {
            assert!(text.parse::<RowShare>().is_err(), "{text:?}");
        }
        assert_eq!("12.5%".parse::<RowShare>().unwrap().to_string(), "12.5 %");
        assert_eq!("0.0005".parse::<RowShare>().unwrap().to_string(), "1 in 2000");
    }

    #[test]
    fn half_of_a_sample_is_within_it_and_as_large_as_it_says() {
        let mut sampling = Sampling::new("50%".parse().unwrap());
        let kept =
            |sampling: Sampling| (0..20_000_u64).filter(|n| sampling.keeps(*n, n % 7)).collect::<Vec<_>>();
        let half = kept(sampling);
        sampling.halve();
        let quarter = kept(sampling);
        assert!((9_700..10_300).contains(&half.len()) && (4_750..5_250).contains(&quarter.len()));
        assert!(quarter.iter().all(|n| half.binary_search(n).is_ok()));
    }
}
