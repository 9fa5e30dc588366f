//! Numbers as people write them: the same ways for every flag of every program.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

/// The largest count: as the largest id, a double holds it exactly.
const MOST: u64 = (1 << 53) - 1;
/// The words for 0 where there must be something.
const NOT_NONE: &str = "it must be at least 1";

/// A whole number, with K, M or B behind it, underscores within it, or written as 1e9.
///
/// # Errors
/// For anything else, and for more than the flag can take.
pub fn count<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let read = read(text)
        .ok_or_else(|| format!("give a whole number up to {MOST}, for example 500000, 100k, 10M or 1e9"))?;
    N::try_from(read).map_err(|_| too_many(read, |count| N::try_from(count).is_ok()))
}

/// The refusal of a count that a type does not hold, with the largest that it does.
fn too_many(given: u64, holds: impl Fn(u64) -> bool) -> String {
    let all_ones = (1..=u64::BITS).map(|bits| u64::MAX >> (u64::BITS - bits));
    let most = all_ones.rev().find(|count| holds(*count)).unwrap_or(0);
    format!("{given} is too many: give {most} at most")
}

/// The same, at least 1.
///
/// # Errors
/// As for [`count`], and for 0.
pub fn some<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    if read(text) == Some(0) { Err(NOT_NONE.to_owned()) } else { count(text) }
}

/// The same, as a type that has no 0.
///
/// # Errors
/// As for [`some`].
pub fn nonzero<N: TryFrom<NonZeroU64>>(text: &str) -> Result<N, String> {
    let read = NonZeroU64::new(count(text)?).ok_or(NOT_NONE)?;
    let holds = |count| NonZeroU64::new(count).is_some_and(|count| N::try_from(count).is_ok());
    N::try_from(read).map_err(|_| too_many(read.get(), holds))
}

/// The same, within a range.
///
/// # Errors
/// As for [`count`], and for what is not within the range.
pub fn within<N: TryFrom<u64>>(text: &str, range: &RangeInclusive<u64>) -> Result<N, String> {
    let inside = read(text).filter(|read| range.contains(read)).and_then(|read| N::try_from(read).ok());
    inside.ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
}

/// A number that need not be whole, within a range.
///
/// # Errors
/// For anything else.
pub fn between(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let inside = text.parse::<f64>().ok().filter(|read| range.contains(read));
    inside.ok_or_else(|| format!("give a number from {} to {}", range.start(), range.end()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked just before"
)]
#[expect(clippy::cast_precision_loss, reason = "a double holds the largest count exactly")]
fn read(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    let (digits, unit) = match plain.char_indices().next_back()? {
        (at, 'k' | 'K') => (plain.get(..at)?, 1e3),
        (at, 'm' | 'M') => (plain.get(..at)?, 1e6),
        (at, 'b' | 'B') => (plain.get(..at)?, 1e9),
        _ => (plain.as_str(), 1.0),
    };
    let number = digits.parse::<f64>().ok()? * unit;
    (number.fract() == 0.0 && (0.0..=MOST as f64).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn counts_may_be_written_in_several_ways() {
        for text in ["10M", "10m", "1e7", "10_000_000", "10000K", "0.01B", "10000000"] {
            assert_eq!(count(text), Ok(10_000_000_u64), "{text}");
        }
        for text in ["", "-1", "1.5", "M", "ten", "1e16", "NaN", "inf"] {
            assert!(count::<u64>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_a_count_where_there_may_be_nothing() {
        assert_eq!((count("0"), some::<u64>("0").is_err(), some("1")), (Ok(0_u64), true, Ok(1_u64)));
        assert_eq!(nonzero::<NonZeroU16>("0"), Err("it must be at least 1".to_owned()));
        assert_eq!(nonzero("1k"), Ok(NonZeroU16::new(1_000).unwrap()));
    }

    #[test]
    fn a_count_that_a_flag_cannot_hold_is_refused() {
        assert_eq!(count("1B"), Ok(1_000_000_000_u32));
        for (refused, most) in [
            (count::<u8>("256").unwrap_err(), "255"),
            (count::<u32>("5B").unwrap_err(), "4294967295"),
            (nonzero::<NonZeroU16>("65536").unwrap_err(), "65535"),
            (count::<i32>("3B").unwrap_err(), "2147483647"),
        ] {
            assert!(refused.contains(&format!("give {most} at most")), "{refused}");
        }
    }

    #[test]
    fn what_is_outside_a_range_is_refused_with_the_range() {
        assert_eq!((within("1", &(1..=1_000)), within("1k", &(1..=1_000))), (Ok(1_u32), Ok(1_000)));
        for outside in ["0", "1001", "-1", "x", ""] {
            let refused = within::<u32>(outside, &(1..=1_000)).unwrap_err();
            assert_eq!(refused, "give a whole number from 1 to 1000", "{outside}");
        }
        assert_eq!((between("0.5", &(0.0..=1.0)), between("1", &(0.0..=1.0))), (Ok(0.5), Ok(1.0)));
        for outside in ["-0.1", "1.1", "NaN", "inf", "x", ""] {
            let refused = between(outside, &(0.0..=1.0)).unwrap_err();
            assert_eq!(refused, "give a number from 0 to 1", "{outside}");
        }
    }
}
