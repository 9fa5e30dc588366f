//! The versions of the layout in main, and the strategy that they make.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{LayoutVersion, RESULT_ID_EPOCH, ShardingStrategy, Timestamp, Versioned};
use mysql_async::Row;
use mysql_async::prelude::Queryable;

use super::values::get;
use crate::VersionRecord;

/// The first version of a layout, which has every row from before the second.
pub(super) fn first(layout: &str, now: Timestamp) -> VersionRecord {
    VersionRecord {
        number: 1,
        from: RESULT_ID_EPOCH,
        layout: layout.to_owned(),
        receives: false,
        closed: false,
        announced: now,
        operator: String::new(),
        what: "the layout at first".to_owned(),
    }
}

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

/// The strategy of the versions that may still have rows.
///
/// # Errors
/// When the versions that are known already cannot say what a later one is.
pub(super) fn versioned(known: &Versioned, records: &[VersionRecord]) -> anyhow::Result<Versioned> {
    let version = |record: &VersionRecord| {
        let VersionRecord { number, from, layout, receives, .. } = record;
        let strategy = of_layout(known, layout).with_context(|| {
            let name = known.name();
            format!("version {number} of the layout is \"{layout}\", which is none that {name} knows")
        })?;
        Ok(LayoutVersion { number: *number, from: *from, receives: *receives, strategy })
    };
    let open = records.iter().filter(|record| !record.closed);
    Ok(Versioned::new(open.map(version).collect::<anyhow::Result<_>>()?)?)
}

/// The strategy that a layout line names, if one of the versions is it, or the latest can say what it is.
pub(super) fn of_layout(known: &Versioned, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
    let same = known.versions().iter().find(|version| version.strategy.layout() == line);
    let same = same.map(|version| Arc::clone(&version.strategy));
    same.or_else(|| known.of_layout(line)).filter(|strategy| strategy.layout() == line)
}
