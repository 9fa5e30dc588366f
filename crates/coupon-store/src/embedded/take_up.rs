//! Gives the gate what a shard's file holds: in its tables, in its inbox, parked.

use std::collections::HashSet;
use std::time::Instant;

use coupon_core::{CouponId, CouponResult, ResultId, ShardId, TableId, Timestamp, UserId};
use rusqlite::Connection;

use super::gate::MemoryGate;
use super::inbox::{self, Inbox};
use super::moves;
use super::sql::{self, Reserved};
use crate::gate::REMEMBERED_MS;
use crate::statements::PARKED;
use crate::{PlacedResult, Reservation};

/// The results of a shard's file, wherever in it they are.
pub(super) struct TakenUp {
    /// The latest id given to any.
    pub(super) latest: Option<ResultId>,
    pub(super) inbox: Inbox,
    pub(super) parked: HashSet<ResultId>,
}

/// Gives the gate every result of a shard, before the first grab; coupons that are over do not matter to it.
pub(super) fn everything(
    db: &Connection,
    shard: ShardId,
    tables: &[TableId],
    gate: &MemoryGate,
    now: Timestamp,
    connect: impl Fn(ShardId) -> anyhow::Result<Connection>,
) -> anyhow::Result<TakenUp> {
    let leaving = moves::still_leaving(db, connect)?;
    leaving.iter().for_each(|result| on_its_way(gate, result, now));
    let mut latest = leaving.iter().map(|result| result.result_id).max();
    for table in tables {
        latest = latest.max(sql::latest(db, *table)?);
        sql::reserved(db, *table, lately(now), None, |row| stored(gate, row))?;
    }
    let (rows, last_batch) = inbox::read(db, shard)?;
    latest = latest.max(rows.iter().map(|row| row.result.result_id).max());
    rows.iter().try_for_each(|row| waiting(db, tables, gate, row))?;
    let parked: HashSet<ResultId> = parked(db)?.into_iter().map(|row| restore_parked(gate, row)).collect();
    latest = latest.max(parked.iter().max().copied());
    let since = (!rows.is_empty()).then(Instant::now);
    let inbox = Inbox { rows, next_batch: last_batch + 1, since, ..Inbox::default() };
    Ok(TakenUp { latest, inbox, parked })
}

/// Gives the gate a shard's results of one coupon, while the service runs: as they are at one moment. No row may come from
/// another shard meanwhile.
pub(super) fn of_coupon(
    db: &Connection,
    shard: ShardId,
    coupon: CouponId,
    gate: &MemoryGate,
    now: Timestamp,
    connect: impl Fn(ShardId) -> anyhow::Result<Connection>,
) -> anyhow::Result<()> {
    let moment = db.unchecked_transaction()?;
    let tables = sql::tables(&moment)?;
    for table in &tables {
        sql::reserved(&moment, *table, lately(now), Some(coupon), |row| stored(gate, row))?;
    }
    // A batch that could not arrive stays on its way, for as long as that may take.
    let leaving = moves::still_leaving(&moment, connect)?;
    let of_it = leaving.iter().filter(|result| result.coupon_id == coupon);
    of_it.for_each(|result| on_its_way(gate, result, now));
    let rows = inbox::read(&moment, shard)?.0;
    let of_it = rows.iter().filter(|row| row.result.coupon_id == coupon);
    of_it.into_iter().try_for_each(|row| waiting(&moment, &tables, gate, row))?;
    for row in parked(&moment)?.into_iter().filter(|parked| parked.coupon == coupon) {
        restore_parked(gate, row);
    }
    Ok(())
}

/// The moment from which requests of results that gave their stock back are remembered.
fn lately(now: Timestamp) -> Timestamp {
    now.plus_millis(-REMEMBERED_MS)
}

fn stored(gate: &MemoryGate, row: Reserved) {
    let Reserved { coupon, user, reserved, given_back } = row;
    match given_back {
        None => one(gate, coupon, user, reserved),
        Some(time) => gate.restore_recent(coupon, user, reserved, time),
    }
}

/// A row that is leaving its shard, and has not arrived.
fn on_its_way(gate: &MemoryGate, result: &CouponResult, now: Timestamp) {
    let (coupon, user, reserved) = (result.coupon_id, result.user_id, Reservation::of(result));
    match result.state_time {
        _ if result.state.is_live() => one(gate, coupon, user, reserved),
        Some(time) if time >= lately(now) => gate.restore_recent(coupon, user, reserved, time),
        _ => {}
    }
}

/// A row of the inbox. What was sorted in before the inbox was emptied may have been given back since.
fn waiting(
    db: &Connection,
    tables: &[TableId],
    gate: &MemoryGate,
    row: &PlacedResult,
) -> rusqlite::Result<()> {
    let PlacedResult { placement, result } = row;
    let there = tables.contains(&placement.table);
    if !there || sql::find(db, placement.table, result.result_id)?.is_none() {
        one(gate, result.coupon_id, result.user_id, Reservation::of(result));
    }
    Ok(())
}

fn one(gate: &MemoryGate, coupon: CouponId, user: UserId, reserved: Reservation) {
    if !gate.restore(coupon, user, reserved) {
        let slot = reserved.slot;
        tracing::error!(%coupon, %user, slot, "this user holds this coupon more than once in one slot");
    }
}

/// Parked results hold their stock, until a person decides.
fn restore_parked(gate: &MemoryGate, Reserved { coupon, user, reserved, .. }: Reserved) -> ResultId {
    gate.restore_parked(coupon, user, reserved);
    reserved.id
}

fn parked(db: &Connection) -> rusqlite::Result<Vec<Reserved>> {
    let mut statement = db.prepare(PARKED)?;
    let rows = statement.query_map([], sql::reserved_in)?;
    rows.collect()
}
