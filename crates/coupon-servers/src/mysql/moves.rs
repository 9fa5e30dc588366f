//! A shard's part in moving rows, in MySQL.

use std::collections::BTreeMap;
use std::fmt::Display;

use async_trait::async_trait;
use coupon_core::schema::Dialect;
use coupon_core::{
    CouponResult, Placement, ResultId, RoomId, RowKey, ShardId, TableId, UserId, VersionNumber,
};
use coupon_store::statements::{self, COLUMNS, LEAVING};
use coupon_store::{PlacedResult, Totals};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::shard::READING;
use super::steps::lock_state;
use super::{Database, DatabaseError, PATIENCE, ShardDatabase, code, has_code};
use crate::format;
use crate::seam::{
    Alike, Batch, Begun, Departure, Inserted, Key, MoveNote, MovingRows, MovingServer, ShardMoves,
    ShardProgress, Slice, StoringError,
};
use crate::sql;
use crate::values::{self, get, parsed};

const MYSQL: Dialect = Dialect::MySql;
/// The rows that one statement names. Of a list of a thousand, MariaDB makes a subquery, for which it may read the whole table.
const ROWS: usize = 512;

/// Reads what has moved from a shard.
pub(crate) async fn read_moves(database: &Database) -> Result<ShardMoves, DatabaseError> {
    let mut conn = database.connect().await?;
    let sql = "SELECT batch, moving_from, closed, late FROM move_state WHERE id = 1";
    let row: Option<(u64, VersionNumber, VersionNumber, u64)> =
        database.patiently(PATIENCE, conn.query_first(sql)).await?;
    let moves = row.map(|(batch, moving_from, closed, late)| ShardMoves { batch, moving_from, closed, late });
    Ok(moves.unwrap_or_default())
}

/// Reads the keys of a part of a table.
async fn scan(conn: &mut Conn, table: TableId, slice: Slice) -> mysql_async::Result<Vec<Key>> {
    let (after, before) =
        (slice.after.map_or(-1, ResultId::number), ResultId::earliest_at(slice.before).number());
    let sql = format!(
        "SELECT result_id, user_id, room_id FROM {table} WHERE result_id > {after} AND result_id < {before} \
         ORDER BY result_id LIMIT {}",
        slice.most
    );
    let key = |row: &Row| {
        let id = parsed(row, 0, ResultId::from_number)?;
        let (user, room) = (parsed(row, 1, UserId::new)?, parsed(row, 2, RoomId::new)?);
        Ok(Key { id, row: RowKey { user, room, time: id.time() } })
    };
    there(conn.query(sql).await)?.iter().map(key).collect()
}

/// The rows of a table; none where it is not there.
fn there(asked: mysql_async::Result<Vec<Row>>) -> mysql_async::Result<Vec<Row>> {
    match asked {
        Err(error) if has_code(&error, code::NO_TABLE) => Ok(Vec::new()),
        rows => rows,
    }
}

/// Reads what is leaving, and its number: one statement, and so one moment.
async fn leaving(conn: &mut Conn) -> mysql_async::Result<Option<Batch>> {
    let columns = statements::columns(MYSQL);
    let sql = format!(
        "SELECT {columns}, to_shard, to_table, (SELECT batch FROM move_state WHERE id = 1) FROM {LEAVING} \
         ORDER BY result_id"
    );
    // Prepared: numbers come as they are, where in text each costs an allocation.
    let rows: Vec<Row> = conn.exec(sql, ()).await?;
    let Some(number) = rows.first().map(|row| get(row, 16)).transpose()? else { return Ok(None) };
    let placed = |row: &Row| {
        let placement = Placement::new(ShardId::new(get(row, 14)?), table_in(row, 15)?);
        Ok(PlacedResult { placement, result: values::result(row)? })
    };
    let rows = rows.iter().map(placed).collect::<mysql_async::Result<_>>()?;
    Ok(Some(Batch { number, rows }))
}

