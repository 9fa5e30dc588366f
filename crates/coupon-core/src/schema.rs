//! The tables, from the SQL files in `schema/`, for MySQL as they stand and for SQLite by a small translation.
//!
//! The files are the one truth: a person can load them by hand with the `mysql` client.

use std::borrow::Cow;

use crate::TableId;

const CATALOGUE: &str = include_str!("../../../schema/main/001_catalogue.sql");
const RESULTS: &str = include_str!("../../../schema/shard/001_results.sql");
const OUTBOX: &str = include_str!("../../../schema/shard/002_outbox.sql");
const SERVERS_MAIN: &str = include_str!("../../../schema/main/002_servers.sql");
const GATE_RECORD: &str = include_str!("../../../schema/main/003_gate_record.sql");
const BOOKS: &str = include_str!("../../../schema/main/004_books.sql");
const GRAB_TERMS: &str = include_str!("../../../schema/main/005_grab_terms.sql");
const CHANGES: &str = include_str!("../../../schema/main/006_catalogue_changes.sql");
const TAKEN_BACK: &str = include_str!("../../../schema/main/007_taken_back.sql");
const PROCESSES: &str = include_str!("../../../schema/main/008_processes.sql");
const LAYOUTS: &str = include_str!("../../../schema/main/009_layouts.sql");
const SHARD_PLACES: &str = include_str!("../../../schema/main/010_shard_places.sql");
const PROCESS_SHARDS: &str = include_str!("../../../schema/main/011_process_shards.sql");
const GATES: &str = include_str!("../../../schema/main/012_gates.sql");
const GATE_LIST: &str = include_str!("../../../schema/main/013_gate_list.sql");
const SERVERS_SHARD: &str = include_str!("../../../schema/shard/003_servers.sql");
const HOLDS: &str = include_str!("../../../schema/shard/004_holds.sql");
const RELEASES: &str = include_str!("../../../schema/shard/005_releases.sql");
const STATE_COLUMNS: &str = include_str!("../../../schema/shard/006_state_columns.sql");
const RESULTS_COLUMNS: &str = include_str!("../../../schema/shard/007_results_columns.sql");
const MOVES: &str = include_str!("../../../schema/shard/008_moves.sql");
const PARKED_SLOT: &str = include_str!("../../../schema/shard/009_parked_slot.sql");
const PARKED_GRANT: &str = include_str!("../../../schema/shard/010_parked_grant.sql");
const SHARD_GATES: &str = include_str!("../../../schema/shard/011_gates.sql");
const LANES: &str = include_str!("../../../schema/shard/012_lanes.sql");
const ROOM_INDEX: &str = include_str!("../../../schema/room_index/001_room_index.sql");
const STOCK: &str = include_str!("../../../schema/stock/001_stock.sql");
const ENGINE: &str = include_str!("../../../schema/engine/001_lanes.sql");
const INBOX: &str = include_str!("../../../schema/embedded/001_inbox.sql");
const SAMPLE: &str = include_str!("../../../schema/sample.sql");

/// The SQL a database understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL 8.4 and later, MariaDB 10.11 and later: the files as they are.
    MySql,
    /// SQLite 3.37 and later.
    Sqlite,
}

/// The statements that make the main database's tables.
#[must_use]
pub fn catalogue(dialect: Dialect) -> Vec<String> {
    let files = [CATALOGUE, BOOKS, GRAB_TERMS, CHANGES, TAKEN_BACK, LAYOUTS];
    files.into_iter().flat_map(|file| statements(file, dialect)).collect()
}

/// The statements that make the tables which the main database of a SQLite data set of before lacks. Running them again
/// does no harm.
#[must_use]
pub fn main_updates() -> Vec<String> {
    let files = [BOOKS, CHANGES, LAYOUTS];
    files.into_iter().flat_map(|file| statements(file, Dialect::Sqlite)).map(if_missing).collect()
}

/// The statements that make the tables which a shard of a SQLite data set of before lacks. Running them again does no
/// harm.
#[must_use]
pub fn shard_updates() -> Vec<String> {
    [HOLDS, MOVES].into_iter().flat_map(|file| whole_tables(statements(file, Dialect::Sqlite))).collect()
}

