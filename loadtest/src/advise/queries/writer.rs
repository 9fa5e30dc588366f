//! The text of a shape, put together of tokens.

use super::lexer::Token;

/// A statement that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// Its shape.
    Is(&'a str),
    /// One too long to be kept.
    TooLong,
}

/// Longer shapes are given up: their statements are counted, and not judged.
pub(super) const LONGEST: usize = 16 * 1024;

/// Words that MySQL reserves: no bare name is one, so they are written in capitals.
const RESERVED: [&str; 71] = [
    "ALL",
    "ALTER",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CREATE",
    "CROSS",
    "DEFAULT",
    "DELAYED",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DIV",
    "DROP",
    "DUAL",
    "ELSE",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FOR",
    "FORCE",
    "FROM",
    "GROUP",
    "HAVING",
    "HIGH_PRIORITY",
    "IF",
    "IGNORE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCK",
    "LOW_PRIORITY",
    "MOD",
    "NATURAL",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "REGEXP",
    "REPLACE",
    "RIGHT",
    "RLIKE",
    "SELECT",
    "SET",
    "STRAIGHT_JOIN",
    "TABLE",
    "THEN",
    "TRUE",
    "UNION",
    "UPDATE",
    "USE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
    "XOR",
];

/// A list, of which the first element is kept.
#[derive(Debug, Clone, Copy)]
struct List {
    kind: ListKind,
    /// The depth of parentheses at which its elements are parted.
    depth: u32,
    /// The place where its first element begins.
    start: usize,
    /// Its second element is there, and nothing more is written.
    hushed: bool,
    /// A row of values has ended, and perhaps a comma came.
    between: Between,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListKind {
    /// `IN (…)`, before its first word says that it is no query.
    Opened,
    /// `IN (1, 2)`: literals, or rows of such.
    In,
    /// `VALUES (…), (…)`.
    Rows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    No,
    Rows,
    Comma,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    #[default]
    Nothing,
    /// Something that needs no space after it: `(`, `.`, `:`.
    Tight,
    Name,
    Keyword,
    In,
    Values,
    Literal,
    Operator,
    Other,
}

/// Puts a shape together.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: String,
    last: Last,
    depth: u32,
    list: Option<List>,
    too_long: bool,
}

