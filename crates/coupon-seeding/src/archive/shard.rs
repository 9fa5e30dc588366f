//! One shard's old results: counting them, and letting them go together with the outbox entry that says so.

use std::time::Instant;

use anyhow::{Context, Result};
use coupon_core::books::Moved;
use coupon_core::{CouponId, Day, ShardId, TableId, Timestamp};
use coupon_store::embedded::books;
use coupon_store::embedded::folder::Folder;
use coupon_store::statements::{LIVE, settled};
use rusqlite::{Connection, Transaction};

use super::{ArchiveReport, Counts, first_id};
use crate::Progress;
use crate::options::now;

/// Rows deleted in one transaction: the log stays small, and a reader never waits long.
const BATCH: u32 = 20_000;

/// Page cache while one shard's rows are retired.
const CACHE_KIB: i64 = 64 * 1024;

pub(super) struct Shard {
    pub(super) id: ShardId,
    db: Connection,
    /// The condition on a row that may go.
    settled: String,
    /// The outbox entry of this run: above every entry ever applied, even if those have been cleared away.
    entry: i64,
}

impl Shard {
    pub(super) fn open(folder: &Folder, id: ShardId, applied: i64, at: Timestamp) -> Result<Self> {
        let db = folder.connect_shard(id)?;
        // A deletion touches every index all over: without room for them it would be slower than it need be.
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let last: i64 =
            db.query_row("SELECT COALESCE(MAX(outbox_id), 0) FROM outbox", [], |row| row.get(0))?;
        Ok(Self { id, db, settled: settled(at), entry: last.max(applied) + 1 })
    }

    pub(super) fn parked(&self) -> Result<i64> {
        Ok(self.db.query_row("SELECT COUNT(*) FROM parked_results", [], |row| row.get(0))?)
    }

    /// Batches of results that are stored, but not in their tables yet: they would come up after their day is gone.
    pub(super) fn inbox(&self) -> Result<i64> {
        Ok(self.db.query_row("SELECT COUNT(*) FROM inbox", [], |row| row.get(0))?)
    }

    /// Rows that have left their table and may not have arrived in another one, or in both.
    pub(super) fn leaving(&self) -> Result<i64> {
        Ok(self.db.query_row("SELECT COUNT(*) FROM leaving", [], |row| row.get(0))?)
    }

    /// The entries above a position, oldest first.
    pub(super) fn outbox(&self, above: i64) -> Result<Vec<books::NumberedDeltas>> {
        books::entries(&self.db, above).with_context(|| format!("the outbox of shard {}", self.id))
    }

    /// Adds the number of rows of each coupon that are older than a day, take stock and may go.
    pub(super) fn count(&self, before: Day, counts: &mut Counts) -> Result<()> {
        for table in self.old_tables(before)? {
            add(&self.db, table, (first_id(before)? - 1, &self.settled), counts)?;
        }
        Ok(())
    }

    /// The number of rows older than a day that are held.
    pub(super) fn held(&self, before: Day) -> Result<u64> {
        let tables = self.old_tables(before)?;
        tables.into_iter().try_fold(0, |held, table| Ok(held + self.held_in(table, before)?))
    }

    fn held_in(&self, table: TableId, before: Day) -> Result<u64> {
        let settled = &self.settled;
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE result_id < ?1 AND NOT ({settled})");
        let held: i64 = self.db.query_row(&sql, [first_id(before)?], |row| row.get(0))?;
        Ok(held.cast_unsigned())
    }

    pub(super) fn retire(
        &mut self,
        before: Day,
        report: &mut ArchiveReport,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let mut retired = Counts::new();
        for table in self.old_tables(before)? {
            let began = Instant::now();
            // A table of a day or an hour holds nothing else. What is held stays.
            if table.day().is_some() && self.held_in(table, before)? == 0 {
                let rows = self.drop_table(table, &mut retired)?;
                report.tables_dropped += 1;
                report.rows_dropped += rows;
                report.drop_took += began.elapsed();
                progress.reached(report.rows_dropped + report.rows_deleted);
                continue;
            }
            loop {
                let rows = self.delete_batch(table, before, &mut retired)?;
                report.rows_deleted += rows;
                progress.reached(report.rows_dropped + report.rows_deleted);
                if rows == 0 {
                    break;
                }
            }
            report.delete_took += began.elapsed();
        }
        // The next shard is to have its cache instead.
        Ok(self.db.release_memory()?)
    }

    /// The tables that may hold older rows.
    fn old_tables(&self, before: Day) -> Result<Vec<TableId>> {
        let mut statement =
            self.db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let tables = names.iter().filter_map(|name| TableId::parse(name));
        Ok(tables.filter(|table| table.day().is_none_or(|day| day < before)).collect())
    }

    fn drop_table(&mut self, table: TableId, retired: &mut Counts) -> Result<u64> {
        let Self { db, settled, entry, .. } = self;
        let transaction = db.transaction()?;
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = transaction.query_row(&sql, [], |row| row.get(0))?;
        add(&transaction, table, (i64::MAX, settled), retired)?;
        transaction.execute_batch(&format!("DROP TABLE {table}"))?;
        note_in_outbox(&transaction, *entry, retired)?;
        transaction.commit()?;
        Ok(rows.cast_unsigned())
    }

    /// Result ids are in the order of time, and so is the table: the oldest rows lie side by side.
    fn delete_batch(&mut self, table: TableId, before: Day, retired: &mut Counts) -> Result<u64> {
        let Self { db, settled, entry, .. } = self;
        let transaction = db.transaction()?;
        let oldest = format!(
            "SELECT MAX(result_id) FROM \
             (SELECT result_id FROM {table} WHERE result_id < ?1 AND {settled} ORDER BY result_id LIMIT {BATCH})"
        );
        let last: Option<i64> = transaction.query_row(&oldest, [first_id(before)?], |row| row.get(0))?;
        let Some(last) = last else { return Ok(0) };
        add(&transaction, table, (last, settled), retired)?;
        let sql = format!("DELETE FROM {table} WHERE result_id <= ?1 AND {settled}");
        let rows = transaction.execute(&sql, [last])?;
        note_in_outbox(&transaction, *entry, retired)?;
        transaction.commit()?;
        Ok(rows as u64)
    }
}

/// Adds the number of rows of each coupon in a table, up to an id, that take stock and may go.
fn add(db: &Connection, table: TableId, (last, settled): (i64, &str), counts: &mut Counts) -> Result<()> {
    let sql = format!(
        "SELECT coupon_id, COUNT(*) FROM {table} WHERE result_id <= ?1 AND {settled} AND {LIVE} GROUP BY coupon_id"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([last])?;
    while let Some(row) = rows.next()? {
        let coupon = CouponId::new(row.get::<_, i64>(0)?.cast_unsigned())?;
        *counts.entry(coupon).or_default() += row.get::<_, i64>(1)?;
    }
    Ok(())
}

/// Leaves word of what has been retired in this run so far: rows gone are the opposite of rows stored. Rows that took no
/// stock are nothing to tell of.
fn note_in_outbox(transaction: &Transaction<'_>, entry: i64, retired: &Counts) -> Result<()> {
    if retired.is_empty() {
        return Ok(());
    }
    let deltas: Vec<Moved> = retired.iter().map(|(coupon, rows)| Moved::retired(*coupon, *rows)).collect();
    let sql = "INSERT OR REPLACE INTO outbox (outbox_id, deltas, create_time) VALUES (?1, ?2, ?3)";
    transaction.prepare_cached(sql)?.execute((entry, serde_json::to_string(&deltas)?, now().millis()))?;
    Ok(())
}
