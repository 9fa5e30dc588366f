//! The rows that an archive takes out of one table in one transaction.

use std::collections::BTreeMap;
use std::sync::Mutex;

use coupon_core::{CouponId, Day, TableId, Timestamp};
use rusqlite::Connection;

use crate::embedded::sql;
use crate::embedded::state::lock;
use crate::statements::settled;
use crate::{Totals, first_id};

/// The rows that an archive may take.
#[derive(Debug)]
pub(super) struct Going {
    /// The first day that is kept.
    pub(super) before: Day,
    /// The least id of that day.
    pub(super) first_kept: i64,
    /// The time at which it began.
    pub(super) at: Timestamp,
    /// The condition on a row that may go.
    pub(super) settled: String,
    /// The most rows that are deleted in one transaction.
    pub(super) batch: u32,
    /// The most rows of a table that is dropped whole.
    pub(super) whole: u32,
    /// The coupons that are over for a day, with the number of rows that take stock. Rows of no other coupon go that take any.
    pub(super) over: BTreeMap<CouponId, i64>,
    /// The number of these that have gone.
    gone: Mutex<BTreeMap<CouponId, i64>>,
}

impl Going {
    pub(super) fn new(
        before: Day,
        at: Timestamp,
        (batch, whole): (u32, u32),
        indexed: bool,
    ) -> anyhow::Result<Self> {
        let (first_kept, settled) = (first_id(before)?, settled(at, indexed));
        let (over, gone) = (BTreeMap::new(), Mutex::default());
        Ok(Self { before, first_kept, at, settled, batch, whole, over, gone })
    }

    /// The first coupon of a part of which more rows would have gone with it than the record of changes names.
    pub(super) fn first_unnamed(&self, part: &TablePart) -> Option<CouponId> {
        let gone = lock(&self.gone);
        let number = |of: &BTreeMap<CouponId, i64>, coupon| of.get(&coupon).copied().unwrap_or(0);
        part.live()
            .find(|(coupon, rows)| number(&gone, *coupon) + rows > number(&self.over, *coupon))
            .map(|(coupon, _)| coupon)
    }

    /// Takes note of a part that has gone.
    pub(super) fn note(&self, part: &TablePart) {
        let mut gone = lock(&self.gone);
        part.live().for_each(|(coupon, rows)| *gone.entry(coupon).or_default() += rows);
    }

    /// The tables of a file that may hold rows which go.
    pub(super) fn tables(&self, db: &Connection) -> rusqlite::Result<Vec<TableId>> {
        let mut tables = sql::tables(db)?;
        tables.retain(|table| table.day().is_none_or(|day| day < self.before));
        // The oldest first.
        tables.reverse();
        Ok(tables)
    }

    /// Sums over the rows of a table that go, by coupon.
    pub(super) fn sums(&self, db: &Connection, table: TableId) -> rusqlite::Result<Vec<(CouponId, Totals)>> {
        sql::totals_by_coupon(db, table, self.first_kept - 1, &self.settled)
    }

    /// The number of old rows of a table that stay.
    pub(super) fn held(&self, db: &Connection, table: TableId) -> rusqlite::Result<u64> {
        let settled = &self.settled;
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE result_id < ?1 AND NOT {settled}");
        Ok(db.query_row(&sql, [self.first_kept], |row| row.get::<_, i64>(0))?.cast_unsigned())
    }

    /// True if a table holds nothing but rows that go, and not too many of them. Those of a day or an hour hold no newer ones.
    fn goes_whole(&self, db: &Connection, table: TableId) -> rusqlite::Result<bool> {
        if table.day().is_none() {
            return Ok(false);
        }
        let most = i64::from(self.whole);
        let counted = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT ?1)");
        let rows: i64 = db.query_row(&counted, [most + 1], |row| row.get(0))?;
        Ok(rows <= most && self.held(db, table)? == 0)
    }

    /// The last of the next rows of a table behind an id that go, as many as one transaction takes. Result ids are in
    /// the order of time, and so is the table: they lie side by side.
    fn last_of_batch(&self, db: &Connection, table: TableId, after: i64) -> rusqlite::Result<Option<i64>> {
        let Self { settled, batch, first_kept, .. } = self;
        let next = format!(
            "SELECT MAX(result_id) FROM (SELECT result_id FROM {table} \
             WHERE result_id > ?1 AND result_id < ?2 AND {settled} ORDER BY result_id LIMIT {batch})"
        );
        db.query_row(&next, [after, *first_kept], |row| row.get(0))
    }
}

/// Rows of a table that go in one transaction: the whole table, or the next of those that may.
#[derive(Debug)]
pub(in crate::embedded) struct TablePart {
    table: TableId,
    pub(super) whole: bool,
    /// The id of the last of them.
    pub(super) last: i64,
    /// The condition on a row of the table that it is one of them.
    condition: String,
    sums: Vec<(CouponId, Totals)>,
}

impl TablePart {
    /// The next of a table behind an id, if there is one. What stays before that is not read again.
    pub(super) fn next_of(
        db: &Connection,
        table: TableId,
        after: i64,
        going: &Going,
    ) -> rusqlite::Result<Option<Self>> {
        let whole = going.goes_whole(db, table)?;
        let last = if whole { Some(going.first_kept - 1) } else { going.last_of_batch(db, table, after)? };
        let Some(last) = last else { return Ok(None) };
        // What stayed before may go by now, and would with its table.
        let after = if whole { 0 } else { after };
        let condition = format!("result_id > {after} AND {}", going.settled);
        let sums = sql::totals_by_coupon(db, table, last, &condition)?;
        Ok(Some(Self { table, whole, last, condition, sums }))
    }

    /// The number of rows of each coupon that take stock.
    pub(in crate::embedded) fn live(&self) -> impl Iterator<Item = (CouponId, i64)> {
        live(&self.sums)
    }

    /// The sums over all of them.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.sums.iter().for_each(|(_, sums)| totals += *sums);
        totals
    }

    /// Takes them out of the file, within a transaction.
    pub(in crate::embedded) fn take_away(&self, db: &Connection) -> rusqlite::Result<()> {
        let Self { table, last, condition, .. } = self;
        if self.whole {
            return db.execute_batch(&format!("DROP TABLE {table}"));
        }
        db.execute(&format!("DELETE FROM {table} WHERE result_id <= ?1 AND {condition}"), [last]).map(drop)
    }
}

/// The number of rows of each coupon that take stock.
pub(super) fn live(sums: &[(CouponId, Totals)]) -> impl Iterator<Item = (CouponId, i64)> {
    let of = |(coupon, sums): &(CouponId, Totals)| (*coupon, (sums.results - sums.given_back).cast_signed());
    sums.iter().map(of).filter(|(_, rows)| *rows > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_results_of_a_coupon_go_than_are_named() {
        let (coupon, noon) =
            (CouponId::new(7).unwrap(), "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap());
        let mut going = Going::new(noon.day(), noon, (10, 10), false).unwrap();
        going.over.insert(coupon, 3);
        let part = |results| {
            let sums = vec![(coupon, Totals { results, ..Totals::default() })];
            TablePart { table: TableId::Single, whole: false, last: 0, condition: String::new(), sums }
        };
        assert_eq!(going.first_unnamed(&part(3)), None);
        going.note(&part(2));
        assert_eq!(going.first_unnamed(&part(2)), Some(coupon));
        assert_eq!(going.first_unnamed(&part(1)), None);
    }
}
