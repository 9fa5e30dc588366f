//! The versions of the layout in main.

use std::num::NonZeroU32;

use coupon_core::{LayoutVersion, Timestamp, VersionNumber, Versioned};
use mysql_async::Row;
use mysql_async::prelude::Queryable;

use super::seam::MoveOrder;
use super::values::get;
pub(super) use coupon_store::layout_records::{ensure_known, ensure_told, first, of_layout, versioned};
use coupon_store::{Moving, VersionRecord};

/// The earliest of the known versions that main's list has no more, or has otherwise: main was put back to before it.
pub(super) fn forgotten(known: &Versioned, records: &[VersionRecord]) -> Option<VersionNumber> {
    let is_there = |version: &LayoutVersion| {
        let LayoutVersion { number, from, receives, strategy } = version;
        let same = |record: &VersionRecord| {
            (record.number, record.from) == (*number, *from)
                && record.layout == strategy.layout()
                && (record.receives || !receives)
        };
        records.iter().any(same)
    };
    known.versions().iter().find(|version| !is_there(version)).map(|version| version.number)
}

/// The latest version that rows come to.
pub(super) fn receiving(versions: &Versioned) -> Option<VersionNumber> {
    versions.versions().iter().rfind(|version| version.receives).map(|version| version.number)
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

/// The last movement of rows; none before the first.
pub(super) async fn movement(conn: &mut impl Queryable) -> mysql_async::Result<Option<Moving>> {
    let sql = "SELECT to_version, began, runs, rows_moved, rows_to_look_at, rows_looked_at, rate, trouble, operator \
               FROM moves WHERE id = 1";
    let row: Option<Row> = conn.query_first(sql).await?;
    row.as_ref().map(moving).transpose()
}

fn moving(row: &Row) -> mysql_async::Result<Moving> {
    Ok(Moving {
        to: get(row, 0)?,
        began: Timestamp::from_millis(get(row, 1)?),
        runs: get(row, 2)?,
        moved: get(row, 3)?,
        rows: get(row, 4)?,
        looked_at: get(row, 5)?,
        rate: NonZeroU32::new(get(row, 6)?).unwrap_or(NonZeroU32::MIN),
        rows_per_s: 0.0,
        trouble: get(row, 7)?,
        operator: get(row, 8)?,
    })
}

/// Writes a movement in place of the one before. One that does not go on any more is still its operator's.
pub(super) async fn write_movement(
    conn: &mut impl Queryable,
    moving: &Moving,
    operator: &str,
) -> mysql_async::Result<()> {
    let sql = "INSERT INTO moves (id, to_version, began, operator, runs, rows_to_look_at, rows_looked_at, rows_moved, rate, \
               trouble) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE to_version = VALUES(to_version), \
               began = VALUES(began), operator = IF(VALUES(runs), VALUES(operator), operator), runs = VALUES(runs), \
               rows_to_look_at = VALUES(rows_to_look_at), rows_looked_at = VALUES(rows_looked_at), \
               rows_moved = VALUES(rows_moved), rate = VALUES(rate), trouble = VALUES(trouble)";
    let Moving { to, began, runs, moved, rows, looked_at, rate, trouble, .. } = moving;
    let row = (to, began.millis(), operator, runs, rows, looked_at, moved, rate.get(), trouble);
    conn.exec_drop(sql, row).await
}

/// Writes how far a movement has come, unless another has begun.
pub(super) async fn note_progress(conn: &mut impl Queryable, moving: &Moving) -> mysql_async::Result<()> {
    let sql = "UPDATE moves SET rows_to_look_at = ?, rows_looked_at = ?, rows_moved = ?, trouble = ? WHERE id = 1 \
               AND to_version = ? AND began = ?";
    let Moving { to, began, moved, rows, looked_at, trouble, .. } = moving;
    conn.exec_drop(sql, (rows, looked_at, moved, trouble, to, began.millis())).await
}

/// Gives an order to the movement that goes on, if one does.
pub(super) async fn order(
    conn: &mut impl Queryable,
    order: MoveOrder,
) -> mysql_async::Result<Option<Moving>> {
    let Some(before) = movement(conn).await?.filter(|moving| moving.runs) else { return Ok(None) };
    // Each writes its own column: another order may come between the reading and this.
    let stops = match order {
        MoveOrder::Rate(rate) => {
            conn.exec_drop("UPDATE moves SET rate = ? WHERE id = 1 AND runs = 1", (rate.get(),)).await?;
            false
        }
        MoveOrder::Stop => {
            conn.query_drop("UPDATE moves SET runs = 0 WHERE id = 1 AND runs = 1").await?;
            true
        }
    };
    let after = movement(conn).await?.filter(|after| after.began == before.began);
    Ok(after.filter(|after| stops || after.runs))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coupon_core::{RESULT_ID_EPOCH, ShardingStrategy as _};

    use super::*;
    use crate::first_shard::FirstOf;

    fn record(number: VersionNumber, receives: bool) -> VersionRecord {
        VersionRecord { number, receives, ..first(&FirstOf(2).layout(), Timestamp::from_millis(0)) }
    }

    fn known(receives: bool) -> Versioned {
        let from = Timestamp::from_millis(1_795_000_000_000);
        let version =
            |number, from, receives| LayoutVersion { number, from, receives, strategy: Arc::new(FirstOf(2)) };
        Versioned::new(vec![version(1, RESULT_ID_EPOCH, false), version(2, from, receives)]).unwrap()
    }

    #[test]
    fn a_version_that_main_has_no_more_or_has_otherwise_is_forgotten() {
        let from = Timestamp::from_millis(1_795_000_000_000);
        let second = |receives| VersionRecord { from, ..record(2, receives) };
        let closed = VersionRecord { closed: true, ..record(1, false) };
        assert_eq!(forgotten(&known(false), &[closed, second(true)]), None);
        assert_eq!(forgotten(&known(false), &[record(1, false)]), Some(2));
        assert_eq!(forgotten(&known(true), &[record(1, false), second(false)]), Some(2));
        let later = VersionRecord { from: from.plus_millis(1), ..second(false) };
        assert_eq!(forgotten(&known(false), &[record(1, false), later]), Some(2));
    }
}