/// A column that a table of before lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The table.
    pub table: String,
    /// The column's name.
    pub name: String,
    /// The statement that adds it. It fails where the column is there.
    pub sql: String,
}

/// The columns that a main database of before lacks, each to be added where it is missing.
#[must_use]
pub fn main_columns() -> Vec<Column> {
    [GRAB_TERMS, TAKEN_BACK].into_iter().flat_map(columns).collect()
}

/// The columns that a MySQL main database of before lacks beside them.
#[must_use]
pub fn servers_columns() -> Vec<Column> {
    [PROCESS_SHARDS, GATE_LIST].into_iter().flat_map(columns).collect()
}

/// The columns that a shard of before lacks, but for those of its tables of results. A file is one lane, which no column names.
#[must_use]
pub fn shard_columns(dialect: Dialect) -> Vec<Column> {
    let of_servers: &[_] = if dialect == Dialect::MySql { &[STATE_COLUMNS, SHARD_GATES, LANES] } else { &[] };
    [PARKED_SLOT, PARKED_GRANT].iter().chain(of_servers).copied().flat_map(columns).collect()
}

/// The steps that bring a table of results of before up to date, in order. Each can be taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsUpdate {
    /// The table.
    pub table: String,
    /// The columns to add where they are missing.
    pub columns: Vec<Column>,
    /// The statement that gives rows the state that they have by their use. A large table gets it slice by slice.
    pub rows: String,
    /// The name of the unique index. Once it covers the slot, the table is up to date.
    pub index: String,
    /// The statements that make it anew: one in MySQL, and in SQLite two that belong into one transaction.
    pub index_anew: Vec<String>,
}

impl ResultsUpdate {
    /// The question for the next slice of the rows, behind an id: their number, `most` at most, and the last id, if
    /// there are any.
    #[must_use]
    pub fn next_slice(&self, after: i64, most: u32) -> String {
        let table = &self.table;
        format!(
            "SELECT COUNT(*), MAX(result_id) FROM \
             (SELECT result_id FROM {table} WHERE result_id > {after} ORDER BY result_id LIMIT {most}) AS slice"
        )
    }

    /// The statement on the rows of a slice alone, from behind an id to the last.
    #[must_use]
    pub fn slice(&self, after: i64, last: i64) -> String {
        format!("{} AND result_id > {after} AND result_id <= {last}", self.rows)
    }
}

/// The steps that bring a table of results of before up to date.
#[must_use]
pub fn results_update(dialect: Dialect, table: TableId) -> ResultsUpdate {
    let name = table.to_string();
    let renamed = |column: Column| Column {
        table: name.clone(),
        sql: column.sql.replace(TableId::PREFIX, &name),
        name: column.name,
    };
    let (_, indexes) = results(dialect, table);
    let create = indexes.into_iter().find(|sql| sql.starts_with("CREATE UNIQUE")).unwrap_or_default();
    let (what, _, covered) = index(&create).unwrap_or_default();
    let index = what.trim_start_matches("UNIQUE INDEX ").to_owned();
    let index_anew = match dialect {
        Dialect::MySql => vec![format!("ALTER TABLE {name} DROP INDEX {index}, ADD {what} {covered}")],
        Dialect::Sqlite => vec![format!("DROP INDEX IF EXISTS {index}"), create.clone()],
    };
    ResultsUpdate {
        table: name.clone(),
        columns: columns(RESULTS_COLUMNS).into_iter().map(renamed).collect(),
        rows: format!(
            "UPDATE {name} SET state = 2, state_time = use_time WHERE use_status = 1 AND state = 1"
        ),
        index,
        index_anew,
    }
}

/// The columns that a file of `ALTER TABLE … ADD COLUMN …` adds.
fn columns(file: &'static str) -> Vec<Column> {
    // Both dialects understand them as they are.
    let column = |sql: String| {
        let (table, rest) = sql.strip_prefix("ALTER TABLE ")?.split_once(" ADD COLUMN ")?;
        let name = rest.split(' ').next()?;
        Some(Column { table: table.to_owned(), name: name.to_owned(), sql: sql.clone() })
    };
    statements(file, Dialect::MySql).filter_map(column).collect()
}

