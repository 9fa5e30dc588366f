//! Brings tables of before up to date: the columns that later versions have added, and the unique index of results.
//!
//! MySQL has no transactions around such statements, and no `IF NOT EXISTS` for a column. So what is there is looked at
//! first, and to be cut short does no harm. Rows are changed slice by slice: each slice stays changed, and no transaction holds
//! a whole table.

use coupon_core::TableId;
use coupon_core::schema::{Column, Dialect, ResultsUpdate, results_update};
use coupon_store::slices::{SLICE, TableProgress};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::rebuild::RETIRED;

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

/// Brings every table of results up to date, those included that an archive which was cut short is retiring. In a data set of
/// before, rows are looked at in those tables too that are up to date: after an update that was cut short, the version of before
/// may have used results.
pub(super) async fn update_results(conn: &mut Conn, of_before: bool) -> mysql_async::Result<()> {
    let names: Vec<String> = conn.query("SHOW TABLES").await?;
    for name in names {
        let Some(table) = TableId::parse(name.strip_prefix(RETIRED).unwrap_or(&name)) else { continue };
        let update = named(results_update(Dialect::MySql, table), table, &name);
        if covers_slot(conn, &name, &update.index).await? {
            if of_before {
                update_rows(conn, &update).await?;
            }
            continue;
        }
        tracing::info!(table = name, "a table of results of before is brought up to date");
        add(conn, &update.columns).await?;
        update_rows(conn, &update).await?;
        for statement in &update.index_anew {
            conn.query_drop(statement).await?;
        }
    }
    Ok(())
}

/// Gives every row of a table the state that it has by its use.
async fn update_rows(conn: &mut Conn, update: &ResultsUpdate) -> mysql_async::Result<()> {
    let (mut after, mut progress) = (0, TableProgress::of(&update.table));
    loop {
        let next: Option<(u64, Option<i64>)> = conn.query_first(update.next_slice(after, SLICE)).await?;
        let Some((rows, Some(last))) = next else { return Ok(()) };
        conn.query_drop(update.slice(after, last)).await?;
        progress.passed(rows);
        after = last;
    }
}

/// The steps for a table that has another name by now.
fn named(update: ResultsUpdate, table: TableId, name: &str) -> ResultsUpdate {
    let table = table.to_string();
    let renamed = |sql: String| sql.replacen(&table, name, 1);
    let ResultsUpdate { columns, rows, index, index_anew, .. } = update;
    let column = |column: Column| Column { table: name.to_owned(), sql: renamed(column.sql), ..column };
    ResultsUpdate {
        table: name.to_owned(),
        columns: columns.into_iter().map(column).collect(),
        rows: renamed(rows),
        index,
        index_anew: index_anew.into_iter().map(renamed).collect(),
    }
}

/// True if the unique index is the one that is made last.
async fn covers_slot(conn: &mut Conn, table: &str, index: &str) -> mysql_async::Result<bool> {
    let sql = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
               AND table_name = ? AND index_name = ? AND column_name = 'slot'";
    let covered: Option<i64> = conn.exec_first(sql, (table, index)).await?;
    Ok(covered == Some(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_being_retired_is_brought_up_to_date_under_its_name() {
        let (table, name) = (TableId::Single, format!("{RETIRED}{}", TableId::Single));
        let update = named(results_update(Dialect::MySql, table), table, &name);
        let columns = update.columns.iter().map(|column| &column.sql);
        let slices = [update.slice(0, 7), update.next_slice(0, 7)];
        for sql in columns.chain(&slices).chain(&update.index_anew) {
            assert!(sql.contains(" retired_coupon_results ") || sql.starts_with("UPDATE retired_"), "{sql}");
            assert_eq!(sql.matches("coupon_results").count(), 1, "{sql}");
        }
    }
}
