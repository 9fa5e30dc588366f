//! Main's books on its server: what the shards' outboxes tell, by the law of [`coupon_core::books`].
//!
//! Any number of processes may tell main at once: a row of main's makes them take turns.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use coupon_core::books::{Changes, Delta, Posting, Stock, post};
use coupon_core::{CouponId, ShardId, Timestamp};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Transaction, TxOpts};

use super::seam::OutboxEntry;
use super::sql;
use crate::failpoints::{self, Mechanism};
use crate::set_aside::{self, Found};

/// The most entries that one transaction applies.
pub const ENTRIES: usize = 2_000;

/// Takes off a shard's outbox what main has applied.
pub(super) const FORGET: &str = "DELETE FROM outbox WHERE outbox_id <= ?";

/// Deltas that are parked, by coupon.
type Parked = BTreeMap<CouponId, Vec<Delta>>;

/// The outcome of a turn.
#[derive(Debug, Default)]
pub struct Settled {
    /// The number of entries it applied: as many as it may, or all there were.
    pub entries: usize,
    /// Coupons that have no room for their changes, and why. Of no meaning when no entries were applied.
    pub found: Found,
}

/// Applies what a shard's outbox holds beyond main's position, at most [`ENTRIES`] of it, and takes it off the outbox.
///
/// # Errors
/// When a server refuses, or main has lost data.
pub async fn settle(
    main: &mut Conn,
    at_shard: &mut Conn,
    dataset: &str,
    shard: ShardId,
    now: Timestamp,
) -> anyhow::Result<Settled> {
    let mut transaction = main.start_transaction(TxOpts::default()).await?;
    let position = lock_position(&mut transaction, shard).await?;
    let rows = sql::outbox_after(at_shard, dataset, position, ENTRIES).await?;
    let Some(last) = rows.last().map(|entry| entry.id) else {
        // Callers that wait for the position go on at once.
        transaction.rollback().await?;
        return Ok(Settled::default());
    };
    let mut entries: Vec<(i64, Vec<(CouponId, i64)>)> = Vec::with_capacity(rows.len());
    for OutboxEntry { id, deltas } in &rows {
        let damaged = || format!("outbox entry {id} of shard {shard} is damaged");
        entries.push((*id, serde_json::from_str(deltas).with_context(damaged)?));
    }
    let mut changes = Changes::default();
    changes.take(shard, position, entries.iter().map(|(id, deltas)| (*id, &**deltas)))?;
    let found = apply(&mut transaction, changes, now).await?;
    transaction.commit().await?;
    // Main has them for good; if this fails, the next time does it.
    at_shard.exec_drop(FORGET, (last,)).await?;
    Ok(Settled { entries: rows.len(), found })
}

