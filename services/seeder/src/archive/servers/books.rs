//! The main database's side: what the shards' outboxes say, applied to coupons and their stock logs.
//!
//! Services do the same all the time; main's row for a shard makes everybody take turns, and says what is done.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use coupon_core::{CouponId, CouponStatus, ShardId, StockOperation, Timestamp};
use coupon_service::backend::servers::mysql::Database;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Transaction, TxOpts};

use super::super::Counts;
use super::shard::{Entry, Shard};
use super::{TRIES, is_conflict};
use crate::options::now;

/// Of each coupon, rows that came and rows that went, which do not cancel out; and the last entry that speaks of them.
type Sums = BTreeMap<(CouponId, bool), (i64, i64)>;

pub(super) struct Books {
    main: Database,
    conn: Conn,
}

impl Books {
    pub(super) async fn open(main: &Database) -> Result<Self> {
        Ok(Self { main: main.clone(), conn: main.connect_alone().await? })
    }

    /// The first of the coupons that can still be grabbed, and until when.
    pub(super) async fn first_on_offer(
        &mut self,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<Option<(CouponId, Timestamp)>> {
        let sql = "SELECT end_time FROM coupons WHERE coupon_id = ? AND status = ? AND end_time > ?";
        for coupon in counts.keys() {
            let wanted = (coupon.get(), CouponStatus::Active.code(), now.millis());
            let end: Option<i64> =
                self.conn.exec_first(sql, wanted).await.map_err(|error| self.main.error(&error))?;
            if let Some(end) = end {
                return Ok(Some((*coupon, Timestamp::from_millis(end))));
            }
        }
        Ok(None)
    }

    /// Applies what a shard's outbox still has to tell, each entry exactly once.
    pub(super) async fn settle(&mut self, shard: &mut Shard) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.settle_some(shard).await {
                Ok(true) => tries = 1,
                Ok(false) => return Ok(()),
                Err(error) if tries < TRIES && error.downcast_ref().is_some_and(is_conflict) => tries += 1,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{}: the outbox of shard {}", self.main, shard.id));
                }
            }
        }
    }

    /// One transaction; says whether it found anything.
    async fn settle_some(&mut self, shard: &mut Shard) -> Result<bool> {
        let mut transaction = self.conn.start_transaction(TxOpts::default()).await?;
        // Makes the row if there is none, and locks it either way.
        let lock = "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?, 0) \
                    ON DUPLICATE KEY UPDATE outbox_id = outbox_id";
        transaction.exec_drop(lock, (shard.id.number(),)).await?;
        let position = "SELECT outbox_id FROM outbox_positions WHERE shard = ?";
        let position: Option<i64> = transaction.exec_first(position, (shard.id.number(),)).await?;
        let entries = shard.outbox(position.unwrap_or_default()).await?;
        let Some(last) = entries.last().map(|entry| entry.id) else {
            // Services need not wait for what comes next here.
            transaction.rollback().await?;
            return Ok(false);
        };
        for ((coupon, _), (rows, entry)) in sums(entries) {
            Application { transaction: &mut transaction, shard: shard.id, entry }
                .apply(coupon, rows)
                .await
                .with_context(|| format!("outbox entry {entry}, coupon {coupon}"))?;
        }
        let done = "UPDATE outbox_positions SET outbox_id = ? WHERE shard = ?";
        transaction.exec_drop(done, (last, shard.id.number())).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn sums(entries: Vec<Entry>) -> Sums {
    let mut sums = Sums::new();
    for Entry { id, deltas } in entries {
        for (coupon, rows) in deltas {
            let sum = sums.entry((coupon, rows < 0)).or_default();
            *sum = (sum.0 + rows, id);
        }
    }
    sums
}

/// A coupon's change, being applied.
struct Application<'a, 'conn> {
    transaction: &'a mut Transaction<'conn>,
    shard: ShardId,
    entry: i64,
}

impl Application<'_, '_> {
    /// Rows that came take stock. Rows that went give it back, and the coupon's total falls by as much: the logs
    /// stay a chain, in which deductions less roll-backs are the rows that there are.
    async fn apply(&mut self, coupon: CouponId, rows: i64) -> Result<()> {
        let sql = "SELECT remaining_stock FROM coupons WHERE coupon_id = ? FOR UPDATE";
        let stock: Option<i64> = self.transaction.exec_first(sql, (coupon.get(),)).await?;
        let stock = stock.context("no such coupon")?;
        if rows >= 0 {
            self.log(coupon, StockOperation::Deduct, "grab", stock, stock - rows).await?;
            self.change(coupon, 0, -rows).await
        } else {
            self.log(coupon, StockOperation::RollBack, "archive", stock, stock - rows).await?;
            self.log(coupon, StockOperation::Initialise, "archive", stock - rows, stock).await?;
            self.change(coupon, rows, 0).await
        }
    }

    async fn change(&mut self, coupon: CouponId, total: i64, remaining: i64) -> Result<()> {
        let sql = "UPDATE coupons SET total_stock = total_stock + ?, remaining_stock = remaining_stock + ?, \
                   update_time = GREATEST(update_time, ?) WHERE coupon_id = ?";
        Ok(self.transaction.exec_drop(sql, (total, remaining, now().millis(), coupon.get())).await?)
    }

    /// The coupon is locked: nobody else logs its stock before this is committed, so the highest number comes last.
    async fn log(
        &mut self,
        coupon: CouponId,
        operation: StockOperation,
        by: &str,
        before: i64,
        after: i64,
    ) -> Result<()> {
        let sql = "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, \
                   shard, outbox_id, create_time) \
                   SELECT COALESCE(MAX(log_id), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM stock_logs";
        let (shard, time) = (self.shard.number(), now().millis());
        let values = (coupon.get(), operation.code(), before, after, by, shard, self.entry, time);
        Ok(self.transaction.exec_drop(sql, values).await?)
    }
}
