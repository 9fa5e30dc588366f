//! The part of a shard's file in moving rows. What writes is part of its writer's transaction.

use coupon_core::schema::Dialect;
use coupon_core::{
    CouponResult, Placement, ResultId, ResultQuery, RoomId, RowKey, ShardId, TableId, UserId, VersionNumber,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::bindings;
use super::sql::{self, parsed};
use crate::moving::{Batch, Departure, Key, ShardMoves, Slice, not_there};
use crate::statements::{self, COLUMNS, LEAVING};
use crate::{Found, PageRequest, PlacedResult, Totals};

/// The shard's own record of what has moved.
pub(super) fn state(db: &Connection) -> rusqlite::Result<ShardMoves> {
    let sql = "SELECT batch, moving_from, closed, late FROM move_state WHERE id = 1";
    let read = |row: &Row<'_>| {
        Ok(ShardMoves {
            batch: row.get(0)?,
            moving_from: row.get(1)?,
            closed: row.get(2)?,
            late: row.get(3)?,
        })
    };
    Ok(db.prepare_cached(sql)?.query_row([], read).optional()?.unwrap_or_default())
}

/// The latest version of the layout that was announced to the shard; 0 before any.
pub(super) fn told_layout(db: &Connection) -> rusqlite::Result<VersionNumber> {
    let sql = "SELECT CAST(value AS INTEGER) FROM shard_meta WHERE name = 'layout'";
    Ok(db.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Has the shard remember that the layout has this version.
pub(super) fn tell_layout(db: &Connection, version: VersionNumber) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO shard_meta (name, value) VALUES ('layout', ?1)";
    db.execute(sql, [version.to_string()]).map(drop)
}

/// Writes it.
pub(super) fn set_state(db: &Connection, moves: ShardMoves) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO move_state (id, batch, moving_from, closed, late) VALUES (1, ?1, ?2, ?3, ?4)";
    let ShardMoves { batch, moving_from, closed, late } = moves;
    db.prepare_cached(sql)?.execute(params![batch, moving_from, closed, late]).map(drop)
}

/// True if nothing is leaving.
pub(super) fn none_leaves(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM leaving)")?.query_row([], |row| row.get(0))
}

/// Takes rows out of their table, and what is held of them out of the list of what is due.
pub(super) fn leave(db: &Connection, departure: &Departure) -> rusqlite::Result<()> {
    let (table, columns) = (departure.table, COLUMNS.join(", "));
    let mut copy = db.prepare_cached(&format!(
        "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) \
         SELECT {columns}, ?2, ?3, ?4 FROM {table} WHERE result_id = ?1"
    ))?;
    let mut delete = db.prepare_cached(&format!("DELETE FROM {table} WHERE result_id = ?1"))?;
    let from = table.to_string();
    for (id, to) in &departure.rows {
        copy.execute(params![id.number(), from, to.shard.number(), to.table.to_string()])?;
        delete.execute([id.number()])?;
    }
    // What is not held has no moment in the list.
    db.prepare_cached(
        "DELETE FROM holds WHERE (hold_until, result_id) IN \
         (SELECT hold_until, result_id FROM leaving WHERE hold_until IS NOT NULL)",
    )?
    .execute([])
    .map(drop)
}

/// The rows that are leaving, each with the place that it goes to.
pub(super) fn leaving(db: &Connection) -> rusqlite::Result<Option<Batch>> {
    let columns = statements::columns(Dialect::Sqlite);
    let sql = format!("SELECT {columns}, to_shard, to_table FROM leaving ORDER BY result_id");
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map([], |row| {
        let (shard, table) = (ShardId::new(row.get(14)?), parsed_table(row, 15)?);
        Ok(PlacedResult { placement: Placement::new(shard, table), result: sql::result(row)? })
    })?;
    let rows: Vec<PlacedResult> = rows.collect::<rusqlite::Result<_>>()?;
    Ok((!rows.is_empty()).then_some(Batch { number: state(db)?.batch, rows }))
}

/// The sums over what is leaving.
pub(super) fn leaving_totals(db: &Connection) -> rusqlite::Result<Totals> {
    sql::totals(db, LEAVING)
}

/// Empties it.
pub(super) fn forget(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM leaving")?.execute([]).map(drop)
}

