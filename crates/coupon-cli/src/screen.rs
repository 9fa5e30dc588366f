//! The abilities of a terminal, and its width.

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// True for a terminal that obeys colours and cursor movements.
pub fn obeys(out: &impl IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The number of characters in a line, if it is a terminal that reports one.
pub fn columns(out: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The beginning of a line, as much as fits into so many columns.
#[must_use]
pub fn cut(line: &str, columns: usize) -> &str {
    line.char_indices().nth(columns).map_or(line, |(end, _)| line.get(..end).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!([cut("größer", 3), cut("größer", 6), cut("größer", 0)], ["grö", "größer", ""]);
    }

    #[test]
    fn a_file_has_no_columns() {
        assert_eq!(columns(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
