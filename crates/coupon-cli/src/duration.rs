//! Durations as people write them on a command line.

use std::time::Duration;

/// Reads `500ms`, `10s`, `1.5s`, `2m` or `1h`; for clap's `value_parser`.
///
/// # Errors
/// When it is none of these, or zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || "give a time above zero with its unit, for example 500ms, 10s or 2m".to_owned();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(error()),
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|_| error())?;
    if duration.is_zero() { Err(error()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "10", "s", "0s", "-1s", "10 parsecs", "infs", "1e999s", "10s5"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