/// The table that a column names.
pub(crate) fn table_in(row: &Row, column: usize) -> mysql_async::Result<TableId> {
    let name: String = get(row, column)?;
    TableId::parse(&name)
        .ok_or_else(|| mysql_async::Error::Other(format!("{name:?} names no table of results").into()))
}

/// Reads rows of a table by their ids.
async fn by_id(
    conn: &mut Conn,
    table: impl Display,
    ids: &[ResultId],
) -> mysql_async::Result<Vec<CouponResult>> {
    let mut found = Vec::new();
    for some in ids.chunks(ROWS) {
        let (columns, listed) = (statements::columns(MYSQL), list(some));
        let sql = format!("SELECT {columns} FROM {table} WHERE result_id IN ({listed})");
        for row in there(conn.query(sql).await)? {
            found.push(values::result(&row)?);
        }
    }
    Ok(found)
}

async fn arrived(conn: &mut Conn, rows: &[PlacedResult]) -> mysql_async::Result<Vec<CouponResult>> {
    let mut by_table: BTreeMap<TableId, Vec<ResultId>> = BTreeMap::new();
    for row in rows {
        by_table.entry(row.placement.table).or_default().push(row.result.result_id);
    }
    let mut arrived = Vec::with_capacity(rows.len());
    for (table, ids) in by_table {
        arrived.append(&mut by_id(conn, table, &ids).await?);
    }
    Ok(arrived)
}