impl Writer {
    pub(super) fn token(&mut self, token: Token<'_>, each: &mut impl FnMut(Shape<'_>)) {
        if token == Token::Sign(';', true) || token == Token::Sign(';', false) {
            return self.end(each);
        }
        if self.out.len() > LONGEST {
            self.too_long = true;
            self.out.clear();
            self.list = None;
        }
        match token {
            Token::Word(word) => self.word(word),
            Token::Name(name) => self.name(name),
            Token::Literal => self.literal(),
            Token::Sign(sign, spaced) => self.sign(sign, spaced),
        }
    }

    pub(super) fn end(&mut self, each: &mut impl FnMut(Shape<'_>)) {
        if self.too_long {
            each(Shape::TooLong);
        } else if !self.out.is_empty() {
            each(Shape::Is(&self.out));
        }
        // The room that it has is used again.
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        *self = Self { out, ..Self::default() };
    }

    fn word(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        let keyword = RESERVED.binary_search(&&*upper).is_ok();
        let within_rows =
            self.list.is_some_and(|list| list.kind == ListKind::Rows && self.depth > list.depth);
        if within_rows && upper == "NULL" {
            return self.literal();
        }
        self.end_rows();
        if let Some(list) = &mut self.list
            && list.kind == ListKind::Opened
        {
            if matches!(&*upper, "SELECT" | "WITH" | "TABLE" | "VALUES") {
                self.list = None;
            } else {
                list.kind = ListKind::In;
            }
        }
        if self.is_hushed() {
            // More than literals, which must not be lost: it becomes an element of its own.
            if self.list.is_some_and(|list| list.kind == ListKind::In) && !keyword {
                self.out.push_str(", ");
                self.out.push_str(word);
            }
            return;
        }
        self.space(true);
        self.out.push_str(if keyword { &upper } else { word });
        self.last = match &*upper {
            "IN" => Last::In,
            "VALUES" | "VALUE" => Last::Values,
            _ if keyword => Last::Keyword,
            _ => Last::Name,
        };
    }

    fn name(&mut self, name: &str) {
        self.word(&format!("`{}`", name.replace('`', "``")));
    }

    fn literal(&mut self) {
        self.end_rows();
        self.opened();
        // Texts that follow each other are one.
        if self.is_hushed() || self.last == Last::Literal {
            return;
        }
        self.space(true);
        self.out.push('?');
        self.last = Last::Literal;
    }

    fn sign(&mut self, sign: char, spaced: bool) {
        match sign {
            '(' => self.open(),
            ')' => self.close(),
            ',' => self.comma(),
            _ => {
                self.end_rows();
                self.opened();
                if self.is_hushed() {
                    return;
                }
                let joins = self.last == Last::Operator && !spaced;
                self.space(sign != '.' && !joins);
                self.out.push(sign);
                self.last = if matches!(sign, '.' | ':') { Last::Tight } else { Last::Operator };
            }
        }
    }

    fn open(&mut self) {
        let rows = self.last == Last::Values && self.list.is_none();
        if let Some(list) = &mut self.list
            && list.between == Between::Comma
        {
            list.between = Between::No;
            self.second();
        } else {
            self.end_rows();
        }
        self.opened();
        let list = self.last == Last::In && self.list.is_none();
        if !self.is_hushed() {
            self.space(self.last != Last::Name);
            let (kind, depth) =
                if list { (ListKind::Opened, self.depth + 1) } else { (ListKind::Rows, self.depth) };
            let start = self.out.len() + usize::from(list);
            if list || rows {
                self.list = Some(List { kind, depth, start, hushed: false, between: Between::No });
            }
            self.out.push('(');
            self.last = Last::Tight;
        }
        self.depth += 1;
    }

    fn close(&mut self) {
        self.end_rows();
        self.depth = self.depth.saturating_sub(1);
        match &mut self.list {
            Some(list) if list.kind == ListKind::Rows && self.depth <= list.depth => {
                list.between = Between::Rows;
            }
            Some(list) if list.kind != ListKind::Rows && self.depth < list.depth => self.list = None,
            _ => {}
        }
        if self.is_hushed() {
            return;
        }
        self.out.push(')');
        self.last = Last::Other;
    }

    fn comma(&mut self) {
        match &mut self.list {
            Some(list) if list.between == Between::Rows => {
                list.between = Between::Comma;
                return;
            }
            Some(list) if list.kind == ListKind::In && self.depth == list.depth => return self.second(),
            _ => {}
        }
        if !self.is_hushed() {
            self.out.push(',');
            self.last = Last::Other;
        }
    }

    /// Begins another element: the second one is the first once more, and then nothing more is written.
    fn second(&mut self) {
        let Some(list) = &mut self.list else { return };
        if !list.hushed {
            list.hushed = true;
            let first = self.out.get(list.start..).unwrap_or_default().to_owned();
            self.out.push_str(", ");
            self.out.push_str(&first);
            self.last = Last::Other;
        }
    }

    /// Ends the list of rows: no other row comes, and its comma belongs to what does.
    fn end_rows(&mut self) {
        let Some(list) = self.list.filter(|list| list.between != Between::No) else { return };
        self.list = None;
        self.last = Last::Other;
        if list.between == Between::Comma {
            self.out.push(',');
        }
    }

    fn opened(&mut self) {
        if let Some(list) = &mut self.list
            && list.kind == ListKind::Opened
        {
            list.kind = ListKind::In;
        }
    }

    fn is_hushed(&self) -> bool {
        self.list.is_some_and(|list| list.hushed)
    }

    fn space(&mut self, wanted: bool) {
        if wanted && !matches!(self.last, Last::Nothing | Last::Tight) {
            self.out.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_can_be_found() {
        assert!(RESERVED.is_sorted());
    }
}
