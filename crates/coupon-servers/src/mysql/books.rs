//! A transaction on main's books in MySQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon_core::books::{Delta, DeltasByCoupon, Movement, Posting, Stock, TotalLine};
use coupon_core::{CouponId, ShardId, StockOperation, Timestamp};
use mysql_async::Transaction;
use mysql_async::prelude::Queryable as _;

use super::{Database, DatabaseError};
use crate::seam::{Books, WrittenPosting};

/// Takes off a shard's outbox what main has applied.
pub(crate) const FORGET: &str = "DELETE FROM outbox WHERE outbox_id <= ?";

/// Begins a transaction on the books.
pub(crate) async fn begin_books(main: &Database) -> Result<Transaction<'static>, DatabaseError> {
    main.begin().await
}

/// Takes the stock log until the end of the transaction, and returns the number of its last line.
pub(super) async fn lock_logs(transaction: &mut Transaction<'_>) -> mysql_async::Result<i64> {
    let make = "INSERT INTO log_state (id, last_log_id) VALUES (1, 0) \
                ON DUPLICATE KEY UPDATE last_log_id = last_log_id";
    transaction.query_drop(make).await?;
    let known: Option<i64> =
        transaction.query_first("SELECT last_log_id FROM log_state WHERE id = 1 FOR UPDATE").await?;
    let last: Option<i64> =
        transaction.query_first("SELECT COALESCE(MAX(log_id), 0) FROM stock_logs").await?;
    Ok(known.max(last).unwrap_or(0))
}

/// Writes a line about a coupon's total behind the last one of the log, which is locked. `now` is an expression.
pub(super) async fn log_total(
    transaction: &mut Transaction<'_>,
    coupon: CouponId,
    line: TotalLine,
    (operator, now): (&str, &str),
    last: i64,
) -> mysql_async::Result<()> {
    let TotalLine { operation, before, after } = line;
    let log_id = last + 1;
    let sql = format!(
        "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, create_time) \
         VALUES (?, ?, ?, ?, ?, ?, {now})"
    );
    transaction.exec_drop(sql, (log_id, coupon.get(), operation.code(), before, after, operator)).await?;
    transaction.exec_drop("UPDATE log_state SET last_log_id = ? WHERE id = 1", (log_id,)).await
}

/// Writes the line of a total that a person moved in main from what it was, if what remains was moved by as many: then the
/// coupon's lines lack just that.
pub(super) async fn log_moved(
    transaction: &mut Transaction<'_>,
    (coupon, total_before): (CouponId, i64),
    told: (&str, &str),
) -> mysql_async::Result<()> {
    let last = lock_logs(transaction).await?;
    let sql = "SELECT total_stock, remaining_stock FROM coupons WHERE coupon_id = ? FOR UPDATE";
    let stock: Option<(i64, i64)> = transaction.exec_first(sql, (coupon.get(),)).await?;
    let Some((total, remaining)) = stock else { return Ok(()) };
    let more = total - total_before;
    // From 0 to what remains the lines lead without a gap but for that one: of all that ends somewhere and begins nowhere, or the
    // other way round, only its two ends are left.
    let sql = "SELECT stock, CAST(SUM(ends) AS SIGNED) FROM (SELECT stock_after AS stock, 1 AS ends FROM stock_logs \
               WHERE coupon_id = ? UNION ALL SELECT stock_before, -1 FROM stock_logs WHERE coupon_id = ?) AS line GROUP BY stock";
    let open: Vec<(i64, i64)> = transaction.exec(sql, (coupon.get(), coupon.get())).await?;
    let Some(before) = moved_from(open, remaining, more) else { return Ok(()) };
    let operation = if more > 0 { StockOperation::Initialise } else { StockOperation::RollBack };
    let line = TotalLine { operation, before, after: before + more };
    log_total(transaction, coupon, line, told, last).await
}