fn list(ids: &[ResultId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[async_trait]
impl MovingServer for ShardDatabase {
    async fn moving(&self) -> Result<Box<dyn MovingRows>, StoringError> {
        let conn = self.database.connect_for_a_batch().await.map_err(StoringError::Failed)?;
        Ok(Box::new(MovingOver { shard: self.clone(), conn }))
    }

    async fn scan(&self, table: TableId, slice: Slice) -> Result<Vec<Key>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(READING, scan(&mut conn, table, slice)).await
    }

    async fn leaving(&self) -> Result<Option<Batch>, DatabaseError> {
        // The engine moves rows by itself, and has no such table.
        if self.lane.is_engines() {
            return Ok(None);
        }
        let mut conn = self.database.connect().await?;
        self.database.patiently(READING, leaving(&mut conn)).await
    }

    async fn arrived(&self, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(READING, arrived(&mut conn, rows)).await
    }

    async fn look_for(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<CouponResult>), DatabaseError> {
        let mut conn = self.database.connect().await?;
        let reached = self.reached(&mut conn).await?;
        let asked = async {
            // A row goes from the one into the other.
            let mut found = by_id(&mut conn, table, ids).await?;
            if found.len() < ids.len() {
                found.extend(by_id(&mut conn, LEAVING, ids).await?);
            }
            Ok(found)
        };
        Ok((reached, self.database.patiently(PATIENCE, asked).await?))
    }
}

/// A connection, with which its transaction goes.
struct MovingOver {
    shard: ShardDatabase,
    conn: Conn,
}

impl MovingOver {
    async fn order(&mut self, sql: impl Into<String>) -> mysql_async::Result<()> {
        self.conn.query_drop(sql.into()).await
    }

    async fn take_out(&mut self, departure: &Departure) -> mysql_async::Result<()> {
        let (table, columns) = (departure.table, COLUMNS.join(", "));
        let mut by_place: BTreeMap<Placement, Vec<ResultId>> = BTreeMap::new();
        for (id, to) in &departure.rows {
            by_place.entry(*to).or_default().push(*id);
        }
        let mut all = String::new();
        for (Placement { shard, table: to }, ids) in by_place {
            for some in ids.chunks(ROWS) {
                let listed = list(some);
                // A transaction that takes a step of a row locks the row before it changes anything.
                all += &format!(
                    "INSERT INTO {LEAVING} ({columns}, from_table, to_shard, to_table) \
                     SELECT {columns}, '{table}', {shard}, '{to}' FROM {table} WHERE result_id IN ({listed}) \
                     ORDER BY result_id FOR UPDATE; \
                     DELETE FROM {table} WHERE result_id IN ({listed}); "
                );
            }
        }
        // What is not held has no moment in the list.
        all += &format!(
            "DELETE h FROM holds h JOIN {LEAVING} l ON h.hold_until = l.hold_until AND h.result_id = l.result_id"
        );
        self.order(all).await
    }

    async fn take_leaving(&mut self) -> mysql_async::Result<Totals> {
        let row: Option<Row> = self.conn.query_first(statements::totals(MYSQL, LEAVING)).await?;
        let totals = row.as_ref().map(sql::totals_in).transpose()?.unwrap_or_default();
        self.order(format!("DELETE FROM {LEAVING}")).await?;
        Ok(totals)
    }

    async fn note_and_commit(&mut self, note: &MoveNote) -> mysql_async::Result<()> {
        let MoveNote { moves, arrived, more, less } = note;
        let ShardMoves { batch, moving_from, closed, late } = moves;
        let mut all = format!(
            "REPLACE INTO move_state (id, batch, moving_from, closed, late) \
             VALUES (1, {batch}, {moving_from}, {closed}, {late}); "
        );
        if let Some((from, batch)) = arrived {
            all += &format!("REPLACE INTO arrivals (from_shard, batch) VALUES ({from}, {batch}); ");
        }
        let change = |more: u64, less: u64| i128::from(more) - i128::from(less);
        all += &format!(
            "UPDATE shard_state SET results = results + {}, used = used + {}, order_amount = order_amount + {} / 100, \
             given_back = given_back + {}, commits = commits + 1 WHERE id = {}; COMMIT",
            change(more.results, less.results),
            change(more.used, less.used),
            more.order_amount.cents() - less.order_amount.cents(),
            change(more.given_back, less.given_back),
            format::of(self.shard.gates),
        );
        // The server does one after the other, and stops at the first that fails.
        self.order(all).await
    }

    fn failed(&self, error: &mysql_async::Error) -> StoringError {
        self.shard.storing_failed(error)
    }
}

#[async_trait]
impl MovingRows for MovingOver {
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let began = async {
            self.conn.query_drop("START TRANSACTION").await?;
            lock_state(&mut self.conn, self.shard.lane, &self.shard.dataset, self.shard.gates).await
        };
        began.await.map_err(|error| self.shard.storing_failed(&error))
    }

    async fn none_leaves(&mut self) -> Result<bool, StoringError> {
        let one = self.conn.query_first(format!("SELECT result_id FROM {LEAVING} LIMIT 1")).await;
        let one: Option<i64> = one.map_err(|error| self.failed(&error))?;
        Ok(one.is_none())
    }

    async fn leave(&mut self, departure: &Departure) -> Result<(), StoringError> {
        self.take_out(departure).await.map_err(|error| self.failed(&error))
    }

    async fn last_arrival(&mut self, from: ShardId) -> Result<u64, StoringError> {
        let sql = format!("SELECT batch FROM arrivals WHERE from_shard = {from}");
        let last: Option<u64> = self.conn.query_first(sql).await.map_err(|error| self.failed(&error))?;
        Ok(last.unwrap_or(0))
    }

    async fn put(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Inserted, StoringError> {
        match self.order(sql::insert_whole(self.shard.lane, table, rows, "")).await {
            Err(error) if has_code(&error, code::DUPLICATE) => Ok(Inserted::Duplicate),
            done => done.map(|()| Inserted::All).map_err(|error| self.failed(&error)),
        }
    }

    async fn alike(&mut self, table: TableId, rows: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        sql::alike(&mut self.conn, self.shard.lane, table, rows).await.map_err(|error| self.failed(&error))
    }

    async fn forget(&mut self) -> Result<Totals, StoringError> {
        self.take_leaving().await.map_err(|error| self.failed(&error))
    }

    async fn commit(&mut self, note: &MoveNote) -> Result<(), StoringError> {
        self.note_and_commit(note).await.map_err(|error| self.failed(&error))
    }
}
