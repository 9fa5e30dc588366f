//! The abilities of a terminal, and text that fits into its width.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// True for a terminal that obeys colours and cursor movements.
pub fn obeys(out: &impl IsTerminal) -> bool {
    out.is_terminal() && takes_commands(std::env::var_os("TERM").as_deref())
}

/// True for a kind of terminal, as `TERM` names it, that does more than write.
fn takes_commands(term: Option<&OsStr>) -> bool {
    term.is_none_or(|term| term != "dumb")
}

/// The number of characters in a line: that of a terminal which reports one, or else that of COLUMNS, by which a person may say
/// it for a file or another program.
pub fn columns(out: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(out).ok().filter(|size| size.ws_col > 0);
    size.map(|size| usize::from(size.ws_col)).or_else(|| said(std::env::var("COLUMNS").ok()?.as_str()))
}

fn said(columns: &str) -> Option<usize> {
    columns.parse().ok().filter(|columns| *columns > 0)
}

/// The beginning of a line, as much as fits into so many columns.
#[must_use]
pub fn cut(line: &str, columns: usize) -> &str {
    line.char_indices().nth(columns).map_or(line, |(end, _)| line.get(..end).unwrap_or(line))
}

/// Text in lines of at most so many characters: the first begins with `start`, the others are indented by `rest`. A word that is
/// longer than a line is cut into pieces.
#[must_use]
pub fn fill(start: &str, text: &str, rest: usize, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = start.to_owned();
    let mut length = start.chars().count(); // The line's bytes may be more.
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !empty && length + 1 + word.len() > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            (length, empty) = (rest, true);
        }
        while word.len() > columns.saturating_sub(length) && empty {
            let tail = word.split_off(columns.saturating_sub(length));
            line.extend(word);
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            (length, word) = (rest, tail);
        }
        if !empty {
            line.push(' ');
            length += 1;
        }
        line.extend(word.iter());
        length += word.len();
        empty = false;
    }
    lines.push(line);
    lines
}

/// The same for each line of a text that is longer. Its other lines are indented by two more than it is or, where its words come
/// after two spaces, as far as they are; in the second half of a line there is no room for them, and it stays as it is.
#[must_use]
pub fn prose(text: &str, columns: usize) -> String {
    text.split('\n').map(|line| fitted(line, columns)).collect::<Vec<_>>().join("\n")
}

fn fitted(line: &str, columns: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    let words = line.rfind("  ").map_or(0, |gap| gap + 2).max(indent);
    let (start, text) = line.split_at(words);
    let length = start.chars().count();
    if line.chars().count() <= columns || length > columns / 2 {
        return line.to_owned();
    }
    fill(start, text, if words == indent { indent + 2 } else { length }, columns).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_and_columns_are_not() {
        let text = "a short line\n  a line that is a little longer\none   two   three   four   five   six\n\
                    a: 7  with its reason\n";
        let fitted = "a short line\n  a line that is a\n    little longer\none   two   three   four   five   six\n\
                      a: 7  with its\n      reason\n";
        assert_eq!(prose(text, 20), fitted);
        assert_eq!(prose(text, 80), text);
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!([cut("größer", 3), cut("größer", 6), cut("größer", 0)], ["grö", "größer", ""]);
    }

    #[test]
    fn a_dumb_terminal_and_a_file_get_text_alone() {
        let kinds = [None, Some("xterm-256color"), Some("dumb")];
        assert_eq!(kinds.map(|kind| takes_commands(kind.map(OsStr::new))), [true, true, false]);
        assert!(!obeys(&std::fs::File::open("/dev/null").unwrap()));
    }

    #[test]
    fn a_file_has_as_many_columns_as_a_person_says() {
        assert_eq!(["80", "0", "", "wide"].map(said), [Some(80), None, None, None]);
        let of_this_test = std::env::var("COLUMNS").ok().and_then(|columns| said(&columns));
        assert_eq!(columns(std::fs::File::open("/dev/null").unwrap()), of_this_test);
    }
}