/// The stock from which so many were moved by a person, by the ends of all other lines: how many more end at a stock than begin
/// there. None where not just this one is missing between 0 and what remains.
fn moved_from(open: Vec<(i64, i64)>, remaining: i64, more: i64) -> Option<i64> {
    let mut ends: BTreeMap<i64, i64> = BTreeMap::new();
    for (stock, more) in open.into_iter().chain([(0, 1), (remaining, -1)]) {
        *ends.entry(stock).or_default() += more;
    }
    ends.retain(|_, more| *more != 0);
    let before = ends.iter().find(|(_, more)| **more == 1).map(|(stock, _)| *stock)?;
    (ends == BTreeMap::from([(before, 1), (before + more, -1)])).then_some(before)
}

#[async_trait]
impl Books for Transaction<'_> {
    async fn lock_position(&mut self, shard: ShardId) -> anyhow::Result<i64> {
        let make = "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?, 0) \
                    ON DUPLICATE KEY UPDATE outbox_id = outbox_id";
        self.exec_drop(make, (shard.number(),)).await?;
        let lock = "SELECT outbox_id FROM outbox_positions WHERE shard = ? FOR UPDATE";
        let position: Option<i64> = self.exec_first(lock, (shard.number(),)).await?;
        Ok(position.unwrap_or(0))
    }

    async fn lock_logs(&mut self) -> anyhow::Result<i64> {
        Ok(lock_logs(self).await?)
    }

    async fn parked(&mut self) -> anyhow::Result<DeltasByCoupon> {
        let sql = "SELECT coupon_id, shard, outbox_id, retired, delta FROM parked_deltas ORDER BY coupon_id, shard, retired";
        let rows: Vec<(u64, u16, i64, i64, i64)> = self.query(sql).await?;
        let mut parked = DeltasByCoupon::new();
        for (coupon, shard, entry, movement, live) in rows {
            let movement = Movement::from_code(movement)?;
            let delta = Delta { shard: ShardId::new(shard), entry, movement, rows: live.abs() };
            parked.entry(CouponId::new(coupon)?).or_default().push(delta);
        }
        Ok(parked)
    }

    async fn stocks(&mut self, coupons: &[CouponId]) -> anyhow::Result<BTreeMap<CouponId, Stock>> {
        if coupons.is_empty() {
            return Ok(BTreeMap::new());
        }
        let listed: Vec<String> = coupons.iter().map(ToString::to_string).collect();
        let sql = format!(
            "SELECT coupon_id, total_stock, remaining_stock, taken_back FROM coupons WHERE coupon_id IN ({}) \
             ORDER BY coupon_id FOR UPDATE",
            listed.join(",")
        );
        let rows: Vec<(u64, i64, i64, i64)> = self.query(sql).await?;
        rows.into_iter()
            .map(|(coupon, total, remaining, taken_back)| {
                Ok((CouponId::new(coupon)?, Stock { total, remaining, taken_back }))
            })
            .collect()
    }

    async fn write(&mut self, postings: &[WrittenPosting], last: i64, now: Timestamp) -> anyhow::Result<()> {
        let mut statements = Statements::default();
        let mut log_id = last;
        for WrittenPosting { coupon, posting, parks } in postings {
            statements.write(*coupon, posting, &mut log_id, now);
            if *parks {
                statements.park(*coupon, posting);
            }
        }
        Ok(statements.flush(self, log_id, now).await?)
    }

    async fn reach(&mut self, shard: ShardId, position: i64) -> anyhow::Result<()> {
        let reached = "UPDATE outbox_positions SET outbox_id = ? WHERE shard = ?";
        Ok(self.exec_drop(reached, (position, shard.number())).await?)
    }

    async fn commit(self: Box<Self>) -> anyhow::Result<()> {
        Ok((*self).commit().await?)
    }

    async fn roll_back(self: Box<Self>) -> anyhow::Result<()> {
        Ok((*self).rollback().await?)
    }
}

