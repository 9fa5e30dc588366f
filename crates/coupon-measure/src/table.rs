//! Tables: aligned for a terminal, or in Markdown.

use std::ops::Range;

/// Rows of cells. The first row is the head, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// The columns that are aligned to the right.
    right: Range<usize>,
}

impl Default for Table {
    /// An empty table whose first column is aligned to the left, and all others to the right.
    fn default() -> Self {
        Self { rows: Vec::new(), right: 1..usize::MAX }
    }
}

impl Table {
    /// A table with these heads.
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self::default();
        table.row(heads);
        table
    }

    /// Aligns these columns to the right, and all others to the left.
    #[must_use]
    pub fn right(mut self, columns: Range<usize>) -> Self {
        self.right = columns;
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The rows, the head among them.
    #[must_use]
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// True for a column that is aligned to the right.
    #[must_use]
    pub fn is_right(&self, column: usize) -> bool {
        self.right.contains(&column)
    }

    /// The lines of a text, with so much space between columns.
    #[must_use]
    pub fn lines(&self, gap: usize) -> Vec<String> {
        let widths = self.widths();
        let gap = " ".repeat(gap);
        let padded = |(at, (cell, width)): (usize, (&String, &usize))| {
            let space = " ".repeat(width - length(cell));
            if self.is_right(at) { space + cell } else { cell.clone() + &space }
        };
        let line = |row: &Vec<String>| -> String {
            let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(padded).collect();
            cells.join(&gap).trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }

    /// The lines of a text of at most so many characters, if that can be: what space there is goes between columns.
    #[must_use]
    pub fn fitted(&self, room: usize) -> Vec<String> {
        let widths = self.widths();
        let left = room.saturating_sub(widths.iter().sum());
        self.lines((left / widths.len().saturating_sub(1).max(1)).clamp(1, 3))
    }

    /// Each row below the head in words, for where the table is too wide: `grab: p50 ms 4.10, p99 ms 12.3`.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let Some((head, rows)) = self.rows.split_first() else { return Vec::new() };
        let told = |row: &Vec<String>| {
            let cells = head.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty());
            let cells: Vec<String> =
                cells.map(|(head, cell)| format!("{head} {cell}").trim().to_owned()).collect();
            format!("{}: {}", row.first().map_or("", String::as_str), cells.join(", "))
        };
        rows.iter().map(told).collect()
    }

    /// The text, with two spaces between columns.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines(2).into_iter().map(|line| line + "\n").collect()
    }

    /// The same in Markdown, where the first row has to be a head.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| cell_of(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut lines = self.rows.iter().map(line);
        let columns = self.rows.first().map_or(0, Vec::len);
        let head = lines.next().unwrap_or_default();
        head + "|" + &"---|".repeat(columns) + "\n" + &lines.collect::<String>()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column| self.rows.iter().filter_map(move |row| row.get(column));
        let width = |column| cells(column).map(|cell: &String| length(cell)).max();
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

/// Adds rows of cells.
impl Extend<Vec<String>> for Table {
    fn extend<I: IntoIterator<Item = Vec<String>>>(&mut self, rows: I) {
        self.rows.extend(rows);
    }
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

/// Text as a cell of a Markdown table can hold it.
fn cell_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_words_has_each_cell_behind_its_head() {
        let mut table = Table::new(["endpoint", "p50 ms", "errors"]);
        table.row(["grab", "4.10", ""]);
        assert_eq!(table.sentences(), ["grab: p50 ms 4.10"]);
    }

    fn table() -> Table {
        let mut table = Table::new(["a", "long head"]);
        table.row(["longer", "×1"]);
        table
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(table().text(), "a       long head\nlonger         ×1\n");
        assert_eq!(table().right(0..0).text(), "a       long head\nlonger  ×1\n");
    }

    #[test]
    fn what_space_there_is_goes_between_columns() {
        let gap = |room| table().fitted(room)[0].split_once("long").unwrap().0.len() - "longer".len();
        assert_eq!([10, 17, 18, 80].map(gap), [1, 2, 3, 3]);
    }

    #[test]
    fn a_cell_of_markdown_is_one_line_without_bars() {
        let mut table = Table::new(["", "why"]);
        table.row(["x", "a | b\n  c"]);
        assert_eq!(table.markdown(), "|  | why |\n|---|---|\n| x | a \\| b c |\n");
    }
}
