//! A table, as the server describes it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::plain;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Address;
use super::key::{Key, Whole, quoted};

/// Types whose values are bytes, which may be no text.
const BYTES: [&str; 3] = ["binary", "varbinary", "bit"];
/// Types whose values have any length, or no order that ranges could follow.
const NO_KEYS: [&str; 18] = [
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "json",
    "vector",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
];

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    /// Its primary key, which begins with a whole number.
    pub(super) key: Key,
    /// The rows, as the server estimates them.
    pub(super) rows: u64,
    /// Its columns in small letters, with the names and types that they have.
    columns: BTreeMap<String, (String, String)>,
}

impl Table {
    /// Asks the server.
    pub(super) async fn of(connection: &mut Conn, address: &Address) -> Result<Self> {
        let named = (&address.database, &address.table);
        let columns: Vec<(String, String, String)> = connection
            .exec(
                "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS \
                 WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                named,
            )
            .await?;
        ensure!(!columns.is_empty(), "there is no such table, or this user may not read it");
        let unsigned: BTreeSet<String> = columns
            .iter()
            .filter(|(.., whole)| whole.to_lowercase().contains("unsigned"))
            .map(|(name, ..)| name.to_lowercase())
            .collect();
        let columns: BTreeMap<_, _> = columns
            .into_iter()
            .map(|(name, kind, _)| (name.to_lowercase(), (name, kind.to_lowercase())))
            .collect();
        let primary: Vec<String> = connection
            .exec(
                "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
                 AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
                named,
            )
            .await?;
        let kind =
            |name: &str| columns.get(&name.to_lowercase()).map(|(_, kind)| kind.as_str()).unwrap_or_default();
        let whole = |name: &String| {
            let is_signed = !unsigned.contains(&name.to_lowercase());
            (name.clone(), Whole::of(name, kind(name), is_signed))
        };
        const EXPORT: &str = "export some of its rows as CSV, with an id, the columns of the keys and a time (or a running number), and \
             judge that file: loadtest advise rows.csv --key KEY --map user=ID,room=ID,coupon=ID,time=TIME";
        let Some(first) = primary.first() else {
            bail!("it has no primary key by whose ranges it could be sampled: {EXPORT}")
        };
        let Some(key) = Key::new(primary.iter().map(whole).collect()) else {
            bail!(
                "its primary key begins with {} ({}), and ranges are drawn of whole numbers alone: {EXPORT}",
                plain::line(first),
                kind(first)
            )
        };
        let rows: Option<Option<u64>> = connection
            .exec_first(
                "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                named,
            )
            .await?;
        Ok(Self { key, rows: rows.flatten().unwrap_or_default(), columns })
    }

    /// An expression for the text of a column of a key: bytes are read as hexadecimal digits, which keep their order.
    pub(super) fn column(&self, name: &str) -> Result<String> {
        let (name, kind) = self.found(name)?;
        ensure!(
            !NO_KEYS.contains(&kind.as_str()),
            "--key: {} is of type {kind}, which is no key to shard by",
            plain::line(name)
        );
        let name = quoted(name);
        Ok(if BYTES.contains(&kind.as_str()) { format!("HEX({name})") } else { name })
    }

    /// An expression for the milliseconds since 1970 of a column; NULL where that is 0, as for '0000-00-00': it is no time then.
    pub(super) fn moment(&self, name: &str) -> Result<String> {
        let (name, kind) = self.found(name)?;
        let name = quoted(name);
        let millis = match kind.as_str() {
            "datetime" | "timestamp" | "date" => format!("UNIX_TIMESTAMP({name}) * 1000"),
            // Seconds, milliseconds or microseconds: until 2286, their sizes do not overlap.
            "bigint" | "int" | "decimal" | "double" => format!(
                "CASE WHEN {name} < 1e10 THEN {name} * 1000 WHEN {name} < 1e13 THEN {name} ELSE {name} / 1000 END"
            ),
            other => bail!("--time-column: {} is of type {other}, which is no time", plain::line(&name)),
        };
        Ok(format!("NULLIF(CAST({millis} AS SIGNED), 0)"))
    }

    fn found(&self, name: &str) -> Result<&(String, String)> {
        self.columns.get(&name.to_lowercase()).with_context(|| {
            let there: Vec<_> = self.columns.values().map(|(name, _)| plain::line(name)).collect();
            format!("it has no column {:?}; there are {}", name, there.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::key;
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Table {
        let column =
            |(name, kind): &(&str, &str)| (name.to_lowercase(), ((*name).to_owned(), (*kind).to_owned()));
        Table { key: key(&[("id", "bigint")]), rows: 1, columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn bytes_are_read_as_digits_and_everything_else_as_it_is() {
        let table = table(&[
            ("Id", "bigint"),
            ("name", "varchar"),
            ("a", "binary"),
            ("b", "varbinary"),
            ("c", "bit"),
        ]);
        let read = ["id", "name", "a", "b", "c"].map(|name| table.column(name).unwrap());
        assert_eq!(read, ["`Id`", "`name`", "HEX(`a`)", "HEX(`b`)", "HEX(`c`)"]);
    }

    #[test]
    fn a_column_of_any_length_is_refused_as_a_key_by_its_name() {
        for kind in NO_KEYS {
            let error = table(&[("Note", kind)]).column("note").unwrap_err().to_string();
            assert_eq!(error, format!("--key: Note is of type {kind}, which is no key to shard by"));
        }
    }

    #[test]
    fn a_moment_of_zero_is_no_time() {
        let table = table(&[("at", "datetime"), ("seconds", "bigint"), ("name", "varchar")]);
        assert_eq!(table.moment("at").unwrap(), "NULLIF(CAST(UNIX_TIMESTAMP(`at`) * 1000 AS SIGNED), 0)");
        let seconds = table.moment("seconds").unwrap();
        assert!(seconds.starts_with("NULLIF(CAST(CASE") && seconds.ends_with("AS SIGNED), 0)"), "{seconds}");
        assert!(table.moment("name").unwrap_err().to_string().contains("is no time"));
    }
}