/// Applies what is parked, as far as main has room for it by now. Says what it has none for.
///
/// # Errors
/// When main refuses.
pub async fn settle_parked(main: &mut Conn, now: Timestamp) -> anyhow::Result<Found> {
    let any: Option<u8> = main.query_first("SELECT 1 FROM parked_deltas LIMIT 1").await?;
    if any.is_none() {
        return Ok(Found::new());
    }
    let mut transaction = main.start_transaction(TxOpts::default()).await?;
    let found = apply(&mut transaction, Changes::default(), now).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Locks main's row for a shard, which it makes if need be, and says how far its outbox has been applied.
pub(super) async fn lock_position(
    transaction: &mut Transaction<'_>,
    shard: ShardId,
) -> mysql_async::Result<i64> {
    let make = "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?, 0) \
                ON DUPLICATE KEY UPDATE outbox_id = outbox_id";
    transaction.exec_drop(make, (shard.number(),)).await?;
    let lock = "SELECT outbox_id FROM outbox_positions WHERE shard = ? FOR UPDATE";
    let position: Option<i64> = transaction.exec_first(lock, (shard.number(),)).await?;
    Ok(position.unwrap_or(0))
}

/// Applies changes to main. A few statements for all coupons: a flash sale's entries speak of hundreds.
pub(super) async fn apply(
    transaction: &mut Transaction<'_>,
    mut changes: Changes,
    now: Timestamp,
) -> anyhow::Result<Found> {
    let mut log_id = lock_logs(transaction).await?;
    let parked = read_parked(transaction).await?;
    for (coupon, deltas) in &parked {
        changes.put_before(*coupon, deltas.iter().copied());
    }
    let mut books = Books::default();
    let stocks = stocks(transaction, &changes).await?;
    for (coupon, deltas) in &changes.coupons {
        let posting = post(changes.word, stocks.get(&coupon.get()).copied(), deltas);
        books.write(*coupon, &posting, &mut log_id, now);
        let parked_before = parked.get(coupon).map_or(&[][..], Vec::as_slice);
        if parked_before != posting.parked {
            books.park(*coupon, &posting);
        }
        if let (Some(why), false) = (posting.why, posting.parked.is_empty()) {
            books.found.insert(set_aside::number(*coupon), why.to_string());
        }
    }
    books.flush(transaction, log_id, now).await?;
    for (shard, last) in &changes.positions {
        if failpoints::is_off(Mechanism::Positions) {
            continue;
        }
        let reached = "UPDATE outbox_positions SET outbox_id = ? WHERE shard = ?";
        transaction.exec_drop(reached, (last, shard.number())).await?;
    }
    Ok(books.found)
}

/// The number of the last log. The caller has the books to itself until the end of the transaction.
pub(super) async fn lock_logs(transaction: &mut Transaction<'_>) -> mysql_async::Result<i64> {
    let make = "INSERT INTO log_state (id, last_log_id) VALUES (1, 0) ON DUPLICATE KEY UPDATE last_log_id = last_log_id";
    transaction.query_drop(make).await?;
    let known: Option<i64> =
        transaction.query_first("SELECT last_log_id FROM log_state WHERE id = 1 FOR UPDATE").await?;
    let last: Option<i64> =
        transaction.query_first("SELECT COALESCE(MAX(log_id), 0) FROM stock_logs").await?;
    Ok(known.max(last).unwrap_or(0))
}

async fn read_parked(transaction: &mut Transaction<'_>) -> anyhow::Result<Parked> {
    let sql =
        "SELECT coupon_id, shard, outbox_id, delta FROM parked_deltas ORDER BY coupon_id, shard, retired";
    let rows: Vec<(u64, u16, i64, i64)> = transaction.query(sql).await?;
    let mut parked = Parked::new();
    for (coupon, shard, entry, rows) in rows {
        let delta = Delta { shard: ShardId::new(shard), entry, rows };
        parked.entry(CouponId::new(coupon)?).or_default().push(delta);
    }
    Ok(parked)
}

/// Main's rows of the coupons, which are locked until the end of the transaction.
async fn stocks(
    transaction: &mut Transaction<'_>,
    changes: &Changes,
) -> mysql_async::Result<HashMap<u64, Stock>> {
    if changes.coupons.is_empty() {
        return Ok(HashMap::new());
    }
    let coupons: Vec<String> = changes.coupons.keys().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT coupon_id, total_stock, remaining_stock FROM coupons WHERE coupon_id IN ({}) \
         ORDER BY coupon_id FOR UPDATE",
        coupons.join(",")
    );
    let rows: Vec<(u64, i64, i64)> = transaction.query(sql).await?;
    Ok(rows.into_iter().map(|(coupon, total, remaining)| (coupon, Stock { total, remaining })).collect())
}

/// The writes of the postings, gathered for a statement each.
#[derive(Default)]
struct Books {
    stocks: Vec<String>,
    logs: Vec<String>,
    /// Coupons of which what is parked changes, and what is parked of them from now on.
    unparked: Vec<String>,
    parked: Vec<(u64, u16, i64, i64, i64, String)>,
    found: Found,
}

impl Books {
    fn write(&mut self, coupon: CouponId, posting: &Posting, log_id: &mut i64, now: Timestamp) {
        if posting.lines.is_empty() {
            return;
        }
        let Stock { total, remaining } = posting.after;
        self.stocks.push(format!("SELECT {coupon} AS coupon_id, {total} AS total, {remaining} AS remaining"));
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
        for Delta { shard, entry, rows } in &posting.parked {
            let retired = i64::from(*rows < 0);
            self.parked.push((coupon.get(), shard.number(), retired, *entry, *rows, why.clone()));
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
                     SET c.total_stock = d.total, c.remaining_stock = d.remaining, \
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
