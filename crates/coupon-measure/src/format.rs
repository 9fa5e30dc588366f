//! Numbers, lists and tables as people read them.

use anyhow::{Context as _, Result};

use crate::stats::Estimate;

/// A count with thousands set apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with about three digits that count: `12,345`, `123`, `12.3`, `1.23`, `0.012`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    match size {
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.0995 => format!("{value:.2}"),
        _ if size == 0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}

/// A number that is often whole, such as shards visited: `4`, `1.5`.
pub fn plain(value: f64) -> String {
    if (value - value.round()).abs() < 0.005 { count(value.abs().round() as u64) } else { number(value) }
}

/// A part of the whole: `25.1 %`.
pub fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if (percent - percent.round()).abs() < 0.05 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// A confidence level, to its last digit: `93.75 %`.
pub fn level(level: f64) -> String {
    let text = format!("{:.2}", level * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The certainty of a verdict: `5 rounds, 93.75 % interval`.
pub fn sure(n: usize, coverage: f64) -> String {
    format!("{n} rounds, {} interval", level(coverage))
}

/// A ratio: `2.1×`. Close to 1 it has the digits to say on which side.
pub fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio >= 99.5 => format!("{}×", number(ratio)),
        _ if ratio >= 9.95 => format!("{ratio:.0}×"),
        _ if ratio >= 2.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    }
}

/// A ratio with its interval: `2.1× (1.9×–2.4×)`; the interval is left out when it says nothing more.
pub fn ratio(ratio: &Estimate) -> String {
    let (median, low, high) = (times(ratio.median), times(ratio.low), times(ratio.high));
    if low == median && high == median { median } else { format!("{median} ({low}–{high})") }
}

/// A median with its interval: `1.21 (1.18–1.25)`; the interval is left out when it says nothing more.
pub fn estimate(estimate: &Estimate) -> String {
    let (median, low, high) = (number(estimate.median), number(estimate.low), number(estimate.high));
    if low == median && high == median { median } else { format!("{median} ({low}–{high})") }
}

/// Bytes: `1.23 MB`.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)];
    let (unit, size) = UNITS.into_iter().find(|(_, size)| bytes >= *size).unwrap_or(("B", 1.0));
    format!("{} {unit}", number(bytes / size))
}

/// Names in a sentence: `a, b and c`.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// A count with its noun: `1 round`, `2 rounds`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// The network between a service and its shards, in words.
pub fn network(rtt_ms: f64) -> String {
    if rtt_ms > 0.0 {
        format!("{} ms added to every shard call", number(rtt_ms))
    } else {
        "no network added".into()
    }
}

/// The quota of a shard's machine, if there is one, in words: `, 0.1 cores a shard`.
pub fn quota(cores: Option<f64>) -> String {
    cores.map_or_else(String::new, |cores| format!(", {} cores a shard", number(cores)))
}

/// Puts a table where a document keeps it: between two lines that bear the place's name.
///
/// # Errors
/// When the document has no such place.
pub fn put_into(document: &str, place: &str, table: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|at| format!("<!-- {place}: {at} -->"));
    let (before, rest) = document.split_once(&begin).with_context(|| format!("it has no line {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("it has no line {end} after it"))?;
    Ok(format!("{before}{begin}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_before_and_nothing_else() {
        let document = "# A\n<!-- a: begin -->\nold\n<!-- a: end -->\nend\n";
        let once = put_into(document, "a", "| new |\n").unwrap();
        assert_eq!(once, document.replace("old", "| new |"));
        assert_eq!(put_into(&once, "a", "| new |\n").unwrap(), once);
        for without in ["# A\n", "<!-- a: begin -->\n"] {
            let error = put_into(without, "a", "").unwrap_err();
            assert!(error.to_string().contains("it has no line <!-- a: "), "{error}");
        }
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        let shown = [12_345.4, 99.96, 99.94, 12.34, 1.234, 0.1, 0.0123, 0.0].map(number);
        assert_eq!(shown, ["12,345", "100", "99.9", "12.3", "1.23", "0.10", "0.012", "0"]);
    }

    #[test]
    fn shares_and_levels_drop_digits_that_say_nothing() {
        assert_eq!((percent(0.25), percent(0.2512)), ("25 %".into(), "25.1 %".into()));
        assert_eq!((level(0.9375), level(0.95)), ("93.75 %".into(), "95 %".into()));
    }

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn ratios_near_one_keep_two_digits() {
        assert_eq!([1.04, 2.06, 12.3, 1_234.0].map(times), ["1.04×", "2.1×", "12×", "1,234×"]);
    }
}
