//! The tables, from the SQL files in `schema/`, for MySQL as they stand and for SQLite by a small translation.
//!
//! The files are the one truth: a person can load them by hand with the `mysql` client.

use std::borrow::Cow;

use crate::TableId;

const CATALOGUE: &str = include_str!("../../../schema/main/001_catalogue.sql");
const RESULTS: &str = include_str!("../../../schema/shard/001_results.sql");
const OUTBOX: &str = include_str!("../../../schema/shard/002_outbox.sql");
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
    statements(CATALOGUE, dialect).collect()
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
    statements(OUTBOX, dialect).chain(statements(inbox, dialect)).collect()
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

/// SQLite keeps a table in the order of its key only if that key is spelt `INTEGER PRIMARY KEY`, and knows no
/// table options.
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
    fn mysql_gets_the_files_as_they_are() {
        let (create, indexes) = results(Dialect::MySql, TableId::Single);
        assert!(create.contains("BIGINT NOT NULL PRIMARY KEY") && create.contains("ENGINE"), "{create}");
        assert!(
            indexes
                .iter()
                .any(|sql| sql.starts_with("CREATE UNIQUE INDEX idx_user_coupon ON coupon_results "))
        );
        assert_eq!(catalogue(Dialect::MySql).iter().filter(|sql| sql.starts_with("CREATE TABLE")).count(), 7);
    }
}
