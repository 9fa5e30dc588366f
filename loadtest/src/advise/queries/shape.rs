//! The shape of a statement: its words, with `?` for every literal, so that statements that differ in values alone have
//! one. It parses like the statement itself.
//!
//! Of lists, however long, two elements are left: the first, twice. So one value still differs from several, and nothing
//! of what users wrote is kept.

use super::lexer::Lexer;
pub(super) use super::writer::Shape;
use super::writer::Writer;

/// Takes the bytes of statements and hands out their shapes.
#[derive(Debug, Default)]
pub(super) struct Shaper {
    lexer: Lexer,
    writer: Writer,
}

impl Shaper {
    /// Reads a piece of one statement or of several, with semicolons between them.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Shape<'_>)) {
        let Self { lexer, writer } = self;
        lexer.feed(bytes, &mut |token| writer.token(token, each));
    }

    /// Ends a statement that has no semicolon.
    pub(super) fn end(&mut self, each: &mut impl FnMut(Shape<'_>)) {
        let Self { lexer, writer } = self;
        lexer.end(&mut |token| writer.token(token, each));
        writer.end(each);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::advise::queries) fn shapes(sql: &str) -> Vec<String> {
        let (mut shaper, mut found) = (Shaper::default(), Vec::new());
        let mut each = |shape: Shape<'_>| {
            found.push(match shape {
                Shape::Is(shape) => shape.to_owned(),
                Shape::TooLong => "too long".to_owned(),
            });
        };
        shaper.feed(sql.as_bytes(), &mut each);
        shaper.end(&mut each);
        found
    }

    fn shape(sql: &str) -> String {
        let found = shapes(sql);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn statements_that_differ_in_literals_space_and_capitals_have_one_shape() {
        let expected = "SELECT a, COUNT(*) FROM t WHERE user_id = ? AND b >= ? LIMIT ?";
        for sql in [
            "SELECT a, COUNT(*) FROM t WHERE user_id = 5 AND b >= 'x' LIMIT 10",
            "select a,COUNT(*)\n  from t /* why */ where user_id=77 and b>=1.5 limit 3;",
        ] {
            assert_eq!(shape(sql), expected);
        }
    }

    #[test]
    fn a_list_of_several_is_one_of_two_and_a_list_of_one_stays_that() {
        assert_eq!(
            shape("SELECT 1 FROM t WHERE a IN (1,2,3,4) AND b = 2"),
            "SELECT ? FROM t WHERE a IN (?, ?) AND b = ?"
        );
        assert_eq!(shape("SELECT 1 FROM t WHERE a IN (1)"), "SELECT ? FROM t WHERE a IN (?)");
        assert_eq!(
            shape("SELECT 1 FROM t WHERE (a, b) IN ((1,2),(3,4),(5,6))"),
            "SELECT ? FROM t WHERE (a, b) IN ((?, ?), (?, ?))"
        );
    }

    #[test]
    fn a_list_that_is_a_query_or_has_names_keeps_them() {
        let query = "SELECT ? FROM t WHERE a IN (SELECT b, c FROM u, v WHERE d IN (?, ?))";
        assert_eq!(shape("SELECT 1 FROM t WHERE a IN (SELECT b,c FROM u,v WHERE d IN (1,2,3))"), query);
        assert_eq!(shape("SELECT 1 FROM t WHERE a IN (1, 2, b, 3)"), "SELECT ? FROM t WHERE a IN (?, ?, b)");
    }

    #[test]
    fn rows_of_values_become_two_whatever_they_hold() {
        let two = "INSERT INTO t(a, b) VALUES (?, NOW()), (?, NOW())";
        assert_eq!(shape("INSERT INTO t(a,b) VALUES (1,NOW()),(2,'x'),(NULL,f(1,(2)))"), two);
        assert_eq!(shape("insert into t(a,b) values (NULL,NOW())"), "INSERT INTO t(a, b) VALUES (?, NOW())");
        assert_eq!(
            shape("INSERT INTO t(a) VALUES (1),(2),(3) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)"),
            "INSERT INTO t(a) VALUES (?), (?) ON DUPLICATE KEY UPDATE a = VALUES (a), b = VALUES (b)"
        );
    }

    #[test]
    fn several_statements_are_parted_outside_of_texts() {
        assert_eq!(shapes("use x; select ';' from a ;; select 2"), ["USE x", "SELECT ? FROM a", "SELECT ?"]);
    }

    #[test]
    fn a_long_list_takes_no_room_and_a_long_statement_is_given_up() {
        let long = format!("INSERT INTO t(a) VALUES {}(0)", "(123456),".repeat(100_000));
        assert_eq!(shape(&long), "INSERT INTO t(a) VALUES (?), (?)");
        let columns = format!("SELECT {} FROM t; SELECT 1", "some_column, ".repeat(10_000));
        assert_eq!(shapes(&columns), ["too long", "SELECT ?"]);
    }
}