/// The statements that fill the main database with the small sample catalogue.
#[must_use]
pub fn sample(dialect: Dialect) -> Vec<String> {
    statements(SAMPLE, dialect).collect()
}

/// The statements that make a shard's tables other than those of results. Only SQLite has an inbox: other databases
/// have a queue before them.
#[must_use]
pub fn shard(dialect: Dialect) -> Vec<String> {
    let inbox = if dialect == Dialect::Sqlite { INBOX } else { "" };
    [OUTBOX, HOLDS, MOVES, PARKED_SLOT, PARKED_GRANT, inbox]
        .into_iter()
        .flat_map(|file| statements(file, dialect))
        .collect()
}

/// The statements that make a shard's tables of a room index, each unless it is there.
#[must_use]
pub fn room_index(dialect: Dialect) -> Vec<String> {
    whole_tables(statements(ROOM_INDEX, dialect))
}

/// The statements that make a shard's table of stock, where its database decides grabs, unless it is there.
#[must_use]
pub fn stock(dialect: Dialect) -> Vec<String> {
    whole_tables(statements(STOCK, dialect))
}

/// The tables and columns by which an engine shards, and its functions of them, as Vitess' tools take it.
pub const VSCHEMA: &str = include_str!("../../../schema/engine/vschema.json");

/// The statements that make the tables of an engine's shards, each unless it is there: the one of results, and the small ones.
#[must_use]
pub fn engine() -> Vec<String> {
    let small = whole_tables(statements(ENGINE, Dialect::MySql));
    std::iter::once(results_table(TableId::Single)).chain(small).collect()
}

/// The statement that makes one table of results, then those that make its indexes.
///
/// A bulk load makes the indexes last; they say `IF NOT EXISTS` in neither dialect, because MySQL cannot.
#[must_use]
pub fn results(dialect: Dialect, table: TableId) -> (String, Vec<String>) {
    let name = table.to_string();
    let mut all = statements(RESULTS, dialect).map(|sql| {
        let sql = sql.replace(TableId::PREFIX, &name);
        // Index names are a table's own in MySQL, but the whole file's in SQLite.
        if dialect == Dialect::Sqlite {
            sql.replace("INDEX idx_", &format!("INDEX {name}_idx_"))
        } else {
            sql
        }
    });
    (all.next().unwrap_or_default(), all.collect())
}

/// The SQLite statements that make those indexes of a table of results that are missing, to run after a bulk fill that may
/// have been cut short.
#[must_use]
pub fn results_indexes_if_missing(table: TableId) -> Vec<String> {
    results(Dialect::Sqlite, table).1.into_iter().map(if_missing).collect()
}

/// A SQLite statement that makes a table or an index, so that running it again does no harm.
fn if_missing(sql: String) -> String {
    let kinds = ["CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE TABLE "];
    let made =
        kinds.into_iter().find_map(|make| Some(format!("{make}IF NOT EXISTS {}", sql.strip_prefix(make)?)));
    made.unwrap_or(sql)
}

/// A numbered change of a MySQL database. Running it again after it was cut short does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// `V1__catalogue`: the number, and what it is about.
    pub name: &'static str,
    /// Its statements, as one text.
    pub sql: String,
}

/// The changes that make a main database's tables, in order. [`main_columns`] come after them.
#[must_use]
pub fn main_migrations() -> Vec<Migration> {
    vec![
        migration("V1__catalogue", CATALOGUE),
        migration("V2__servers", SERVERS_MAIN),
        migration("V3__gate_record", GATE_RECORD),
        migration("V4__books", BOOKS),
        migration("V6__catalogue_changes", CHANGES),
        migration("V8__processes", PROCESSES),
        migration("V9__layouts", LAYOUTS),
        migration("V10__shard_places", SHARD_PLACES),
        migration("V12__gates", GATES),
    ]
}

/// The changes that make a shard's database, in order; its tables of results are made when they are needed, and
/// [`shard_columns`] come after them.
#[must_use]
pub fn shard_migrations() -> Vec<Migration> {
    vec![
        migration("V2__outbox", OUTBOX),
        migration("V3__servers", SERVERS_SHARD),
        migration("V4__holds", HOLDS),
        migration("V5__releases", RELEASES),
        migration("V8__moves", MOVES),
    ]
}

