//! The versions of the layout in main.

use coupon_core::Timestamp;
use mysql_async::Row;
use mysql_async::prelude::Queryable;

use super::values::get;
use crate::VersionRecord;
pub(super) use crate::layout_records::{first, of_layout, versioned};

/// Reads every version, from the first on.
pub(super) async fn read(conn: &mut impl Queryable) -> mysql_async::Result<Vec<VersionRecord>> {
    let sql = "SELECT version, valid_from, layout, receives, closed, announced_at, operator, what FROM layouts \
               ORDER BY version";
    let rows: Vec<Row> = conn.query(sql).await?;
    rows.iter().map(record).collect()
}

fn record(row: &Row) -> mysql_async::Result<VersionRecord> {
    Ok(VersionRecord {
        number: get(row, 0)?,
        from: Timestamp::from_millis(get(row, 1)?),
        layout: get(row, 2)?,
        receives: get(row, 3)?,
        closed: get(row, 4)?,
        announced: Timestamp::from_millis(get(row, 5)?),
        operator: get(row, 6)?,
        what: get(row, 7)?,
    })
}

/// Writes a version in place of what there is of it.
pub(super) async fn write(conn: &mut impl Queryable, version: &VersionRecord) -> mysql_async::Result<()> {
    let sql = "REPLACE INTO layouts (version, valid_from, layout, receives, closed, announced_at, operator, what) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let VersionRecord { number, from, layout, receives, closed, announced, operator, what } = version;
    let row = (number, from.millis(), layout, receives, closed, announced.millis(), operator, what);
    conn.exec_drop(sql, row).await
}
