//! A program's own queries, held against candidate keys: which of them a key lets go to one shard, and which it turns
//! into scatters.
//!
//! A file streams through `log`, `lexer`, `writer` and `shape`, and leaves [`StatementTally`]: its shapes, and how
//! often each occurs. `statement` and `conditions` read a shape once, and `judge` holds it against a key. What cannot
//! be judged is listed.

mod column;
mod conditions;
mod judge;
mod lexer;
mod log;
mod render;
mod shape;
mod stack;
mod statement;
mod tally;
mod writer;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use column::Unjudged;
pub use judge::Visits;
pub use log::LogKind;
pub use render::text;
pub use tally::StatementTally;

use crate::replay::KeyColumns;
use judge::visits;
use statement::{Statement, unqualified};

/// Statements of one kind, by the shards that they visit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VisitCounts {
    /// One shard.
    pub one: u64,
    /// One shard for each value of a list.
    pub lists: u64,
    /// Neighbouring values: some shards where the key is kept in ranges, all where it is hashed.
    pub ranges: u64,
    /// All shards.
    pub all: u64,
    /// Not judged.
    pub unknown: u64,
}

impl VisitCounts {
    fn add(&mut self, visits: Visits, times: u64) {
        let count = match visits {
            Visits::Elsewhere => return,
            Visits::One => &mut self.one,
            Visits::List => &mut self.lists,
            Visits::Range => &mut self.ranges,
            Visits::All => &mut self.all,
            Visits::Unknown(_) => &mut self.unknown,
        };
        *count += times;
    }

    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.one + self.lists + self.ranges + self.all + self.unknown
    }
}

/// Statements of one shape that do not go to one shard.
#[derive(Debug, Serialize)]
pub struct ScatteringQuery {
    /// The shape.
    pub shape: String,
    /// The shards that they visit.
    pub visits: Visits,
    /// Their number.
    pub times: u64,
    /// Their part of all statements of these tables.
    pub share: f64,
    /// Their part of the time that these took, where the file has it.
    pub share_of_time: Option<f64>,
}

/// The findings for a key.
#[derive(Debug, Serialize)]
pub struct QueriesByKey {
    /// The key.
    pub key: KeyColumns,
    /// The tables that have it.
    pub tables: Vec<String>,
    /// Those of them that no statement is on, as when a name is misspelt.
    pub unseen: Vec<String>,
    /// Statements that read.
    pub reads: VisitCounts,
    /// Statements that write.
    pub writes: VisitCounts,
    /// Statements of other tables.
    pub elsewhere: u64,
    /// Statements that visit more than the shards of a list, or that could not be judged, the most frequent first.
    pub queries: Vec<ScatteringQuery>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct QueryFindings {
    /// The file.
    pub file: String,
    /// The kind of file.
    pub kind: &'static str,
    /// The statements that read or write rows.
    pub statements: u64,
    /// Their shapes.
    pub shapes: u64,
    /// Other statements: SET, COMMIT, SHOW, …
    pub others: u64,
    /// Statements whose shape came after as many others as are told apart.
    pub left_out: u64,
    /// Each key's findings.
    pub keys: Vec<QueriesByKey>,
}

impl QueryFindings {
    /// Holds the statements of a file against keys: of these tables, or of those whose statements name the key's
    /// columns.
    #[must_use]
    pub fn of(file: String, tally: &StatementTally, keys: &[KeyColumns], tables: &[String]) -> Self {
        let known = columns_of_tables(tally);
        let named = tally.groups.iter().flat_map(|group| &group.statement.named);
        let named: BTreeSet<&str> = named.map(String::as_str).collect();
        let keys = keys.iter().map(|key| by_key(tally, key, &sharded(&known, &named, key, tables))).collect();
        Self {
            file,
            kind: tally.kind.words(),
            statements: tally.statements,
            shapes: tally.groups.len() as u64,
            others: tally.others,
            left_out: tally.left_out,
            keys,
        }
    }
}

/// The columns that statements name of each table: those that are read as a whole, since a column of a query within another
/// may be of either's tables.
fn columns_of_tables(tally: &StatementTally) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut known = BTreeMap::<&str, BTreeSet<&str>>::new();
    let sure =
        tally.groups.iter().map(|group| &group.statement).filter(|statement| statement.doubt.is_none());
    for Statement { tables, columns, .. } in sure {
        for table in tables {
            let of_table = known.entry(&table.name).or_default();
            let own = columns.iter().filter(|column| match &column.table {
                Some(qualifier) => *qualifier == table.alias,
                None => tables.len() == 1,
            });
            of_table.extend(own.map(|column| &*column.name));
        }
    }
    known
}