fn migration(name: &'static str, file: &'static str) -> Migration {
    let tables = whole_tables(statements(file, Dialect::MySql));
    Migration { name, sql: tables.join(";\n") }
}

/// The one statement that makes a table of results with its indexes in MySQL, unless it is there: MySQL has no
/// transactions around such statements, and a table without its indexes would be taken for whole ever after.
#[must_use]
pub fn results_table(table: TableId) -> String {
    let name = table.to_string();
    let renamed = statements(RESULTS, Dialect::MySql).map(|sql| sql.replace(TableId::PREFIX, &name));
    whole_tables(renamed).join(";\n")
}

/// The MySQL statement that adds the indexes to a table that [`results`] made, to run after a bulk fill: an index of
/// many rows is built faster than it grows.
#[must_use]
pub fn results_indexes(table: TableId) -> String {
    let name = table.to_string();
    let renamed = statements(RESULTS, Dialect::MySql).map(|sql| sql.replace(TableId::PREFIX, &name));
    let added = renamed.filter_map(|sql| {
        let (index, _, columns) = index(&sql)?;
        Some(format!("ADD {index} {columns}"))
    });
    format!("ALTER TABLE {name} {}", added.collect::<Vec<_>>().join(", "))
}

/// Puts each index into the statement that makes its table, and makes a table only if it is missing.
fn whole_tables(statements: impl Iterator<Item = String>) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for sql in statements {
        if let Some(rest) = sql.strip_prefix("CREATE TABLE ") {
            tables.push(format!("CREATE TABLE IF NOT EXISTS {rest}"));
        } else if let Some((index, table, columns)) = index(&sql) {
            let of_table =
                |sql: &&mut String| sql.starts_with(&format!("CREATE TABLE IF NOT EXISTS {table} "));
            if let Some(create) = tables.iter_mut().find(of_table)
                && let Some(end) = create.rfind("\n)")
            {
                create.insert_str(end, &format!(",\n    {index} {columns}"));
            }
        }
    }
    tables
}

/// `CREATE UNIQUE INDEX name ON table (columns)` as `UNIQUE INDEX name`, `table` and `(columns)`.
fn index(sql: &str) -> Option<(&str, &str, &str)> {
    let (index, rest) = sql.strip_prefix("CREATE ")?.split_once(" ON ")?;
    let (table, columns) = rest.split_once(' ')?;
    Some((index, table, columns))
}

fn statements(file: &'static str, dialect: Dialect) -> impl Iterator<Item = String> {
    let text: String =
        file.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
    let parts: Vec<String> =
        text.split(";\n").map(|sql| sql.trim().trim_end_matches(';').to_owned()).collect();
    parts.into_iter().filter(|sql| !sql.is_empty()).map(move |sql| match dialect {
        Dialect::MySql => sql,
        Dialect::Sqlite => sqlite(&sql).into_owned(),
    })
}

