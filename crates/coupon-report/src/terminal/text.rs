//! Lines that fit.

use std::io::{self, Write};

use super::WIDTH;

/// Puts emphasis on text, where it is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Writes text in lines of at most [`WIDTH`] characters: the first indented by `first`, the others by `rest`.
pub(crate) fn wrapped(out: &mut dyn Write, text: &str, first: usize, rest: usize) -> io::Result<()> {
    after(out, &" ".repeat(first), text, rest)
}

/// Wraps like [`wrapped`], but the first line begins with `start`. A word that is longer than a line is cut into pieces.
pub(crate) fn after(out: &mut dyn Write, start: &str, text: &str, rest: usize) -> io::Result<()> {
    let mut line = start.to_owned();
    let mut length = start.chars().count(); // The line's bytes may be more.
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !empty && length + 1 + word.len() > WIDTH {
            writeln!(out, "{line}")?;
            (line, length, empty) = (" ".repeat(rest), rest, true);
        }
        while word.len() > WIDTH - length && empty {
            let tail = word.split_off(WIDTH - length);
            writeln!(out, "{line}{}", word.iter().collect::<String>())?;
            (line, length, word) = (" ".repeat(rest), rest, tail);
        }
        if !empty {
            line.push(' ');
            length += 1;
        }
        line.extend(word.iter());
        length += word.len();
        empty = false;
    }
    writeln!(out, "{line}")
}

/// A table with its first column to the left and the others to the right, indented by two.
pub(crate) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::from("  ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            match at {
                0 => line.extend([cell.as_str(), &gap]),
                _ => line.extend(["   ", &gap, cell]),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        wrapped(&mut out, text, 2, 4).unwrap();
        String::from_utf8(out).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn no_line_is_too_long_and_no_word_is_lost() {
        let text = format!("{} {} end", "several× words ".repeat(30), "x".repeat(250));
        let lines = lines(&text);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        let joined: String = lines.concat().split_whitespace().collect();
        assert_eq!(joined, text.split_whitespace().collect::<String>());
    }

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(Paint(false).red("no"), "no");
        assert_eq!(Paint(true).bold("yes"), "\x1b[1myes\x1b[0m");
    }
}
