//! Numbers with more digits than are kept of them.
//!
//! A number with a fraction is kept as a double, which holds up to 15 digits exactly, and rounds what is finer:
//! `5.0000000000000001` would be 5. A client that writes that means something else, and is refused.

/// The digits of a decimal number that survive in a double.
const DIGITS_KEPT: usize = 15;

/// The first number in a JSON text that is finer than what is kept of it, after its place: `users[3].user_level`. Text
/// that is no JSON has none, or any.
pub(super) fn finer_than_kept(json: &[u8]) -> Option<(String, String)> {
    let mut parts = Parts(json);
    while let Some(part) = parts.next() {
        if let Part::Number(number) = part
            && is_finer_than_kept(number)
        {
            let before = json.len() - parts.0.len() - number.len();
            return Some((place(json.get(..before).unwrap_or_default()), shown(number)));
        }
    }
    None
}

/// A part of a JSON text, as far as it matters here.
enum Part<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    /// Any other byte.
    Mark(u8),
}

/// The parts of what is left of a JSON text.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let (first, after) = self.0.split_first()?;
        let (part, rest) = match first {
            b'"' => {
                let (text, after) = after.split_at(text_length(after));
                (Part::Text(text), after.get(1..).unwrap_or_default())
            }
            b'-' | b'0'..=b'9' => {
                let end = self.0.iter().position(|byte| !b"+-.eE0123456789".contains(byte));
                let (number, after) = self.0.split_at(end.unwrap_or(self.0.len()));
                (Part::Number(number), after)
            }
            other => (Part::Mark(*other), after),
        };
        self.0 = rest;
        Some(part)
    }
}

/// A step to a place in a JSON text.
enum Step<'a> {
    /// The last text that there was in an object: before a number, that is its name.
    Field(&'a [u8]),
    /// An element of a list.
    Element(usize),
}

/// The place that a JSON text has come to, as people write it.
fn place(before: &[u8]) -> String {
    let mut steps = Vec::new();
    for part in Parts(before) {
        match (part, steps.last_mut()) {
            (Part::Text(text), Some(Step::Field(name))) => *name = text,
            (Part::Mark(b','), Some(Step::Element(at))) => *at += 1,
            (Part::Mark(b'{'), _) => steps.push(Step::Field(b"")),
            (Part::Mark(b'['), _) => steps.push(Step::Element(0)),
            (Part::Mark(b'}' | b']'), _) => drop(steps.pop()),
            _ => {}
        }
    }
    let mut place = String::new();
    for step in steps {
        match step {
            Step::Field(name) if place.is_empty() => place.push_str(&shown(name)),
            Step::Field(name) => place.push_str(&format!(".{}", shown(name))),
            Step::Element(at) => place.push_str(&format!("[{at}]")),
        }
    }
    shown(place.as_bytes())
}

/// The beginning of what a client wrote.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(100).collect()
}

/// The length of a JSON text up to its closing quote, of which `text` begins after the opening one.
fn text_length(text: &[u8]) -> usize {
    let mut escaped = false;
    let closes = |byte: &u8| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    };
    text.iter().position(closes).unwrap_or(text.len())
}

/// Says that a number, as JSON spells them, has a fraction and more digits than are kept.
pub(super) fn is_finer_than_kept(number: &[u8]) -> bool {
    let (mantissa, exponent) = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (number.get(..at).unwrap_or_default(), number.get(at + 1..).unwrap_or_default()),
        None => (number, &b""[..]),
    };
    // The shortest such number has more bytes than digits are kept.
    if mantissa.len() <= DIGITS_KEPT {
        return false;
    }
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let places = mantissa.len().saturating_sub(point + 1);
    let digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let trailing = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let significant = digits.len().saturating_sub(leading + trailing);
    // An exponent that cannot be read is beyond all bounds, and so is the number.
    let exponent = std::str::from_utf8(exponent).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let places = i64::try_from(places).unwrap_or(i64::MAX).saturating_sub(exponent);
    significant > DIGITS_KEPT && places > i64::try_from(trailing).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_finer_than_a_double_is_told_from_what_a_double_keeps() {
        for fine in [
            "5.0000000000000001",
            "-5.0000000000000001",
            "50000000000000001e-16",
            "0.0000000000000000000050000000000000001",
            "59.900000000000000001",
            "123456789012345.6",
            "5.00000000000000010e0",
        ] {
            assert!(is_finer_than_kept(fine.as_bytes()), "{fine}");
        }
        for kept in [
            "5",
            "5.0000000000000000000000",
            "9007199254740991.0",
            "9007199254740991000e-3",
            "18446744073709551616",
            "1.2345678901234567e16",
            "12345678901234.5",
            "0.000000000000000000001",
            "-0.0",
        ] {
            assert!(!is_finer_than_kept(kept.as_bytes()), "{kept}");
        }
    }

    #[test]
    fn the_number_is_told_with_its_name_and_digits_within_texts_are_none() {
        let fine = |json: &str| finer_than_kept(json.as_bytes()).map(|(name, _)| name);
        assert_eq!(fine(r#"{"a":1,"b":5.0000000000000001}"#).as_deref(), Some("b"));
        assert_eq!(fine(r#"{"a":"5.0000000000000001","b\"5.0000000000000001":1}"#), None);
        assert_eq!(fine(r#"{"a\\":5.0000000000000001}"#).as_deref(), Some(r"a\\"));
        let users =
            r#"{"users":[{"user_id":1},{"user_id":2,"tags":["x",1.5],"user_level":5.0000000000000001}]}"#;
        assert_eq!(fine(users).as_deref(), Some("users[1].user_level"));
        assert_eq!(fine(r#"{"split":[[1,2],[3,5.0000000000000001"#).as_deref(), Some("split[1][1]"));
        for cut in ["\"", "\"\\", "{\"a\":-", "5.", "5e", ""] {
            assert_eq!(fine(cut), None, "{cut}");
        }
    }
}
