//! The line that names a layout, as a pattern: strategies print it, and tools that have nothing but the line read it
//! back.

use std::fmt;
use std::num::NonZeroU16;

/// A part of a [`LayoutPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The same words in every line.
    Text(&'static str),
    /// The value of the setting with this name.
    Value(&'static str),
    /// The items of the setting with this name, which is a list.
    List(&'static str),
    /// The same, of a list whose items are text.
    Texts(&'static str),
}

/// The number of shards that a layout line ends with.
#[must_use]
pub fn shards_in(line: &str) -> Option<NonZeroU16> {
    let (_, shards) = line.strip_suffix(" shards")?.rsplit_once(", ")?;
    shards.parse().ok()
}

/// The parts of a strategy's layout line, in order; the number of shards follows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutPattern(pub &'static [Piece]);

impl LayoutPattern {
    /// The line with these values, in the order of the pattern.
    #[must_use]
    pub fn line(self, values: &[&dyn fmt::Display], shards: NonZeroU16) -> String {
        let mut values = values.iter();
        let parts = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => (*text).to_owned(),
            Piece::Value(_) | Piece::List(_) | Piece::Texts(_) => {
                values.next().map(ToString::to_string).unwrap_or_default()
            }
        });
        let line: String = parts.collect();
        format!("{line}, {shards} shards")
    }

    /// The settings in a line over so many shards, by name, with values in TOML; `None` where it is no line of this
    /// pattern.
    #[must_use]
    pub fn settings(self, line: &str, shards: NonZeroU16) -> Option<Vec<(&'static str, String)>> {
        let mut rest = line.strip_suffix(&format!(", {shards} shards"))?;
        let mut settings = Vec::new();
        let mut pieces = self.0.iter().peekable();
        while let Some(piece) = pieces.next() {
            // A value ends where the next words begin.
            let end = match pieces.peek() {
                Some(Piece::Text(next)) => rest.find(next),
                _ => Some(rest.len()),
            };
            let value = || rest.get(..end?).filter(|value| !value.is_empty());
            rest = match piece {
                Piece::Text(text) => rest.strip_prefix(text)?,
                Piece::Value(name) => {
                    settings.push((*name, value()?.to_owned()));
                    rest.get(end?..)?
                }
                Piece::List(name) => {
                    settings.push((*name, format!("[{}]", value()?)));
                    rest.get(end?..)?
                }
                Piece::Texts(name) => {
                    settings.push((*name, quoted(value()?)));
                    rest.get(end?..)?
                }
            };
        }
        rest.is_empty().then_some(settings)
    }

    /// The names of the settings in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(name) | Piece::List(name) | Piece::Texts(name) => Some(*name),
        })
    }
}

/// The items of a list, in quotation marks: they are words and numbers, and need no other care.
fn quoted(items: &str) -> String {
    let items: Vec<String> = items.split(", ").map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroU16 = NonZeroU16::new(3).unwrap();
    const PATTERN: LayoutPattern = LayoutPattern(&[
        Piece::Text("ranges at "),
        Piece::List("starts"),
        Piece::Text(", spread "),
        Piece::Value("spread"),
    ]);

    #[test]
    fn a_line_is_read_back_as_the_settings_that_it_was_printed_from() {
        let line = PATTERN.line(&[&"1, 2, 9", &2], THREE);
        assert_eq!(line, "ranges at 1, 2, 9, spread 2, 3 shards");
        let settings = vec![("starts", "[1, 2, 9]".to_owned()), ("spread", "2".to_owned())];
        assert_eq!(PATTERN.settings(&line, THREE), Some(settings));
        assert_eq!(PATTERN.names().collect::<Vec<_>>(), ["starts", "spread"]);
    }

    #[test]
    fn words_alone_are_a_pattern() {
        let pattern = LayoutPattern(&[Piece::Text("jump")]);
        assert_eq!(pattern.line(&[], THREE), "jump, 3 shards");
        assert_eq!(pattern.settings("jump, 3 shards", THREE), Some(Vec::new()));
        assert_eq!(pattern.settings("jumps, 3 shards", THREE), None);
    }

    #[test]
    fn items_that_are_text_are_read_back_in_quotation_marks() {
        let pattern = LayoutPattern(&[Piece::Text("ranges at "), Piece::Texts("starts")]);
        let line = pattern.line(&[&"1@0, 3@2"], THREE);
        assert_eq!(line, "ranges at 1@0, 3@2, 3 shards");
        assert_eq!(pattern.settings(&line, THREE), Some(vec![("starts", r#"["1@0", "3@2"]"#.to_owned())]));
    }

    #[test]
    fn a_line_ends_with_the_number_of_its_shards() {
        assert_eq!(shards_in("jump, 3 shards"), Some(THREE));
        for line in
            ["", "3 shards", "jump, 0 shards", "jump, 3 shard", "jump, three shards", "jump, 70000 shards"]
        {
            assert_eq!(shards_in(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_line_of_another_pattern_or_number_of_shards_is_not_guessed() {
        for line in [
            "",
            "ranges at 1, spread 2, 4 shards",
            "ranges at , spread 2, 3 shards",
            "ranges at 1, spread , 3 shards",
            "ranges at 1, 3 shards",
            "rooms at 1, spread 2, 3 shards",
        ] {
            assert_eq!(PATTERN.settings(line, THREE), None, "{line:?}");
        }
    }
}