/// The last batch that arrived from a shard.
pub(super) fn last_arrival(db: &Connection, from: ShardId) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT COALESCE(MAX(batch), 0) FROM arrivals WHERE from_shard = ?1")?
        .query_row([from.number()], |row| row.get(0))
}

/// Takes note of one.
pub(super) fn set_arrival(db: &Connection, from: ShardId, batch: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO arrivals (from_shard, batch) VALUES (?1, ?2)")?
        .execute(params![from.number(), batch])
        .map(drop)
}

/// Stores a row with all that became of it, unless it contradicts what is there; says whether it went in.
pub(super) fn put(db: &Connection, table: TableId, row: &CouponResult) -> rusqlite::Result<bool> {
    let sql = format!("{} ON CONFLICT DO NOTHING", bindings::whole_row(table));
    let went_in = bindings::result(&mut *db.prepare_cached(&sql)?, row)? == 1;
    if went_in {
        sql::hold(db, table, row)?;
    }
    Ok(went_in)
}

/// Reads rows back.
pub(super) fn arrived(db: &Connection, rows: &[PlacedResult]) -> rusqlite::Result<Vec<CouponResult>> {
    let found = rows.iter().map(|row| sql::find(db, row.placement.table, row.result.result_id));
    found.filter_map(Result::transpose).collect()
}

/// The rows that are leaving, but for those that are where they go already.
pub(super) fn still_leaving(
    db: &Connection,
    connect: impl Fn(ShardId) -> anyhow::Result<Connection>,
) -> anyhow::Result<Vec<CouponResult>> {
    let mut still = Vec::new();
    for (to, rows) in leaving(db)?.map(|batch| batch.by_shard()).unwrap_or_default() {
        let there = connect(to)?;
        let found = rows.iter().map(|row| look(&there, row.placement.table, row.result.result_id));
        let found: Vec<CouponResult> =
            found.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
        still.append(&mut not_there(&rows, &found));
    }
    Ok(still)
}

/// A part of a table, as far as places depend on it.
pub(super) fn scan(db: &Connection, table: TableId, slice: Slice) -> rusqlite::Result<Vec<Key>> {
    let sql = format!(
        "SELECT result_id, user_id, room_id FROM {table} WHERE result_id > ?1 AND result_id < ?2 \
         ORDER BY result_id LIMIT ?3"
    );
    let after = slice.after.map_or(-1, ResultId::number);
    let before = ResultId::earliest_at(slice.before).number();
    let most = i64::try_from(slice.most).unwrap_or(i64::MAX);
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map([after, before, most], |row| {
        let id = parsed(row, 0, ResultId::from_number)?;
        let (user, room) = (parsed(row, 1, UserId::new)?, parsed(row, 2, RoomId::new)?);
        Ok(Key { id, row: RowKey { user, room, time: id.time() } })
    })?;
    rows.collect()
}

/// The row with that id at a place of this shard: in the table, or leaving it.
pub(super) fn look(db: &Connection, table: TableId, id: ResultId) -> rusqlite::Result<Option<CouponResult>> {
    let there = db.table_exists(None, table.to_string().as_str())?;
    let found = if there { sql::find(db, table, id)? } else { None };
    match found {
        Some(found) => Ok(Some(found)),
        None => sql::find(db, LEAVING, id),
    }
}

/// The rows of a page that are leaving, each with the table that it was in.
pub(super) fn page(db: &Connection, query: &ResultQuery, page: PageRequest) -> rusqlite::Result<Vec<Found>> {
    let rows = sql::page(db, LEAVING, query, page)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let from = from_table(db)?;
    Ok(rows.into_iter().map(|row| (from, row)).collect())
}

/// The row with that id, if it is leaving, with the table that it was in.
pub(super) fn find(db: &Connection, id: ResultId) -> rusqlite::Result<Option<Found>> {
    let found = sql::find(db, LEAVING, id)?;
    found.map(|row| Ok((from_table(db)?, row))).transpose()
}

/// The table that all rows were in which are leaving.
fn from_table(db: &Connection) -> rusqlite::Result<TableId> {
    db.prepare_cached("SELECT from_table FROM leaving LIMIT 1")?.query_row([], |row| parsed_table(row, 0))
}

fn parsed_table(row: &Row<'_>, column: usize) -> rusqlite::Result<TableId> {
    parsed(row, column, |name: String| TableId::parse(&name).ok_or(NoTable(name)))
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} names no table of results")]
struct NoTable(String);
