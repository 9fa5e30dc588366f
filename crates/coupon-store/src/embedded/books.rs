//! Main's books in its file: the entries of the shards' outboxes, applied by the law of [`coupon_core::books`].

use coupon_core::books::{
    Behind, Changes, Delta, DeltasByCoupon, Moved, Movement, Posting, Stock, StockLogLine, TotalLine, post,
};
use coupon_core::catalogue_change::Operator;
use coupon_core::{CouponId, ShardId, StockOperation, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::sql::parsed;
use crate::set_aside::{self, SetAsideCoupons};

/// The last entry of a shard's outbox that has been applied.
///
/// # Errors
/// When SQLite cannot read it.
pub fn position(db: &Connection, shard: ShardId) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT COALESCE(MAX(outbox_id), 0) FROM outbox_positions WHERE shard = ?1")?
        .query_row([shard.number()], |row| row.get(0))
}

/// The last entry of a shard's outbox that main has applied, and the last one that it has written: a writer forgets what main has
/// applied, but never its last entry.
///
/// # Errors
/// When SQLite cannot read them, and [`Behind`] when the shard was put back to a state without entries that main has applied.
pub fn told_and_written(
    main: &Connection,
    of_shard: &Connection,
    shard: ShardId,
) -> anyhow::Result<(i64, i64)> {
    let told = position(main, shard)?;
    let written =
        of_shard.query_row("SELECT COALESCE(MAX(outbox_id), 0) FROM outbox", [], |row| row.get(0))?;
    Behind::refuse(told, written)?;
    Ok((told, written))
}

/// Applies changes to main, within a transaction. Returns the coupons that have no room for them, and why.
///
/// # Errors
/// When SQLite refuses; then the transaction must not be committed.
pub fn apply(db: &Connection, mut changes: Changes, now: Timestamp) -> anyhow::Result<SetAsideCoupons> {
    let parked = read_parked(db)?;
    for (coupon, deltas) in &parked {
        changes.put_before(*coupon, deltas.iter().copied());
    }
    let mut log_id = last_log(db)?;
    let mut found = SetAsideCoupons::new();
    for (coupon, deltas) in &changes.coupons {
        let posting = post(changes.word, stock(db, *coupon)?, deltas);
        if !posting.lines.is_empty() {
            update(db, *coupon, posting.after, now)?;
        }
        for StockLogLine { operation, operator, shard, entry, before, after } in &posting.lines {
            log_id += 1;
            let (shard, outbox_id) = (Some(shard.number()), Some(*entry));
            let stocks = (*before, *after);
            log(
                db,
                &Logged {
                    log_id,
                    coupon: *coupon,
                    operation: *operation,
                    stocks,
                    operator,
                    shard,
                    outbox_id,
                },
                now,
            )?;
        }
        let parked_before = parked.get(coupon).map_or(&[][..], Vec::as_slice);
        if parked_before != posting.parked {
            park(db, *coupon, &posting)?;
        }
        if let (Some(why), false) = (posting.why, posting.parked.is_empty()) {
            found.insert(set_aside::number(*coupon), why.to_string());
        }
    }
    for (shard, id) in &changes.positions {
        db.prepare_cached(
            "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?1, ?2) \
             ON CONFLICT (shard) DO UPDATE SET outbox_id = excluded.outbox_id",
        )?
        .execute(params![shard.number(), id])?;
    }
    Ok(found)
}

fn read_parked(db: &Connection) -> rusqlite::Result<DeltasByCoupon> {
    let sql = "SELECT coupon_id, shard, outbox_id, retired, delta FROM parked_deltas ORDER BY coupon_id, shard, retired";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut parked = DeltasByCoupon::new();
    while let Some(row) = rows.next()? {
        let delta = Delta {
            shard: ShardId::new(row.get(1)?),
            entry: row.get(2)?,
            movement: parsed(row, 3, Movement::from_code)?,
            rows: row.get::<_, i64>(4)?.abs(),
        };
        parked.entry(parsed(row, 0, CouponId::new)?).or_default().push(delta);
    }
    Ok(parked)
}

