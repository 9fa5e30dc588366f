//! The inbox of a shard: where a busy shard commits grabs first, a batch a row, before it sorts them into their tables.
//!
//! A row of a table of results touches a page of every index, and random users fall on random pages: a commit of a few
//! dozen grabs would write a few hundred KB. In the inbox they are one row of a few KB, and a few thousand of them
//! moved at once share the pages they touch.

use std::time::Instant;

use anyhow::Context as _;
use coupon_core::ShardId;
use rusqlite::{Connection, params};

use crate::PlacedResult;
use crate::rows::{Rows, from_rows, to_rows};

/// A busy shard sorts so many in after each batch it takes: a few milliseconds for which its grabs wait.
const SLICE: usize = 1_024;

/// The inbox, as the file has it.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) rows: Vec<PlacedResult>,
    pub(super) next_batch: i64,
    /// The time at which the first of them was put in.
    pub(super) since: Option<Instant>,
    /// The rows that are being sorted in, in the order of their tables and users: neighbours share pages.
    pub(super) sorting: Vec<PlacedResult>,
    /// The last batch of those that are being sorted in.
    pub(super) sorting_batch: i64,
}

impl Inbox {
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.sorting.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &PlacedResult> {
        self.sorting.iter().chain(&self.rows)
    }

    /// Everything gathered so far is to be sorted in; what arrives from now on gathers anew.
    pub(super) fn turn_over(&mut self) {
        self.sorting = std::mem::take(&mut self.rows);
        self.sorting.sort_unstable_by_key(|row| (row.placement.table, row.result.user_id));
        self.sorting_batch = self.next_batch - 1;
        self.since = None;
    }

    /// The next results to be sorted in.
    pub(super) fn slice(&self) -> &[PlacedResult] {
        self.sorting.get(self.sorting.len().saturating_sub(SLICE)..).unwrap_or_default()
    }
}

/// Commits nothing by itself: it is part of the caller's transaction.
pub(super) fn put(db: &Connection, batch: i64, rows: &[PlacedResult]) -> rusqlite::Result<()> {
    let json = serde_json::to_string(&to_rows(rows))
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached("INSERT INTO inbox (batch_id, results) VALUES (?1, ?2)")?
        .execute(params![batch, json])?;
    Ok(())
}

/// Empties it up to a batch, once all of those have been moved, in the transaction that moved the last.
pub(super) fn clear(db: &Connection, last: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM inbox WHERE batch_id <= ?1")?.execute([last])?;
    Ok(())
}

/// The inbox that a stopped service left: the results, and the last batch's number.
pub(super) fn read(db: &Connection, shard: ShardId) -> anyhow::Result<(Vec<PlacedResult>, i64)> {
    let mut statement = db.prepare("SELECT batch_id, results FROM inbox ORDER BY batch_id")?;
    let mut rows = statement.query([])?;
    let (mut found, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        let json: String = row.get(1)?;
        let rows: Rows = serde_json::from_str(&json).with_context(|| format!("inbox batch {last}"))?;
        found.extend(from_rows(shard, rows).with_context(|| format!("inbox batch {last}"))?);
    }
    Ok((found, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coupon_core::schema::{self, Dialect};
    use coupon_core::{CouponId, CouponResult, Placement, ResultId, RoomId, TableId, UserId};

    #[test]
    fn what_was_put_in_comes_out_and_clearing_empties_it() {
        let db = Connection::open_in_memory().unwrap();
        schema::shard(Dialect::Sqlite).iter().for_each(|sql| db.execute_batch(sql).unwrap());
        let shard = ShardId::new(3);
        let row = |sequence, table: &str| {
            let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, sequence).unwrap();
            let (user, coupon) = (UserId::new(7).unwrap(), CouponId::new(8).unwrap());
            let result = CouponResult::granted(id, user, coupon, RoomId::new(2).unwrap());
            PlacedResult { placement: Placement::new(shard, TableId::parse(table).unwrap()), result }
        };
        put(&db, 4, &[row(0, "coupon_results_2026_11_22"), row(1, "coupon_results_room_1_25")]).unwrap();
        put(&db, 5, &[row(2, "coupon_results_room_1_25")]).unwrap();
        let (found, last) = read(&db, shard).unwrap();
        let found: Vec<_> = found.iter().map(|row| (row.placement.table.to_string(), row.result)).collect();
        let put_in = [
            row(0, "coupon_results_2026_11_22"),
            row(1, "coupon_results_room_1_25"),
            row(2, "coupon_results_room_1_25"),
        ];
        let put_in: Vec<_> = put_in.iter().map(|row| (row.placement.table.to_string(), row.result)).collect();
        assert_eq!((found, last), (put_in, 5));
        clear(&db, 4).unwrap();
        assert_eq!(read(&db, shard).unwrap().0.len(), 1);
        clear(&db, 5).unwrap();
        assert_eq!(read(&db, shard).unwrap().0.len(), 0);
    }
}
