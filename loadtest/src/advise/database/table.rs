//! What the server says of a table.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::plain;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Address;

/// Types whose ranges can be drawn.
const WHOLE: [&str; 5] = ["tinyint", "smallint", "mediumint", "int", "bigint"];

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    /// The first column of its primary key: a whole number.
    pub(super) id: String,
    /// The rows, as the server estimates them.
    pub(super) rows: u64,
    /// Its columns in small letters, with the names and types that they have.
    columns: BTreeMap<String, (String, String)>,
}

impl Table {
    /// Asks the server.
    pub(super) async fn of(connection: &mut Conn, address: &Address) -> Result<Self> {
        let named = (&address.database, &address.table);
        let columns: Vec<(String, String)> = connection
            .exec(
                "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                named,
            )
            .await?;
        ensure!(!columns.is_empty(), "there is no such table, or this user may not read it");
        let columns: BTreeMap<_, _> = columns
            .into_iter()
            .map(|(name, kind)| (name.to_lowercase(), (name, kind.to_lowercase())))
            .collect();
        let id: Option<String> = connection
            .exec_first(
                "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
                 AND INDEX_NAME = 'PRIMARY' AND SEQ_IN_INDEX = 1",
                named,
            )
            .await?;
        const EXPORT: &str = "export some of its rows as CSV, and give that file with --key instead";
        let Some(id) = id else {
            bail!("it has no primary key by whose ranges it could be sampled: {EXPORT}")
        };
        let kind = columns.get(&id.to_lowercase()).map(|(_, kind)| kind.as_str()).unwrap_or_default();
        ensure!(
            WHOLE.contains(&kind),
            "its primary key begins with {} ({kind}), and ranges are drawn of whole numbers alone: {EXPORT}",
            plain::line(&id)
        );
        let rows: Option<Option<u64>> = connection
            .exec_first(
                "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                named,
            )
            .await?;
        Ok(Self { id, rows: rows.flatten().unwrap_or_default(), columns })
    }

    /// A column, as SQL names it.
    pub(super) fn column(&self, name: &str) -> Result<String> {
        Ok(quoted(&self.found(name)?.0))
    }

    /// An expression for the milliseconds since 1970 of a column.
    pub(super) fn moment(&self, name: &str) -> Result<String> {
        let (name, kind) = self.found(name)?;
        let name = quoted(name);
        match kind.as_str() {
            "datetime" | "timestamp" | "date" => Ok(format!("CAST(UNIX_TIMESTAMP({name}) * 1000 AS SIGNED)")),
            // Seconds, milliseconds or microseconds: until 2286, their sizes do not overlap.
            "bigint" | "int" | "decimal" | "double" => Ok(format!(
                "CAST(CASE WHEN {name} < 1e10 THEN {name} * 1000 WHEN {name} < 1e13 THEN {name} ELSE {name} / 1000 END AS SIGNED)"
            )),
            other => bail!("--time-column: {} is of type {other}, which is no time", plain::line(&name)),
        }
    }

    fn found(&self, name: &str) -> Result<&(String, String)> {
        self.columns.get(&name.to_lowercase()).with_context(|| {
            let there: Vec<_> = self.columns.values().map(|(name, _)| plain::line(name)).collect();
            format!("it has no column {:?}; there are {}", name, there.join(", "))
        })
    }
}

/// A name in backticks.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