fn park(db: &Connection, coupon: CouponId, posting: &Posting) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM parked_deltas WHERE coupon_id = ?1")?.execute([coupon.get()])?;
    let why = posting.why.map(|why| why.to_string()).unwrap_or_default();
    let sql = "INSERT INTO parked_deltas (coupon_id, shard, retired, outbox_id, delta, reason) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    for delta in &posting.parked {
        let Delta { shard, entry, movement, .. } = delta;
        let values = params![coupon.get(), shard.number(), movement.code(), entry, delta.live(), why];
        db.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// SQLite holds in a column whatever was put there.
pub(super) fn stock(db: &Connection, coupon: CouponId) -> rusqlite::Result<Option<Stock>> {
    db.prepare_cached(
        "SELECT CAST(total_stock AS INTEGER), CAST(remaining_stock AS INTEGER), CAST(taken_back AS INTEGER) \
         FROM coupons WHERE coupon_id = ?1",
    )?
    .query_row([coupon.get()], |row| {
        Ok(Stock { total: row.get(0)?, remaining: row.get(1)?, taken_back: row.get(2)? })
    })
    .optional()
}

fn update(db: &Connection, coupon: CouponId, after: Stock, now: Timestamp) -> rusqlite::Result<usize> {
    let sql = "UPDATE coupons SET total_stock = ?2, remaining_stock = ?3, taken_back = ?4, \
               update_time = MAX(update_time, ?5) WHERE coupon_id = ?1";
    let Stock { total, remaining, taken_back } = after;
    let values = params![coupon.get(), total, remaining, taken_back, now.millis()];
    db.prepare_cached(sql)?.execute(values)
}

/// A line of the stock log.
struct Logged<'a> {
    log_id: i64,
    coupon: CouponId,
    operation: StockOperation,
    /// Before and after.
    stocks: (i64, i64),
    operator: &'a str,
    shard: Option<u16>,
    outbox_id: Option<i64>,
}

/// The number of the last line of the stock log.
fn last_log(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT COALESCE(MAX(log_id), 0) FROM stock_logs", [], |row| row.get(0))
}

/// Writes an operator's line, within a transaction.
pub(super) fn log_total(
    db: &Connection,
    coupon: CouponId,
    line: TotalLine,
    operator: &Operator,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let TotalLine { operation, before, after } = line;
    let (log_id, operator) = (last_log(db)? + 1, operator.as_str());
    let line =
        Logged { log_id, coupon, operation, stocks: (before, after), operator, shard: None, outbox_id: None };
    log(db, &line, now)
}

fn log(db: &Connection, line: &Logged<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, \
               operator, shard, outbox_id, create_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let Logged { log_id, coupon, operation, stocks: (before, after), operator, shard, outbox_id } = line;
    let (coupon, operation) = (coupon.get(), operation.code());
    let values = params![log_id, coupon, operation, before, after, operator, shard, outbox_id, now.millis()];
    db.prepare_cached(sql)?.execute(values).map(drop)
}

/// The number of an entry of an outbox, and the rows that moved.
pub type NumberedDeltas = (i64, Vec<Moved>);

/// Entries of a shard's outbox above a position, oldest first.
///
/// # Errors
/// When SQLite cannot read them, or one is damaged.
pub fn entries(db: &Connection, above: i64) -> anyhow::Result<Vec<NumberedDeltas>> {
    let mut statement =
        db.prepare("SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?1 ORDER BY outbox_id")?;
    let rows = statement.query_map([above], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (id, deltas) = row?;
        let damaged = |error| anyhow::anyhow!("outbox entry {id} is damaged: {error}");
        Ok((id, serde_json::from_str(&deltas).map_err(damaged)?))
    })
    .collect()
}
