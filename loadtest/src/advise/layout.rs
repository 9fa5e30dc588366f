//! Text for a terminal of the usual width.

use coupon_cli::screen;
use coupon_measure::Table;

/// The characters of a line.
pub(super) const WIDTH: usize = 80;

/// The text with its sentences in lines that fit; columns are parted by more than a space. Lines that are indented by
/// four are commands, to be copied as they are.
pub(super) fn laid_out(text: &str) -> String {
    let line = |line: &str| match line {
        command if command.starts_with("    ") => command.to_owned(),
        columns if columns.contains("  ") => screen::prose(columns, WIDTH),
        sentence => screen::fill("", sentence, 0, WIDTH).join("\n"),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A table as wide as there is room for, in words where it is wider. A last column of words may go on below.
pub(super) fn table(table: &Table) -> String {
    let lines: Vec<String> = table.fitted(WIDTH).iter().map(|line| screen::prose(line, WIDTH)).collect();
    let fits = lines.iter().flat_map(|line| line.split('\n')).all(|line| line.chars().count() <= WIDTH);
    let lines = if fits { lines } else { table.sentences() };
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(text: &str) -> bool {
        text.lines().all(|line| line.chars().count() <= WIDTH)
    }

    #[test]
    fn sentences_fit_and_commands_stay_as_they_are() {
        let text = format!("{}\n    {}", "word ".repeat(40), "--set ".repeat(30));
        let shown = laid_out(&text);
        let (sentences, command) = shown.split_once("\n    ").unwrap();
        assert!(fits(sentences) && command.chars().count() > WIDTH && !command.contains('\n'), "{shown}");
    }

    #[test]
    fn a_table_that_is_too_wide_is_told_in_words() {
        let mut wide =
            Table::new(std::iter::once(String::new()).chain((0..9).map(|n| format!("head number {n}"))));
        wide.row(std::iter::once("key".to_owned()).chain((0..9).map(|n| n.to_string())));
        let shown = laid_out(&table(&wide));
        assert!(fits(&shown) && shown.starts_with("key: head number 0 0, head number 1 1"), "{shown}");
        let mut narrow = Table::new(["", "skew"]);
        narrow.row(["hash", "1.00"]);
        assert_eq!(table(&narrow), "       skew\nhash   1.00\n");
    }
}
