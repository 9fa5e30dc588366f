//! The words of SQL, from bytes that arrive in pieces: no statement is ever held as a whole.

/// Longer words are cut: MySQL's own names have 64 characters at most.
const LONGEST_WORD: usize = 256;

/// A part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bare word: a keyword, a name, a variable.
    Word(&'a str),
    /// A name in backticks, without them.
    Name(&'a str),
    /// A number, a text, or a place for one.
    Literal,
    /// Any other sign but white space. True if white space was before it.
    Sign(char, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Nothing,
    Word,
    Number,
    /// A text; true after a backslash.
    Text(u8, bool),
    /// After a quote that ends a text, or is the first of two.
    TextEnd(u8),
    Name,
    NameEnd,
    Dash,
    TwoDashes,
    Slash,
    LineComment,
    /// True after an asterisk.
    BlockComment(bool),
}

/// Takes bytes and hands out tokens.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    within: Within,
    word: Vec<u8>,
    /// White space or a comment was read since the last token.
    spaced: bool,
    /// The last token can be followed by a point and a name.
    after_name: bool,
}

impl Lexer {
    /// Reads a piece.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Token<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            // The inside of a text or of a comment, which may be long, at once.
            let skipped = match self.within {
                Within::Text(quote, false) => rest.iter().position(|byte| [quote, b'\\'].contains(byte)),
                Within::LineComment => rest.iter().position(|byte| *byte == b'\n'),
                _ => Some(0),
            };
            match skipped {
                Some(0) => {
                    self.byte(byte, each);
                    rest = after;
                }
                Some(some) => rest = rest.get(some..).unwrap_or_default(),
                None => return,
            }
        }
    }

    /// Ends what is being read: the bytes that follow are of another statement. A text that was cut short ends too.
    pub(super) fn end(&mut self, each: &mut impl FnMut(Token<'_>)) {
        self.byte(b'\n', each);
        if matches!(self.within, Within::Text(..)) {
            each(Token::Literal);
        }
        *self = Self::default();
    }

    fn byte(&mut self, byte: u8, each: &mut impl FnMut(Token<'_>)) {
        match self.within {
            Within::Nothing => self.first(byte, each),
            Within::Word if is_of_word(byte) => self.push(byte),
            Within::Word if [b'\'', b'"'].contains(&byte) && is_prefix_of_text(&self.word) => {
                self.word.clear();
                self.within = Within::Text(byte, false);
            }
            Within::Number if is_of_word(byte) || byte == b'.' || self.is_exponent(byte) => self.push(byte),
            Within::Word | Within::Number => {
                self.end_word(each);
                self.first(byte, each);
            }
            Within::Text(quote, true) => self.within = Within::Text(quote, false),
            Within::Text(quote, false) => match byte {
                b'\\' => self.within = Within::Text(quote, true),
                _ if byte == quote => self.within = Within::TextEnd(quote),
                _ => {}
            },
            Within::TextEnd(quote) if byte == quote => self.within = Within::Text(quote, false),
            Within::TextEnd(_) => {
                self.token(Token::Literal, each);
                self.first(byte, each);
            }
            Within::Name if byte == b'`' => self.within = Within::NameEnd,
            Within::Name => self.push(byte),
            Within::NameEnd if byte == b'`' => {
                self.push(byte);
                self.within = Within::Name;
            }
            Within::NameEnd => {
                self.end_name(each);
                self.first(byte, each);
            }
            Within::Dash if byte == b'-' => self.within = Within::TwoDashes,
            Within::TwoDashes if byte <= b' ' => self.comment(byte),
            Within::Slash if byte == b'*' => self.within = Within::BlockComment(false),
            Within::Dash | Within::TwoDashes | Within::Slash => {
                self.end_sign(each);
                self.first(byte, each);
            }
            Within::LineComment => self.comment(byte),
            Within::BlockComment(true) if byte == b'/' => self.within = Within::Nothing,
            Within::BlockComment(_) => self.within = Within::BlockComment(byte == b'*'),
        }
    }

    /// The first byte of something.
    fn first(&mut self, byte: u8, each: &mut impl FnMut(Token<'_>)) {
        self.within = match byte {
            b'\'' | b'"' => Within::Text(byte, false),
            b'`' => Within::Name,
            b'-' => Within::Dash,
            b'/' => Within::Slash,
            b'#' => Within::LineComment,
            b'0'..=b'9' => Within::Number,
            _ if is_of_word(byte) => Within::Word,
            _ => Within::Nothing,
        };
        match self.within {
            Within::Word | Within::Number => self.push(byte),
            Within::LineComment => self.spaced = true,
            Within::Nothing if byte.is_ascii_whitespace() || byte == 0 => self.spaced = true,
            Within::Nothing if byte == b'?' => self.token(Token::Literal, each),
            Within::Nothing => self.sign(char::from(byte), each),
            _ => {}
        }
    }

    fn comment(&mut self, byte: u8) {
        self.spaced = true;
        self.within = if byte == b'\n' { Within::Nothing } else { Within::LineComment };
    }

    fn push(&mut self, byte: u8) {
        if self.word.len() < LONGEST_WORD {
            self.word.push(byte);
        }
    }

    /// A sign that belongs to a number: `1e-5`.
    fn is_exponent(&self, byte: u8) -> bool {
        let digits = |digits: &[u8]| digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        [b'+', b'-'].contains(&byte)
            && self.word.split_last().is_some_and(|(last, before)| b"eE".contains(last) && digits(before))
    }

    fn end_word(&mut self, each: &mut impl FnMut(Token<'_>)) {
        let word = std::mem::take(&mut self.word);
        let is_number = self.within == Within::Number && is_number(&word);
        self.within = Within::Nothing;
        if is_number {
            self.token(Token::Literal, each);
        } else {
            let text = String::from_utf8_lossy(&word);
            self.token(Token::Word(&text), each);
        }
        self.word = word;
        self.word.clear();
    }

    fn end_name(&mut self, each: &mut impl FnMut(Token<'_>)) {
        let word = std::mem::take(&mut self.word);
        self.within = Within::Nothing;
        self.token(Token::Name(&String::from_utf8_lossy(&word)), each);
    }

    fn end_sign(&mut self, each: &mut impl FnMut(Token<'_>)) {
        let signs = match self.within {
            Within::Slash => "/",
            Within::Dash => "-",
            _ => "--",
        };
        self.within = Within::Nothing;
        signs.chars().for_each(|sign| self.sign(sign, each));
    }

    fn sign(&mut self, sign: char, each: &mut impl FnMut(Token<'_>)) {
        if sign == '.' && !self.after_name {
            // .5
            self.within = Within::Number;
            self.push(b'0');
            return;
        }
        self.token(Token::Sign(sign, self.spaced), each);
    }

    fn token(&mut self, token: Token<'_>, each: &mut impl FnMut(Token<'_>)) {
        self.within = Within::Nothing;
        self.spaced = false;
        self.after_name = matches!(token, Token::Word(_) | Token::Name(_));
        each(token);
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_$@".contains(&byte)
}

/// A word right before a quote that says how to read the text: `N'…'`, `x'…'`, `_utf8mb4'…'`.
fn is_prefix_of_text(word: &[u8]) -> bool {
    matches!(word, [b'n' | b'N' | b'x' | b'X' | b'b' | b'B'] | [b'_', ..])
}

/// True for a number, false for a name that begins with a digit.
fn is_number(word: &[u8]) -> bool {
    let decimal = |text: &str| text.parse::<f64>().is_ok();
    let of = |digits: &[u8], allowed: fn(&u8) -> bool| !digits.is_empty() && digits.iter().all(allowed);
    match word {
        [b'0', b'x', digits @ ..] => of(digits, u8::is_ascii_hexdigit),
        [b'0', b'b', digits @ ..] => of(digits, |digit| b"01".contains(digit)),
        _ => std::str::from_utf8(word).is_ok_and(decimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte.
    fn tokens(sql: &str) -> Vec<String> {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut lexer, mut found) = (Lexer::default(), Vec::new());
            let mut each = |token: Token<'_>| {
                found.push(match token {
                    Token::Word(word) => word.to_owned(),
                    Token::Name(name) => format!("`{name}`"),
                    Token::Literal => "?".to_owned(),
                    Token::Sign(sign, _) => sign.to_string(),
                });
            };
            pieces.for_each(|piece| lexer.feed(piece, &mut each));
            lexer.end(&mut each);
            found
        };
        let whole = read(&mut std::iter::once(sql.as_bytes()));
        assert_eq!(whole, read(&mut sql.as_bytes().chunks(1)), "{sql}");
        whole
    }

    #[test]
    fn texts_and_numbers_are_literals_however_they_are_written() {
        for literal in [
            "'a'",
            "\"a\"",
            "'it''s'",
            r"'it\'s'",
            r"'\\'",
            "5",
            "1.5",
            ".5",
            "1e-5",
            "1.5E+3",
            "0x4D",
            "0b01",
            "x'4D'",
            "N'ä'",
            "_utf8mb4'a'",
            "'; -- no comment'",
            "?",
        ] {
            assert_eq!(tokens(&format!("a = {literal} ;")), ["a", "=", "?", ";"], "{literal}");
        }
    }

    #[test]
    fn names_are_kept_whatever_they_hold() {
        assert_eq!(tokens("`a``b; '`.c"), ["`a`b; '`", ".", "c"]);
        assert_eq!(tokens("2fa @x größe t1"), ["2fa", "@x", "größe", "t1"]);
    }

    #[test]
    fn comments_are_white_space() {
        assert_eq!(tokens("a -- it's\nb # it's\nc /* it's; * */ d"), ["a", "b", "c", "d"]);
        assert_eq!(tokens("a--1"), ["a", "-", "-", "?"]);
        assert_eq!(tokens("a/b*c"), ["a", "/", "b", "*", "c"]);
    }

    #[test]
    fn a_text_that_was_cut_short_ends_with_its_statement() {
        assert_eq!(tokens("a = 'never end"), ["a", "=", "?"]);
    }
}