/// The tables that have a key. One that statements name without its database, though several have it, may be any of them.
fn sharded(
    known: &BTreeMap<&str, BTreeSet<&str>>,
    named: &BTreeSet<&str>,
    key: &KeyColumns,
    tables: &[String],
) -> BTreeSet<String> {
    let has =
        |columns: &BTreeSet<&str>| key.columns().iter().all(|name| columns.contains(&*name.to_lowercase()));
    let mut found: BTreeSet<String> = if tables.is_empty() {
        known.iter().filter(|(_, columns)| has(columns)).map(|(table, _)| (*table).to_owned()).collect()
    } else {
        tables.iter().flat_map(|table| asked(table, named)).collect()
    };
    let alone = found.iter().map(|table| unqualified(table)).filter(|table| named.contains(table));
    let alone: Vec<String> = alone.map(str::to_owned).collect();
    found.extend(alone);
    found
}

/// The tables of statements that a name means, with its database or without: as statements are compared by it, where
/// there is none.
fn asked(table: &str, named: &BTreeSet<&str>) -> Vec<String> {
    let parts: Vec<&str> = table.split('.').map(|part| part.trim().trim_matches('`')).collect();
    let (whole, alone) = (parts.join("."), parts.last().copied().unwrap_or_default());
    let is_meant = |name: &str| name == whole || (parts.len() == 1 && unqualified(name) == alone);
    let found: Vec<String> =
        named.iter().filter(|name| is_meant(name)).map(|name| (*name).to_owned()).collect();
    if found.is_empty() { vec![alone.to_owned()] } else { found }
}