/// SQLite keeps a table in the order of its key only if that key is spelt `INTEGER PRIMARY KEY`, and has no table
/// options.
fn sqlite(sql: &str) -> Cow<'_, str> {
    if !sql.starts_with("CREATE TABLE") {
        return Cow::Borrowed(sql);
    }
    let sql = sql.replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY");
    let end = sql.rfind(')').map_or(sql.len(), |at| at + 1);
    Cow::Owned(sql.get(..end).unwrap_or(&sql).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_daily_table_gets_its_own_name_and_indexes() {
        let table = TableId::parse("coupon_results_2026_11_22").unwrap();
        let (create, indexes) = results(Dialect::Sqlite, table);
        assert!(create.starts_with("CREATE TABLE coupon_results_2026_11_22 ("), "{create}");
        assert!(create.contains("INTEGER NOT NULL PRIMARY KEY") && !create.contains("ENGINE"), "{create}");
        assert_eq!(indexes.len(), 2);
        for index in indexes {
            assert!(index.contains("INDEX coupon_results_2026_11_22_idx_"), "{index}");
            assert!(index.contains("ON coupon_results_2026_11_22 ("), "{index}");
        }
    }

    #[test]
    fn a_table_is_made_with_its_indexes_in_one_statement() {
        let table = TableId::parse("coupon_results_2026_11_22").unwrap();
        let sql = results_table(table);
        assert!(sql.starts_with("CREATE TABLE IF NOT EXISTS coupon_results_2026_11_22 (\n"), "{sql}");
        assert!(
            sql.contains(",\n    UNIQUE INDEX idx_user_coupon (user_id, coupon_id, slot)\n) ENGINE"),
            "{sql}"
        );
        assert!(
            sql.contains(",\n    INDEX idx_room_time (room_id, grab_time)") && !sql.contains(';'),
            "{sql}"
        );
    }

    #[test]
    fn indexes_can_be_added_later_all_at_once() {
        let table = TableId::parse("coupon_results_2026_11_22").unwrap();
        assert_eq!(
            results_indexes(table),
            "ALTER TABLE coupon_results_2026_11_22 ADD INDEX idx_room_time (room_id, grab_time), \
             ADD UNIQUE INDEX idx_user_coupon (user_id, coupon_id, slot)"
        );
    }

    #[test]
    fn every_migration_can_be_run_again() {
        for migration in main_migrations().into_iter().chain(shard_migrations()) {
            for statement in migration.sql.split(";\n") {
                assert!(
                    statement.starts_with("CREATE TABLE IF NOT EXISTS "),
                    "{}: {statement}",
                    migration.name
                );
            }
        }
        assert!(main_migrations()[0].sql.contains("INDEX idx_log_coupon (coupon_id, log_id)"));
    }

    #[test]
    fn a_table_of_before_gets_every_column_that_a_new_one_has() {
        let table = TableId::parse("coupon_results_2026_11_22").unwrap();
        let update = results_update(Dialect::Sqlite, table);
        let create = results(Dialect::Sqlite, table).0;
        for Column { table, name, sql } in &update.columns {
            let column = sql.split_once(" ADD COLUMN ").unwrap().1;
            assert_eq!(table, "coupon_results_2026_11_22");
            assert!(create.contains(&format!("    {column}")) && column.starts_with(name.as_str()), "{sql}");
        }
        let names: Vec<&str> = update.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["state", "slot", "hold_until", "request", "state_time"]);
        assert_eq!(update.index, "coupon_results_2026_11_22_idx_user_coupon");
        assert_eq!(
            update.index_anew,
            [
                "DROP INDEX IF EXISTS coupon_results_2026_11_22_idx_user_coupon",
                "CREATE UNIQUE INDEX coupon_results_2026_11_22_idx_user_coupon ON coupon_results_2026_11_22 \
                 (user_id, coupon_id, slot)"
            ]
        );
        assert_eq!(
            results_update(Dialect::MySql, table).index_anew,
            ["ALTER TABLE coupon_results_2026_11_22 DROP INDEX idx_user_coupon, \
              ADD UNIQUE INDEX idx_user_coupon (user_id, coupon_id, slot)"]
        );
    }

    #[test]
    fn what_is_leaving_has_every_column_of_a_table_of_results_in_the_same_order() {
        let columns = |sql: &str| -> Vec<String> {
            let lines = sql.lines().filter(|line| line.starts_with("    "));
            lines.map(|line| line.trim().trim_end_matches(',').to_owned()).collect()
        };
        let of_results = columns(&results(Dialect::MySql, TableId::Single).0);
        let leaving = columns(&statements(MOVES, Dialect::MySql).next().unwrap());
        assert_eq!(leaving[..of_results.len()], of_results);
        assert_eq!(leaving.len(), of_results.len() + 3);
    }

    #[test]
    fn columns_that_were_added_later_are_named() {
        let names = |columns: Vec<Column>| -> Vec<String> {
            columns.into_iter().map(|column| format!("{}.{}", column.table, column.name)).collect()
        };
        assert_eq!(
            names(main_columns()),
            ["coupons.hold_s", "coupons.user_limit", "coupons.returnable", "coupons.taken_back"]
        );
        let parked = ["parked_results.slot", "parked_results.request", "parked_results.hold_until"];
        assert_eq!(names(shard_columns(Dialect::Sqlite)), parked);
        let tables =
            ["outbox", "parked_results", "shard_meta", "holds", "shard_state", "markers", "releases"];
        let of_state = ["given_back", "gate_list", "closed_epochs"].map(|name| format!("shard_state.{name}"));
        let lanes = tables.map(|table| format!("{table}.lane"));
        let of_servers = [&parked.map(str::to_owned)[..], &of_state, &lanes].concat();
        assert_eq!(names(shard_columns(Dialect::MySql)), of_servers);
    }

    /// The columns of the tables that statements make, each table with its own in the order of their names.
    fn tables(statements: impl IntoIterator<Item = String>) -> BTreeMap<String, Vec<String>> {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sql in statements {
            let Some(rest) = sql.strip_prefix("CREATE TABLE IF NOT EXISTS ") else { continue };
            let name = rest.split(' ').next().unwrap().to_owned();
            let lines = rest.lines().filter_map(|line| line.strip_prefix("    "));
            let columns = lines.map(|line| line.trim_end_matches(',').replace(" PRIMARY KEY", ""));
            let is_column = |line: &String| line.starts_with(|first: char| first.is_ascii_lowercase());
            let mut columns: Vec<String> = columns.filter(is_column).collect();
            columns.sort_unstable();
            tables.insert(name, columns);
        }
        tables
    }

    #[test]
    fn an_engines_small_tables_have_the_columns_of_a_shards() {
        let migrations = shard_migrations().into_iter();
        let mut by_hand =
            tables(migrations.flat_map(|all| all.sql.split(";\n").map(str::to_owned).collect::<Vec<_>>()));
        for Column { table, sql, .. } in shard_columns(Dialect::MySql) {
            let column = sql.split_once(" ADD COLUMN ").unwrap().1;
            // In an engine there is no lane that a row could be in unless it says so.
            let column = column.trim_end_matches(" DEFAULT X'00'").to_owned();
            let columns = by_hand.get_mut(&table).unwrap();
            columns.push(column);
            columns.sort_unstable();
        }
        let mut of_engine = tables(engine());
        assert!(of_engine.remove("coupon_results").unwrap().len() > 10);
        let (lane, moves) = ("lane VARBINARY(1) NOT NULL".to_owned(), by_hand.get_mut("move_state").unwrap());
        moves.insert(3, lane);
        moves.sort_unstable();
        by_hand.retain(|name, _| name != "leaving" && name != "arrivals");
        assert_eq!(of_engine, by_hand);
    }

    #[test]
    fn an_engine_shards_every_table_by_a_column_that_it_has() {
        let vschema: serde_json::Value = serde_json::from_str(VSCHEMA).unwrap();
        let sharded = vschema["tables"].as_object().unwrap();
        let tables = tables(engine());
        assert_eq!(sharded.keys().collect::<BTreeSet<_>>(), tables.keys().collect::<BTreeSet<_>>());
        for (table, columns) in tables {
            let by = &sharded[&table]["column_vindexes"][0];
            let (column, vindex) = (by["column"].as_str().unwrap(), by["name"].as_str().unwrap());
            assert!(columns.iter().any(|of| of.starts_with(&format!("{column} "))), "{table}: {column}");
            let function = vschema["vindexes"][vindex]["type"].as_str().unwrap();
            assert_eq!(function, if column == "lane" { "binary" } else { "xxhash" }, "{table}");
        }
    }

    #[test]
    fn mysql_gets_the_files_as_they_are() {
        let (create, indexes) = results(Dialect::MySql, TableId::Single);
        assert!(create.contains("BIGINT NOT NULL PRIMARY KEY") && create.contains("ENGINE"), "{create}");
        assert!(
            indexes
                .iter()
                .any(|sql| sql.starts_with("CREATE UNIQUE INDEX idx_user_coupon ON coupon_results "))
        );
        assert_eq!(
            catalogue(Dialect::MySql).iter().filter(|sql| sql.starts_with("CREATE TABLE")).count(),
            14
        );
    }
}
