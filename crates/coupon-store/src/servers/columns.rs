//! Brings tables of before up to date: the columns that later versions have added, and the unique index of results.
//!
//! MySQL has no transactions around such statements, and no `IF NOT EXISTS` for a column. So what is there is looked at
//! first, and to be cut short does no harm.

use coupon_core::TableId;
use coupon_core::schema::{Column, Dialect, ResultsUpdate, results_update};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::sql;

/// Adds the columns that are missing.
pub(super) async fn add(conn: &mut Conn, columns: &[Column]) -> mysql_async::Result<()> {
    for of_table in columns.chunk_by(|one, next| one.table == next.table) {
        let Some(Column { table, .. }) = of_table.first() else { continue };
        let there: Vec<String> = conn
            .exec(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
                (table,),
            )
            .await?;
        for column in of_table.iter().filter(|column| !there.contains(&column.name)) {
            conn.query_drop(&column.sql).await?;
        }
    }
    Ok(())
}

/// Brings every table of results up to date.
pub(super) async fn update_results(conn: &mut Conn) -> mysql_async::Result<()> {
    for table in sql::tables(conn).await? {
        let ResultsUpdate { columns, rows, index, index_anew } = results_update(Dialect::MySql, table);
        if covers_slot(conn, table, &index).await? {
            continue;
        }
        tracing::info!(%table, "a table of results of before is brought up to date");
        add(conn, &columns).await?;
        for statement in [rows].iter().chain(&index_anew) {
            conn.query_drop(statement).await?;
        }
    }
    Ok(())
}

/// True if the unique index is the one that is made last.
async fn covers_slot(conn: &mut Conn, table: TableId, index: &str) -> mysql_async::Result<bool> {
    let sql = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
               AND table_name = ? AND index_name = ? AND column_name = 'slot'";
    let covered: Option<i64> = conn.exec_first(sql, (table.to_string(), index)).await?;
    Ok(covered == Some(1))
}
