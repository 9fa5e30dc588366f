//! Text from outside, as it may be shown: ids and names of others, contents of files, what a server answered.
//!
//! Its author does not command the reader's terminal, and does not write lines that look like this program's own.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Ends a line, moves a cursor, or turns text around.
fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The same without what parts lines and columns of one's own text.
fn commands_within(c: char) -> bool {
    commands(c) && !matches!(c, '\n' | '\t')
}

/// Text for one line. What would command a terminal is written as the escape that Rust has for it.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, commands)
}

/// Text of several lines.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, commands_within)
}

/// Writes everything on one line, as [`line()`] has it.
#[derive(Debug)]
pub struct OneLine<W>(pub W);

impl<W: Write> Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(&mut self.0, text, commands)
    }
}

fn shown(text: &str, hidden: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    // Writing to memory does not fail.
    let _ = escape(&mut out, text, hidden);
    Cow::Owned(out)
}

fn escape(out: &mut impl Write, text: &str, hidden: fn(char) -> bool) -> fmt::Result {
    for part in text.split_inclusive(hidden) {
        match part.char_indices().next_back() {
            Some((at, last)) if hidden(last) => {
                let (plain, _) = part.split_at(at);
                write!(out, "{plain}{}", last.escape_default())?;
            }
            _ => out.write_str(part)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\u{1b}]0;x\u{7}\r\nb\t\u{9b}2K\u{7f}\u{85}\u{2028}\u{202e}\u{feff}é";

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let shown = line(EVIL);
        assert!(!shown.contains(commands), "{shown:?}");
        assert!(shown.starts_with(r"a\u{1b}]0;x\u{7}\r\nb\t\u{9b}2K") && shown.ends_with('é'), "{shown}");
        let mut written = OneLine(String::new());
        written.write_str(EVIL).unwrap();
        assert_eq!(written.0, shown);
    }

    #[test]
    fn text_of_several_lines_keeps_its_lines_and_columns() {
        assert_eq!(lines(EVIL).lines().count(), 2);
        assert!(lines(EVIL).contains("\nb\t") && !lines(EVIL).contains('\u{1b}'));
    }

    #[test]
    fn plain_text_is_itself() {
        for text in ["", "room 7: 12 % — größer\u{a0}als ‹x›"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }
}
