//! Lines that fit.

use std::io::{self, Write};

use coupon_cli::screen::fill;
use coupon_measure::Table;

/// The widest line, in characters: longer ones are hard to read, whatever the terminal has room for.
const WIDEST: usize = 100;
/// The width of lines in an output that has no width of its own, such as a file or a pipe.
const USUAL: usize = 80;
/// The narrowest that text is made for.
const NARROWEST: usize = 40;

/// The abilities of an output: the width of a line, and colours where they are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    columns: usize,
    colour: bool,
}

impl Screen {
    /// A screen of so many columns, of which 40 to 100 are used.
    #[must_use]
    pub fn new(columns: usize, colour: bool) -> Self {
        Self { columns: columns.clamp(NARROWEST, WIDEST), colour }
    }

    /// The screen behind an output: as wide as the terminal, if it is one, or as COLUMNS says. Colours are wanted only
    /// by people at a terminal that can show them and who did not ask for none (<https://no-color.org>).
    pub fn of(out: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let columns = coupon_cli::screen::columns(out).unwrap_or(USUAL);
        Self::new(columns, coupon_cli::screen::obeys(out) && !set("NO_COLOR"))
    }
}

/// An output on which every line fits.
pub(crate) struct Page<'a> {
    out: &'a mut dyn Write,
    screen: Screen,
}

impl<'a> Page<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, screen: Screen) -> Self {
        Self { out, screen }
    }

    /// The number of columns there are.
    pub(crate) const fn columns(&self) -> usize {
        self.screen.columns
    }

    /// A line that was made to fit.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", text.trim_end())
    }

    pub(crate) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Text in bold.
    pub(crate) fn bold(&mut self, text: &str) -> io::Result<()> {
        for line in fill("", text, 2, self.screen.columns) {
            let line = self.emphasised("1", &line);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// A heading between blank lines.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.blank()?;
        self.bold(&text.to_uppercase())?;
        self.blank()
    }

    /// Text in lines that fit: the first indented by `first`, the others by `rest`.
    pub(crate) fn wrapped(&mut self, text: &str, first: usize, rest: usize) -> io::Result<()> {
        self.after(&" ".repeat(first), text, rest)
    }

    /// The same, but the first line begins with `start`.
    pub(crate) fn after(&mut self, start: &str, text: &str, rest: usize) -> io::Result<()> {
        fill(start, text, rest, self.screen.columns).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// The same, but `start` is red and indented by `first`.
    pub(crate) fn alarm(&mut self, first: usize, start: &str, text: &str, rest: usize) -> io::Result<()> {
        let indent = " ".repeat(first);
        let lines = fill(&format!("{indent}{start}"), text, rest, self.screen.columns).join("\n");
        let behind = lines.get(first + start.len()..).unwrap_or_default();
        let start = self.emphasised("1;31", start);
        writeln!(self.out, "{indent}{start}{behind}")
    }

    /// A table, indented by two. Where it is too wide its columns move together, and where that is not enough each row becomes a
    /// sentence.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        let room = self.screen.columns.saturating_sub(2);
        let lines = table.fitted(room);
        if lines.iter().any(|line| line.trim_end().chars().count() > room) {
            return table.sentences().iter().try_for_each(|row| self.wrapped(row, 2, 4));
        }
        lines.iter().try_for_each(|line| writeln!(self.out, "{}", format!("  {line}").trim_end()))
    }

    fn emphasised(&self, code: &str, text: &str) -> String {
        if self.screen.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize, colour: bool, show: impl Fn(&mut Page<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        show(&mut Page::new(&mut out, Screen::new(columns, colour))).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_line_is_too_long_and_no_word_is_lost() {
        let text = format!("{} {} end", "several× words ".repeat(30), "x".repeat(250));
        for columns in [60, 80, 100] {
            let lines = shown(columns, false, |page| page.wrapped(&text, 2, 4));
            assert!(lines.lines().all(|line| line.chars().count() <= columns), "{lines}");
            let joined: String = lines.split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>());
        }
    }

    #[test]
    fn an_alarm_counts_what_is_seen_of_it() {
        let text = "word ".repeat(30);
        let [plain, red] =
            [false, true].map(|colour| shown(60, colour, |page| page.alarm(2, "NO ", &text, 4)));
        assert!(red.starts_with("  \x1b[1;31mNO \x1b[0mword"), "{red}");
        assert_eq!(red.replace("\x1b[1;31m", "").replace("\x1b[0m", ""), plain);
    }

    #[test]
    fn a_table_that_is_wide_moves_together() {
        let mut table = Table::new(["one", "1234567", "1234567", "1234567"]);
        table.row(["another", "1234567", "1234567", "1234567"]);
        let shown = |columns| shown(columns, false, |page| page.table(&table));
        assert!(shown(80).starts_with("  one       1234567   1234567"), "{}", shown(80));
        assert!(shown(40).lines().all(|line| line.chars().count() <= 40), "{}", shown(40));
    }
}
