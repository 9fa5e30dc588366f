//! The room index on servers: a part of it in each shard's database, and the task that carries entries there.

mod carry;
mod making;
mod reads;

use std::collections::BTreeMap;

use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponResult, ShardId, Timestamp};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use coupon_store::room_index::{self, IndexEntry, RoomPlaces, TABLES, WrittenEntries};
pub use making::{build, build_in, drop_index, retire};
pub(super) use reads::ServersRooms;

use super::mysql::Database;
use super::sql;

/// The most rows of one statement.
const ROWS: usize = 500;
/// The most entries that are read at a time.
const ENTRIES: usize = 64;

/// The databases of a data set that has a room index.
#[derive(Debug, Clone)]
pub struct RoomDatabases {
    pub(super) places: RoomPlaces,
    pub(super) dataset: String,
    /// By shard, in order.
    pub(super) databases: Vec<Database>,
}

impl RoomDatabases {
    /// The index of a data set over these shards.
    pub(super) fn new(places: RoomPlaces, dataset: &str, databases: &[Database]) -> Self {
        Self { places, dataset: dataset.to_owned(), databases: databases.to_vec() }
    }
}

/// The statement that writes the entries for the index about these rows, if any, with its end; `after` is the number of
/// transactions before this one.
pub(super) fn entries(places: RoomPlaces, rows: &[CouponResult], after: u64) -> String {
    // Transactions are numbered in the order of their commits.
    let id = after + 1;
    let parts = places.parted(rows).into_iter();
    // An entry is numbers in brackets, which needs no quotes of its own.
    let entry = |(to, rows): (ShardId, Vec<CouponResult>)| {
        Some(format!("({to},{id},'{}')", room_index::entry(&rows).ok()?))
    };
    let entries: Vec<String> = parts.filter_map(entry).collect();
    if entries.is_empty() {
        return String::new();
    }
    format!("INSERT INTO room_entries (to_shard, entry_id, results) VALUES {}; ", entries.join(","))
}

/// Makes a shard's tables for an index, unless they are there.
pub(super) async fn make_tables(conn: &mut Conn) -> mysql_async::Result<()> {
    for sql in schema::room_index(Dialect::MySql) {
        conn.query_drop(sql).await?;
    }
    Ok(())
}

/// Takes them away.
async fn drop_tables(conn: &mut Conn) -> mysql_async::Result<()> {
    conn.query_drop(format!("DROP TABLE IF EXISTS {}", TABLES.join(", "))).await
}

/// The entries that a shard has for a shard of the index, from the earliest on, as far as they are read at a time.
async fn waiting(conn: &mut Conn, to: ShardId) -> anyhow::Result<Vec<IndexEntry>> {
    let sql = format!(
        "SELECT entry_id, results FROM room_entries WHERE to_shard = {to} ORDER BY entry_id LIMIT {ENTRIES}"
    );
    let found: Vec<(i64, String)> = conn.query(sql).await?;
    let entry = |(id, text): (i64, String)| {
        let rows = room_index::rows(&text)
            .map_err(|error| error.context(format!("entry {id} for the room index is damaged")))?;
        anyhow::Ok(IndexEntry { id, rows })
    };
    found.into_iter().map(entry).collect()
}

/// The entries that a shard has written for a shard of the index: none has a later number than its transactions so far.
async fn reached(conn: &mut Conn, to: ShardId) -> mysql_async::Result<WrittenEntries> {
    let sql = format!(
        "SELECT COALESCE((SELECT entry_id FROM room_forgotten WHERE to_shard = {to}), 0), commits FROM shard_state"
    );
    let reached: Option<(i64, i64)> = conn.query_first(sql).await?;
    let (forgotten, last) = reached.unwrap_or_default();
    Ok(WrittenEntries { forgotten, last })
}

/// Takes entries away that a shard of the index has.
async fn forget(conn: &mut Conn, to: ShardId, entries: &[IndexEntry]) -> mysql_async::Result<()> {
    let Some(last) = entries.last() else { return Ok(()) };
    // One by one: a range would lock the place of the next one, too.
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
    let last = last.id;
    let mut transaction = conn.start_transaction(mysql_async::TxOpts::default()).await?;
    transaction
        .query_drop(format!(
            "INSERT INTO room_forgotten (to_shard, entry_id) VALUES ({to}, {last}) \
             ON DUPLICATE KEY UPDATE entry_id = GREATEST(entry_id, {last})"
        ))
        .await?;
    transaction
        .query_drop(format!(
            "DELETE FROM room_entries WHERE to_shard = {to} AND entry_id IN ({})",
            ids.join(",")
        ))
        .await?;
    transaction.commit().await
}

/// The positions up to which a shard's part of the index has each shard's entries.
async fn positions(conn: &mut impl Queryable) -> mysql_async::Result<BTreeMap<ShardId, i64>> {
    let rows: Vec<(u16, i64)> = conn.query("SELECT shard, entry_id FROM room_positions").await?;
    Ok(rows.into_iter().map(|(shard, id)| (ShardId::new(shard), id)).collect())
}

/// Takes rows into a shard's part of the index, as part of a transaction.
async fn put(conn: &mut impl Queryable, rows: &[CouponResult]) -> mysql_async::Result<()> {
    for rows in rows.chunks(ROWS) {
        conn.query_drop(room_index::put(Dialect::MySql, &sql::whole(rows.iter()))).await?;
    }
    Ok(())
}

/// Notes how far a shard's part of the index has the shards' entries, and since when, as part of a transaction.
async fn note(conn: &mut impl Queryable, reached: &[(ShardId, i64, Timestamp)]) -> mysql_async::Result<()> {
    if reached.is_empty() {
        return Ok(());
    }
    let row = |(from, position, as_of): &(ShardId, i64, Timestamp)| {
        format!("({from}, {position}, {})", as_of.millis())
    };
    let rows: Vec<String> = reached.iter().map(row).collect();
    conn.query_drop(format!(
        "INSERT INTO room_positions (shard, entry_id, as_of) VALUES {} ON DUPLICATE KEY UPDATE \
         entry_id = GREATEST(entry_id, VALUES(entry_id)), as_of = GREATEST(as_of, VALUES(as_of))",
        rows.join(", ")
    ))
    .await
}
