//! The statements of a file: MySQL's general log, its slow log, or SQL with semicolons.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::shape::{Shape, Shaper};

/// Enough to see what kind of file it is.
const LOOKED_AT: u64 = 64 * 1024;
/// Lines are read in pieces of this size: one may be a dump's, of many megabytes.
const PIECE: u64 = 64 * 1024;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// MySQL's general query log: `2026-11-29T20:00:00.1Z⇥ 8 Query⇥SELECT 1`.
    General,
    /// MySQL's slow query log: `# Query_time: …`, and the statement.
    Slow,
    /// Statements that end with semicolons.
    Sql,
}

impl LogKind {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::General => "a general log",
            Self::Slow => "a slow log",
            Self::Sql => "a file of SQL",
        }
    }

    /// The kind of a file with this beginning.
    fn of(head: &[u8]) -> Self {
        let lines = || head.split_inclusive(|byte| *byte == b'\n');
        // Both logs begin with the same lines.
        let told = lines().find_map(|line| match entry(line) {
            Some(_) => Some(Self::General),
            None => begins_slow(line).then_some(Self::Slow),
        });
        told.unwrap_or(if lines().any(is_banner) { Self::General } else { Self::Sql })
    }
}

/// The likely kind of a file that looks like no SQL.
fn no_sql(head: &[u8]) -> Option<&'static str> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let first = lines.next()?;
    if first.starts_with(b"{") || first.starts_with(b"[") {
        return Some("JSON");
    }
    let columns = |line: &[u8]| line.iter().filter(|byte| **byte == b',').count();
    // Names and values between commas, as many in each line, and no word behind another.
    let is_row = |line: &[u8]| columns(line) > 0 && columns(line) == columns(first) && !line.ends_with(b";");
    let is_table =
        !first.iter().any(u8::is_ascii_whitespace) && is_row(first) && lines.next().is_some_and(is_row);
    is_table.then_some("a table (CSV)")
}

/// Reads a file to its end. The seconds that a statement took are those of a slow log.
///
/// # Errors
/// When it cannot be read.
pub(super) fn each_statement(
    mut stream: impl Read,
    mut each: impl FnMut(Shape<'_>, Option<f64>),
    mut at: impl FnMut(u64),
) -> io::Result<LogKind> {
    let mut head = Vec::new();
    stream.by_ref().take(LOOKED_AT).read_to_end(&mut head)?;
    let kind = LogKind::of(&head);
    if let Some(other) = no_sql(&head).filter(|_| kind == LogKind::Sql) {
        return Err(io::Error::other(format!("it looks like {other}, and is no log and no file of SQL")));
    }
    let mut stream = BufReader::with_capacity(PIECE as usize, Cursor::new(head).chain(stream));
    let mut lines =
        Lines { kind, shaper: Shaper::default(), is_statement: kind != LogKind::General, seconds: None };
    let (mut piece, mut read, mut begins) = (Vec::new(), 0, true);
    loop {
        piece.clear();
        let some = stream.by_ref().take(PIECE).read_until(b'\n', &mut piece)?;
        if some == 0 {
            break;
        }
        read += some as u64;
        lines.piece(&piece, begins, &mut each);
        begins = piece.ends_with(b"\n");
        at(read);
    }
    lines.end(&mut each);
    Ok(kind)
}

/// The lines of a file, parted into statements.
struct Lines {
    kind: LogKind,
    shaper: Shaper,
    /// The line belongs to a statement, and not to an entry without one.
    is_statement: bool,
    seconds: Option<f64>,
}

impl Lines {
    /// Takes a line, or what follows of one.
    fn piece(&mut self, piece: &[u8], begins: bool, each: &mut impl FnMut(Shape<'_>, Option<f64>)) {
        let mut text = piece;
        match self.kind {
            LogKind::General if begins => {
                if let Some((command, argument)) = entry(piece) {
                    self.end(each);
                    self.is_statement = matches!(command, b"Query" | b"Execute");
                    text = argument;
                } else if is_banner(piece) {
                    self.end(each);
                    self.is_statement = false;
                }
            }
            LogKind::Slow if begins && (begins_slow(piece) || is_banner(piece)) => {
                self.end(each);
                self.seconds = None;
                return;
            }
            LogKind::Slow if begins => {
                if let Some(figures) = piece.strip_prefix(b"# Query_time: ") {
                    self.seconds = seconds(figures);
                    return;
                }
            }
            LogKind::General | LogKind::Slow | LogKind::Sql => {}
        }
        if self.is_statement {
            let seconds = &mut self.seconds;
            self.shaper.feed(text, &mut |shape| each(shape, taken(shape, seconds)));
        }
    }

    fn end(&mut self, each: &mut impl FnMut(Shape<'_>, Option<f64>)) {
        let seconds = &mut self.seconds;
        self.shaper.end(&mut |shape| each(shape, taken(shape, seconds)));
    }
}

/// The time that an entry of a slow log took is that of its statement, and not of those that lead to it.
fn taken(shape: Shape<'_>, seconds: &mut Option<f64>) -> Option<f64> {
    match shape {
        Shape::Is(shape) if shape.starts_with("SET timestamp") || shape.starts_with("USE ") => None,
        _ => seconds.take(),
    }
}

fn begins_slow(line: &[u8]) -> bool {
    line.starts_with(b"# Time: ") || line.starts_with(b"# User@Host: ")
}

fn seconds(figures: &[u8]) -> Option<f64> {
    let first = figures.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(first).ok()?.trim().parse().ok()
}

/// A line that a server writes when it starts.
fn is_banner(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.ends_with(b"started with:")
        || line.starts_with(b"Tcp port: ")
        || (line.starts_with(b"Time ") && line.ends_with(b"Argument"))
        || (line.starts_with(b"Time\t") && line.ends_with(b"Argument"))
}

/// The command and the argument of the first line of an entry: a time, or two tabs; the connection; the command.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = match line.strip_prefix(b"\t\t") {
        Some(rest) => rest,
        None => {
            let (time, rest) = part(line, b'\t')?;
            let is_time = time.first()?.is_ascii_digit() && time.len() < 40 && time.contains(&b':');
            is_time.then_some(rest)?
        }
    };
    let (connection, rest) = part(rest.trim_ascii_start(), b' ')?;
    if connection.is_empty() || !connection.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (command, argument) = part(rest, b'\t').unwrap_or((rest.trim_ascii_end(), b"\n"));
    let is_command = command.first().is_some_and(u8::is_ascii_uppercase)
        && command.len() < 24
        && command.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b' ');
    is_command.then_some((command, argument))
}

