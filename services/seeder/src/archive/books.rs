//! The main database's side: what the shards' outboxes say, applied to coupons and their stock logs.

use anyhow::{Context, Result};
use coupon_core::{CouponId, CouponStatus, ShardId, StockOperation, Timestamp};
use coupon_service::backend::embedded::folder::Folder;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::Counts;
use super::shard::{Entry, Shard};
use crate::options::now;

const OPERATOR: &str = "archive";

pub(super) struct Books {
    main: Connection,
}

impl Books {
    pub(super) fn open(folder: &Folder) -> Result<Self> {
        Ok(Self { main: folder.connect_main()? })
    }

    /// How far a shard's outbox has been applied.
    pub(super) fn position(&self, shard: ShardId) -> Result<i64> {
        let sql = "SELECT outbox_id FROM outbox_positions WHERE shard = ?1";
        let found = self.main.query_row(sql, [shard.number()], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Applies what a shard's outbox still has to tell, each entry exactly once.
    pub(super) fn settle(&mut self, shard: &Shard) -> Result<()> {
        for Entry { id: entry, deltas } in shard.outbox(self.position(shard.id)?)? {
            let transaction = self.main.transaction()?;
            let application = Application { transaction: &transaction, shard: shard.id, entry };
            for (coupon, rows) in deltas {
                let what = || format!("outbox entry {entry} of shard {}, coupon {coupon}", shard.id);
                application.apply(coupon, rows).with_context(what)?;
            }
            let sql = "INSERT OR REPLACE INTO outbox_positions (shard, outbox_id) VALUES (?1, ?2)";
            transaction.execute(sql, (shard.id.number(), entry))?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// The first of the coupons that can still be grabbed, and until when.
    pub(super) fn first_on_offer(
        &self,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<Option<(CouponId, Timestamp)>> {
        let sql = "SELECT end_time FROM coupons WHERE coupon_id = ?1 AND status = ?2 AND end_time > ?3";
        let mut statement = self.main.prepare(sql)?;
        for coupon in counts.keys() {
            let wanted = (coupon.get().cast_signed(), CouponStatus::Active.code(), now.millis());
            if let Some(end) = statement.query_row(wanted, |row| row.get(0)).optional()? {
                return Ok(Some((*coupon, Timestamp::from_millis(end))));
            }
        }
        Ok(None)
    }
}

/// One outbox entry being applied.
struct Application<'a> {
    transaction: &'a Transaction<'a>,
    shard: ShardId,
    entry: i64,
}

impl Application<'_> {
    /// Rows that came take stock. Rows that went give it back, and the coupon's total falls by as much: the logs
    /// stay a chain, in which deductions less roll-backs are the rows that there are.
    fn apply(&self, coupon: CouponId, rows: i64) -> Result<()> {
        let sql = "SELECT remaining_stock FROM coupons WHERE coupon_id = ?1";
        let id = coupon.get().cast_signed();
        let stock: i64 = self.transaction.query_row(sql, [id], |row| row.get(0)).context("no such coupon")?;
        if rows >= 0 {
            self.log(coupon, StockOperation::Deduct, stock, stock - rows)?;
            self.change(coupon, 0, -rows)
        } else {
            self.log(coupon, StockOperation::RollBack, stock, stock - rows)?;
            self.log(coupon, StockOperation::Initialise, stock - rows, stock)?;
            self.change(coupon, rows, 0)
        }
    }

    fn change(&self, coupon: CouponId, total: i64, remaining: i64) -> Result<()> {
        let sql = "UPDATE coupons SET total_stock = total_stock + ?2, remaining_stock = remaining_stock + ?3, \
                   update_time = MAX(update_time, ?4) WHERE coupon_id = ?1";
        let values = (coupon.get().cast_signed(), total, remaining, now().millis());
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn log(&self, coupon: CouponId, operation: StockOperation, before: i64, after: i64) -> Result<()> {
        let sql = "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, \
                   shard, outbox_id, create_time) \
                   SELECT COALESCE(MAX(log_id), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM stock_logs";
        let id = coupon.get().cast_signed();
        let (shard, time) = (self.shard.number(), now().millis());
        let values = (id, operation.code(), before, after, OPERATOR, shard, self.entry, time);
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