/// The writes of postings, gathered for a statement each.
#[derive(Default)]
struct Statements {
    stocks: Vec<String>,
    logs: Vec<String>,
    /// Coupons of which what is parked changes, and what is parked of them from now on.
    unparked: Vec<String>,
    parked: Vec<(u64, u16, i64, i64, i64, String)>,
}

impl Statements {
    fn write(&mut self, coupon: CouponId, posting: &Posting, log_id: &mut i64, now: Timestamp) {
        if posting.lines.is_empty() {
            return;
        }
        let Stock { total, remaining, taken_back } = posting.after;
        self.stocks.push(format!(
            "SELECT {coupon} AS coupon_id, {total} AS total, {remaining} AS remaining, {taken_back} AS taken_back"
        ));
        for line in &posting.lines {
            *log_id += 1;
            self.logs.push(format!(
                "({log_id},{coupon},{},{},{},'{}',{},{},{})",
                line.operation.code(),
                line.before,
                line.after,
                line.operator,
                line.shard,
                line.entry,
                now.millis()
            ));
        }
    }

    fn park(&mut self, coupon: CouponId, posting: &Posting) {
        self.unparked.push(coupon.to_string());
        let why = posting.why.map(|why| why.to_string()).unwrap_or_default();
        for delta in &posting.parked {
            let Delta { shard, entry, movement, .. } = delta;
            let (movement, live) = (movement.code(), delta.live());
            self.parked.push((coupon.get(), shard.number(), movement, *entry, live, why.clone()));
        }
    }

    async fn flush(
        &self,
        transaction: &mut Transaction<'_>,
        log_id: i64,
        now: Timestamp,
    ) -> mysql_async::Result<()> {
        if !self.stocks.is_empty() {
            let (stocks, logs, now) = (self.stocks.join(" UNION ALL "), self.logs.join(","), now.millis());
            transaction
                .query_drop(format!(
                    "UPDATE coupons c JOIN ({stocks}) d ON d.coupon_id = c.coupon_id \
                     SET c.total_stock = d.total, c.remaining_stock = d.remaining, c.taken_back = d.taken_back, \
                     c.update_time = GREATEST(c.update_time, {now})"
                ))
                .await?;
            transaction
                .query_drop(format!(
                    "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, \
                     shard, outbox_id, create_time) VALUES {logs}"
                ))
                .await?;
            transaction.exec_drop("UPDATE log_state SET last_log_id = ? WHERE id = 1", (log_id,)).await?;
        }
        if !self.unparked.is_empty() {
            let sql = format!("DELETE FROM parked_deltas WHERE coupon_id IN ({})", self.unparked.join(","));
            transaction.query_drop(sql).await?;
        }
        if !self.parked.is_empty() {
            let sql = "INSERT INTO parked_deltas (coupon_id, shard, retired, outbox_id, delta, reason) \
                       VALUES (?, ?, ?, ?, ?, ?)";
            transaction.exec_batch(sql, &self.parked).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines from one stock to another, as the statement sums their ends.
    fn ends(lines: &[(i64, i64)]) -> Vec<(i64, i64)> {
        lines.iter().flat_map(|(before, after)| [(*after, 1), (*before, -1)]).collect()
    }

    #[test]
    fn what_a_person_moved_is_where_the_lines_lack_it() {
        let sold = [(0, 100), (100, 90)];
        assert_eq!(moved_from(ends(&sold), 140, 50), Some(90), "nothing was sold since");
        let since = [(0, 100), (100, 90), (140, 130), (130, 110)];
        assert_eq!(moved_from(ends(&since), 110, 50), Some(90));
        let with_a_line_behind = [(0, 100), (100, 90), (140, 110), (90, 140), (110, 105)];
        assert_eq!(moved_from(ends(&with_a_line_behind), 75, -30), Some(105));
        assert_eq!(moved_from(ends(&[(0, 100), (150, 140), (110, 100)]), 100, 50), None, "two are missing");
        assert_eq!(moved_from(ends(&sold), 90, 0), None, "nothing was moved");
        assert_eq!(moved_from(ends(&sold), 95, 50), None, "another number was");
    }
}
