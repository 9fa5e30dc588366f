//! Counts as people write them: the same ways for every flag of every program.

/// The largest count: as the largest id, a double holds it exactly.
const MOST: u64 = (1 << 53) - 1;

/// A whole number, with K, M or B behind it, underscores within it, or written as 1e9.
///
/// # Errors
/// For anything else, and for more than the flag can take.
pub fn count<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let read = read(text)
        .ok_or_else(|| format!("give a whole number up to {MOST}, for example 500000, 100k, 10M or 1e9"))?;
    N::try_from(read).map_err(|_| format!("{read} is more than can be"))
}

/// The same, at least 1.
///
/// # Errors
/// As for [`count`], and for 0.
pub fn some<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    if read(text) == Some(0) { Err("it must be at least 1".to_owned()) } else { count(text) }
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
    }

    #[test]
    fn a_count_that_a_flag_cannot_hold_is_refused() {
        assert_eq!(count("1B"), Ok(1_000_000_000_u32));
        assert!(count::<u32>("5B").unwrap_err().contains("5000000000"));
    }
}