fn by_key(tally: &StatementTally, key: &KeyColumns, tables: &BTreeSet<String>) -> QueriesByKey {
    let columns: Vec<String> = key.columns().iter().map(|name| name.to_lowercase()).collect();
    let judged = tally.groups.iter().map(|group| (group, visits(&group.statement, &columns, tables)));
    let judged: Vec<_> = judged.collect();
    let (mut reads, mut writes, mut elsewhere, mut seconds) =
        (VisitCounts::default(), VisitCounts::default(), 0, 0.0);
    for (group, visits) in &judged {
        if *visits == Visits::Elsewhere {
            elsewhere += group.times;
        } else {
            seconds += group.seconds;
            let visited = if group.statement.writes { &mut writes } else { &mut reads };
            visited.add(*visits, group.times);
        }
    }
    let sum = (reads.sum() + writes.sum()).max(1) as f64;
    let told = judged.iter().filter(|(_, visits)| *visits > Visits::List);
    let queries = told.map(|(group, visits)| ScatteringQuery {
        shape: group.shape.to_string(),
        visits: *visits,
        times: group.times,
        share: group.times as f64 / sum,
        share_of_time: (tally.timed && seconds > 0.0).then(|| group.seconds / seconds),
    });
    let queries = queries.collect();
    let named = |table: &&String| tally.groups.iter().any(|group| group.statement.named.contains(*table));
    let unseen = tables.iter().filter(|table| !named(table)).cloned().collect();
    let tables = tables.iter().cloned().collect();
    QueriesByKey { key: key.clone(), tables, unseen, reads, writes, elsewhere, queries }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::advise::queries) fn findings(sql: &str, keys: &[&str], tables: &[&str]) -> QueryFindings {
        let tally = StatementTally::of(sql.as_bytes(), |_| ()).unwrap();
        let keys: Vec<KeyColumns> = keys.iter().map(|key| key.parse().unwrap()).collect();
        let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
        QueryFindings::of("x.sql".to_owned(), &tally, &keys, &tables)
    }

    pub(in crate::advise::queries) const SQL: &str = "
        INSERT INTO orders (id, user_id, room_id) VALUES (1, 2, 3); INSERT INTO orders (id, user_id, room_id) VALUES (2, 2, 3);
        INSERT INTO orders (id, user_id, room_id) VALUES (1, 2, 3), (4, 5, 6);
        SELECT * FROM orders WHERE user_id = 1; SELECT * FROM orders WHERE user_id = 2; SELECT * FROM orders WHERE user_id = 3;
        SELECT * FROM orders WHERE room_id = 1; SELECT * FROM orders WHERE room_id = 2;
        SELECT * FROM orders WHERE room_id = 1 OR user_id = 2;
        SELECT * FROM rooms WHERE id = 3; COMMIT";

    #[test]
    fn each_key_turns_other_queries_into_scatters() {
        let found = findings(SQL, &["user_id", "room_id", "Room_ID,user_id"], &[]);
        assert_eq!((found.statements, found.others, found.shapes), (10, 1, 6));
        let [user, room, both] = &*found.keys else { panic!("{found:?}") };
        for key in [user, room, both] {
            assert_eq!((key.tables.as_slice(), key.elsewhere), (&["orders".to_owned()][..], 1));
            assert_eq!(key.writes, VisitCounts { one: 2, lists: 1, ..VisitCounts::default() });
        }
        assert_eq!(user.reads, VisitCounts { one: 3, all: 2, unknown: 1, ..VisitCounts::default() });
        assert_eq!(room.reads, VisitCounts { one: 2, all: 3, unknown: 1, ..VisitCounts::default() });
        assert_eq!(both.reads, VisitCounts { ranges: 2, all: 3, unknown: 1, ..VisitCounts::default() });
        let [first, second] = &*user.queries else { panic!("{user:?}") };
        assert_eq!(
            (first.shape.as_str(), first.visits),
            ("SELECT * FROM orders WHERE room_id = ?", Visits::All)
        );
        assert!((first.share - 2.0 / 9.0).abs() < 1e-9, "{first:?}");
        assert_eq!(second.visits, Visits::Unknown(Unjudged::Or));
    }

    #[test]
    fn tables_can_be_named_and_are_otherwise_those_that_have_the_keys_columns() {
        assert_eq!(findings(SQL, &["id"], &[]).keys[0].tables, ["orders", "rooms"]);
        let found = findings(SQL, &["id"], &["rooms"]);
        assert_eq!((found.keys[0].elsewhere, found.keys[0].reads.one), (9, 1));
        assert!(findings(SQL, &["nothing"], &[]).keys[0].tables.is_empty());
    }

    #[test]
    fn a_named_table_may_have_its_database_and_one_that_no_statement_is_on_is_told() {
        for name in ["shop.orders", "`shop`.`orders`"] {
            let found = findings(SQL, &["user_id"], &[name, "itmes"]);
            let [key] = &*found.keys else { panic!("{found:?}") };
            assert_eq!((key.reads.one, key.unseen.as_slice()), (3, &["itmes".to_owned()][..]), "{name}");
        }
    }

    #[test]
    fn a_table_that_two_databases_have_is_two_and_without_its_database_in_doubt() {
        let sql = "SELECT * FROM shop.orders WHERE user_id = 1; SELECT * FROM old.orders WHERE room_id = 1;
            SELECT * FROM `shop`.`orders` WHERE room_id = 1; SELECT * FROM orders WHERE user_id = 1;
            SELECT * FROM shop.rooms WHERE user_id = 1; SELECT * FROM rooms WHERE id = 1;
            SELECT * FROM shop.orders JOIN old.orders ON shop.orders.user_id = old.orders.user_id";
        let of = |tables: &[&str]| {
            let found = findings(sql, &["user_id"], tables);
            let QueriesByKey { tables, reads, elsewhere, .. } = &found.keys[0];
            (tables.clone(), *reads, *elsewhere)
        };
        // The fourth may be either's, and of the last it is not told which column is whose.
        let shop = VisitCounts { one: 1, all: 1, unknown: 2, ..VisitCounts::default() };
        assert_eq!(of(&["shop.orders"]), (vec!["orders".to_owned(), "shop.orders".to_owned()], shop, 3));
        let old = VisitCounts { all: 1, unknown: 2, ..VisitCounts::default() };
        assert_eq!(of(&["old.orders"]), (vec!["old.orders".to_owned(), "orders".to_owned()], old, 4));
        let both = VisitCounts { one: 1, all: 2, unknown: 2, ..VisitCounts::default() };
        assert_eq!((of(&["orders"]).1, of(&["orders"]).2), (both, 2));
        // What one database alone has needs none.
        assert_eq!(of(&["rooms"]).1, VisitCounts { one: 1, all: 1, ..VisitCounts::default() });
        assert_eq!(of(&[]).0, ["orders", "rooms", "shop.orders"]);
    }

    #[test]
    fn a_column_of_a_query_within_another_is_not_taken_for_the_outer_tables() {
        let sql = "SELECT * FROM orders WHERE user_id = 5;
            SELECT * FROM rooms WHERE EXISTS (SELECT * FROM orders WHERE user_id = 5)";
        assert_eq!(findings(sql, &["user_id"], &[]).keys[0].tables, ["orders"]);
    }

    #[test]
    fn shares_of_time_are_those_of_a_slow_log() {
        let entry = |seconds: &str, sql: &str| format!("# User@Host: a\n# Query_time: {seconds}\n{sql};\n");
        let log = entry("3.0", "SELECT * FROM t WHERE b = 1") + &entry("1.0", "SELECT * FROM t WHERE a = 1");
        let found = findings(&log, &["a"], &[]);
        assert_eq!(found.keys[0].queries[0].share_of_time, Some(0.75));
    }
}
