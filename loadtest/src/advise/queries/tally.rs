//! The shapes of a file, and how often each occurs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};

use coupon_measure::format::count;

use super::column::Unjudged;
use super::log::{LogKind, each_statement};
use super::shape::Shape;
use super::stack::with_deep_stack;
use super::statement::{Statement, read, unqualified};

/// The most shapes that are told apart, and the most bytes of all of them.
const SHAPES: usize = 20_000;
const BYTES: usize = 32 << 20;
/// Progress is reported once in so many bytes.
const TOLD: u64 = 16 << 20;

/// Statements of one shape.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) shape: Box<str>,
    pub(super) times: u64,
    /// The time that they took, of a slow log.
    pub(super) seconds: f64,
    pub(super) statement: Statement,
}

/// Everything that a file holds.
#[derive(Debug)]
pub struct StatementTally {
    /// The kind of file.
    pub kind: LogKind,
    /// The statements that read or write rows.
    pub statements: u64,
    /// The others: SET, COMMIT, SHOW, …
    pub others: u64,
    /// Statements whose shape came after as many others as are told apart.
    pub left_out: u64,
    /// True if the file says how long statements took.
    pub timed: bool,
    pub(super) groups: Vec<Group>,
}

/// The occurrences of a shape.
#[derive(Debug, Default, Clone, Copy)]
struct Times {
    times: u64,
    seconds: f64,
    timed: bool,
}

impl Times {
    fn add(&mut self, seconds: Option<f64>) {
        self.times += 1;
        self.seconds += seconds.unwrap_or_default();
        self.timed |= seconds.is_some();
    }
}

/// Shapes as they come.
#[derive(Debug, Default)]
struct Shapes {
    known: HashMap<Box<str>, Times>,
    bytes: usize,
    too_long: Times,
    left_out: u64,
    all: u64,
}

impl Shapes {
    fn add(&mut self, shape: Shape<'_>, seconds: Option<f64>) {
        self.all += 1;
        let Shape::Is(shape) = shape else { return self.too_long.add(seconds) };
        if let Some(times) = self.known.get_mut(shape) {
            return times.add(seconds);
        }
        if self.known.len() >= SHAPES || self.bytes + shape.len() > BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += shape.len();
        self.known.entry(shape.into()).or_default().add(seconds);
    }

    fn tally(self, kind: LogKind) -> io::Result<StatementTally> {
        let Self { known, too_long, left_out, .. } = self;
        let timed = kind == LogKind::Slow && known.values().any(|times| times.timed);
        let mut tally =
            StatementTally { kind, statements: 0, others: 0, left_out, timed, groups: Vec::new() };
        let read: Vec<_> = with_deep_stack(|| {
            let shapes = known.into_iter().map(|(shape, times)| {
                let statement = read(&shape);
                (shape, times, statement)
            });
            shapes.collect()
        })?;
        let mut put = |shape: Box<str>, times: Times, statement: Option<Statement>| match statement {
            Some(statement) => {
                tally.statements += times.times;
                let Times { times, seconds, .. } = times;
                tally.groups.push(Group { shape, times, seconds, statement });
            }
            None => tally.others += times.times,
        };
        for (shape, times, statement) in read {
            put(shape, times, statement);
        }
        if too_long.times > 0 {
            put("…".into(), too_long, Some(Statement::in_doubt(false, Unjudged::TooLong)));
        }
        let several = of_several_databases(&tally.groups);
        tally.groups.iter_mut().for_each(|group| group.statement.unqualify(&several));
        tally.groups.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.shape.cmp(&b.shape)));
        Ok(tally)
    }
}

/// The names of tables that statements name with different databases.
fn of_several_databases(groups: &[Group]) -> BTreeSet<String> {
    let mut whole = BTreeMap::<&str, BTreeSet<&str>>::new();
    let named = groups.iter().flat_map(|group| &group.statement.named);
    for name in named.filter(|name| name.contains('.')) {
        whole.entry(unqualified(name)).or_default().insert(name);
    }
    whole.into_iter().filter(|(_, names)| names.len() > 1).map(|(table, _)| table.to_owned()).collect()
}

impl StatementTally {
    /// Reads a file, in memory that does not grow with it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(stream: impl Read, progress: impl Fn(String)) -> io::Result<Self> {
        let shapes = std::cell::RefCell::new(Shapes::default());
        let mut told = 0;
        let at = |read: u64| {
            if read >= told + TOLD {
                told = read;
                let shapes = shapes.borrow();
                let (statements, different) = (count(shapes.all), count(shapes.known.len() as u64));
                progress(format!("{} MB, {statements} statements of {different} shapes", read >> 20));
            }
        };
        let kind = each_statement(stream, |shape, seconds| shapes.borrow_mut().add(shape, seconds), at)?;
        shapes.into_inner().tally(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::LONGEST;
    use super::*;

    fn tally(sql: &str) -> StatementTally {
        StatementTally::of(sql.as_bytes(), |_| ()).unwrap()
    }

    #[test]
    fn statements_are_grouped_by_shape_the_most_frequent_first() {
        let found = tally(
            "SET x = 1; SELECT a FROM t WHERE b = 1; select a from t where b='2'; DELETE FROM t; COMMIT",
        );
        assert_eq!((found.statements, found.others, found.left_out, found.timed), (3, 2, 0, false));
        let groups: Vec<_> = found.groups.iter().map(|group| (&*group.shape, group.times)).collect();
        assert_eq!(groups, [("SELECT a FROM t WHERE b = ?", 2), ("DELETE FROM t", 1)]);
    }

    #[test]
    fn a_table_or_json_is_refused_by_name() {
        for (text, named) in
            [("user_id,room_id\n1,2\n", "a table (CSV)"), ("{\"a\": 1}\n", "JSON"), ("[\n1]", "JSON")]
        {
            let error = StatementTally::of(text.as_bytes(), |_| ()).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?}: {error}");
        }
        assert_eq!(tally("select a,\nb,\nc from t").statements, 1);
    }

    #[test]
    fn shapes_beyond_those_that_are_told_apart_are_counted() {
        let sql: String = (0..SHAPES + 5).map(|n| format!("SELECT a{n} FROM t;")).collect();
        let found = tally(&sql);
        assert_eq!((found.statements, found.left_out), (SHAPES as u64, 5));
        assert_eq!(found.groups.len(), SHAPES);
    }

    #[test]
    fn statements_as_deep_as_they_are_long_are_read() {
        let begins = "SELECT b FROM t WHERE a = 1 AND c = ";
        for (part, between) in
            [("1", " + "), ("1", " OR "), ("1", " AND "), ("x", "-"), ("(1", " IN ("), ("!", "")]
        {
            let long = format!("{begins}{}", [part].repeat(LONGEST).join(between));
            let deep: String = long.chars().take(LONGEST * 3 / 4).collect();
            let found = tally(&format!("{deep} d"));
            assert_eq!((found.statements, found.groups.len()), (1, 1), "{part}{between}");
        }
        let union = ["SELECT 1"].repeat(LONGEST / 16).join(" UNION ");
        assert_eq!(tally(&union).groups.len() + tally(&union).others as usize, 1);
    }

    #[test]
    fn a_statement_too_long_to_be_kept_is_there_and_in_doubt() {
        let found = tally(&format!("SELECT {} a FROM t", "column, ".repeat(5_000)));
        assert_eq!((found.statements, found.groups[0].statement.doubt), (1, Some(Unjudged::TooLong)));
    }
}
