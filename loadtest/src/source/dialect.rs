//! The sign that parts the columns, and the lines that come before the table.

use anyhow::{Result, bail, ensure};

/// The signs that part columns, the likeliest first.
const SIGNS: [u8; 4] = *b",;\t|";

/// The sign that parts columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator(u8);

impl std::str::FromStr for Separator {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let sign = match text {
            "tab" | "\\t" => b'\t',
            _ => {
                let [sign] = text.as_bytes() else {
                    bail!("{text:?} is not one sign, such as , or ; or | or tab")
                };
                *sign
            }
        };
        ensure!(
            sign.is_ascii() && !sign.is_ascii_alphanumeric() && !matches!(sign, b'"' | b'\n' | b'\r'),
            "{text:?} cannot part columns"
        );
        Ok(Self(sign))
    }
}

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    /// The bytes and lines before the first that counts: comments, empty ones, and a spreadsheet's `sep=`.
    pub(super) skipped: usize,
    pub(super) lines: u64,
}

impl Dialect {
    /// Finds it out by the first lines; a separator that is given counts.
    pub(super) fn of(head: &[u8], given: Option<Separator>) -> Self {
        let mut dialect = Self { separator: SIGNS[0], skipped: 0, lines: 0 };
        let mut told = given.map(|given| given.0);
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii();
            let tells = told_by(line);
            if !text.is_empty() && text.first() != Some(&b'#') && tells.is_none() {
                dialect.separator = told.unwrap_or_else(|| likeliest(line));
                break;
            }
            told = told.or(tells);
            dialect.skipped += line.len();
            dialect.lines += 1;
        }
        dialect
    }
}

/// The separator that a line `sep=,` names.
fn told_by(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', sign] => Some(*sign),
        _ => None,
    }
}

/// The sign that occurs most often outside quotes.
fn likeliest(line: &[u8]) -> u8 {
    let mut counts = [0_usize; SIGNS.len()];
    let mut quoted = false;
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some(count) = SIGNS.iter().position(|sign| sign == byte).and_then(|at| counts.get_mut(at))
            && !quoted
        {
            *count += 1;
        }
    }
    let mut best = (0, SIGNS[0]);
    for (count, sign) in counts.into_iter().zip(SIGNS) {
        if count > best.0 {
            best = (count, sign);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_parted_by_what_the_first_line_has_most_of() {
        for (line, sign) in [
            ("a,b,c\n", b','),
            ("a;b;c\n1,5;2;3", b';'),
            ("a\tb\n", b'\t'),
            ("a|b|c", b'|'),
            ("\"a,b,c\";d\n", b';'),
            ("alone\n", b','),
            ("", b','),
        ] {
            let found = Dialect::of(line.as_bytes(), None);
            assert_eq!((found.separator, found.skipped), (sign, 0), "{line:?}");
        }
        let given = Dialect::of(b"a,b;c", Some(";".parse().unwrap()));
        assert_eq!(given.separator, b';');
    }

    #[test]
    fn comments_and_a_spreadsheets_line_come_before_the_header() {
        let found = Dialect::of(b"# made by x\n\nsep=;\r\nuser,a;room\n1;2\n", None);
        assert_eq!(found, Dialect { separator: b';', skipped: 20, lines: 3 });
    }

    #[test]
    fn a_separator_is_one_sign_that_can_part() {
        assert_eq!("tab".parse::<Separator>().unwrap(), Separator(b'\t'));
        for text in ["", ",,", "a", "7", "\"", "é"] {
            assert!(text.parse::<Separator>().is_err(), "{text:?}");
        }
    }
}