fn part(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = text.split_at(text.iter().position(|byte| *byte == at)?);
    Some((before, after.split_first()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (LogKind, Vec<(String, Option<f64>)>) {
        let mut found = Vec::new();
        let take = |shape: Shape<'_>, seconds| match shape {
            Shape::Is(shape) => found.push((shape.to_owned(), seconds)),
            Shape::TooLong => found.push(("too long".to_owned(), seconds)),
        };
        let kind = each_statement(text.as_bytes(), take, |_| ()).unwrap();
        (kind, found)
    }

    fn shapes(text: &str) -> (LogKind, Vec<String>) {
        let (kind, found) = read(text);
        (kind, found.into_iter().map(|(shape, _)| shape).collect())
    }

    const BANNER: &str = "/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server). started with:\n\
         Tcp port: 3306  Unix socket: /run/mysqld.sock\n\
         Time                 Id Command    Argument\n";

    #[test]
    fn a_general_log_gives_what_was_asked_and_what_prepared_statements_ran() {
        let new = format!(
            "{BANNER}2026-11-29T20:00:00.123456Z\t    8 Connect\tapp@localhost on shop using TCP/IP\n\
             2026-11-29T20:00:00.123457Z\t    8 Query\tSELECT *\n  FROM orders\n  WHERE id = 5\n\
             2026-11-29T20:00:01.000001Z\t   12 Prepare\tSELECT ? FROM t\n\
             2026-11-29T20:00:01.000002Z\t   12 Execute\tSELECT 1 FROM t\n\
             2026-11-29T20:00:01.000003Z\t   12 Close stmt\t\n\
             2026-11-29T20:00:01.000004Z\t    8 Quit\n{BANNER}\
             2026-11-29T20:00:02.000004+08:00\t    9 Query\tCOMMIT\n"
        );
        let expected =
            ["SELECT * FROM orders WHERE id = ?", "SELECT ? FROM t", "COMMIT"].map(str::to_owned).to_vec();
        assert_eq!(shapes(&new), (LogKind::General, expected));
    }

    #[test]
    fn an_older_general_log_leaves_out_times_that_are_the_same() {
        let old = "Time\t\t    Id Command\tArgument\n\
             261129 20:00:00\t     8 Query\tSELECT 1\n\t\t     8 Query\tSELECT 'a\n\t\tb' FROM t\n\
             261129  9:00:01\t    12 Init DB\tshop\n\t\t    12 Quit\t\n";
        let expected = ["SELECT ?", "SELECT ? FROM t"].map(str::to_owned).to_vec();
        assert_eq!(shapes(old), (LogKind::General, expected));
    }

    #[test]
    fn a_slow_log_gives_statements_with_their_seconds() {
        let log = format!(
            "{BANNER}# Time: 261129 20:00:00\n# User@Host: app[app] @ localhost []\n\
             # Thread_id: 8  Schema: shop  QC_hit: No\n# Query_time: 2.500000  Lock_time: 0.0  Rows_sent: 1\n\
             use shop;\nSET timestamp=1790000000;\nSELECT SLEEP(2.5);\n\
             # User@Host: app[app] @ localhost []\n# Query_time: 0.25  Lock_time: 0.0\n\
             SET timestamp=1790000001;\nSELECT 'cut sho\n\
             # Time: 2026-11-29T20:00:02Z\n# User@Host: x\n# administrator command: Quit;\n"
        );
        let (kind, found) = read(&log);
        let found: Vec<_> = found.iter().map(|(shape, seconds)| (shape.as_str(), *seconds)).collect();
        let expected = [
            ("USE shop", None),
            ("SET timestamp = ?", None),
            ("SELECT SLEEP(?)", Some(2.5)),
            ("SET timestamp = ?", None),
            ("SELECT ?", Some(0.25)),
        ];
        assert_eq!((kind, found.as_slice()), (LogKind::Slow, &expected[..]));
    }

    #[test]
    fn any_other_file_is_sql() {
        let sql = "-- nightly\nSELECT a FROM t WHERE b = 'x;y';\nDELETE FROM t\nWHERE b = 1";
        let expected =
            ["SELECT a FROM t WHERE b = ?", "DELETE FROM t WHERE b = ?"].map(str::to_owned).to_vec();
        assert_eq!(shapes(sql), (LogKind::Sql, expected));
        assert_eq!(shapes(""), (LogKind::Sql, Vec::new()));
    }

    #[test]
    fn a_line_of_many_pieces_is_one_statement() {
        let long = format!(
            "261129 20:00:00\t 8 Query\tSELECT 1 FROM t WHERE a IN ({}1)\n",
            "1234567,".repeat(50_000)
        );
        assert_eq!(shapes(&long).1, ["SELECT ? FROM t WHERE a IN (?, ?)"]);
    }
}
