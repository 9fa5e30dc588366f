//! Transactions that store rows on a shard.

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, TableId, Timestamp, schema};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shard::ShardDatabase;
use super::{code, has_code, steps};
use crate::servers::format::FORMAT;
use crate::servers::lane::Lane;
use crate::servers::seam::{Alike, Begun, Inserted, Note, Storing, StoringError};
use crate::servers::{rooms, sql, stock};

/// A connection that commits nothing by itself.
pub(super) struct StoringOver {
    shard: ShardDatabase,
    conn: Conn,
    /// The number of transactions before the one under way.
    after: u64,
    /// The rows that went in, where there is a room index to write entries for.
    rows: Vec<CouponResult>,
}

impl StoringOver {
    pub(super) const fn new(shard: ShardDatabase, conn: Conn) -> Self {
        Self { shard, conn, after: 0, rows: Vec::new() }
    }

    fn failed(&self, error: &mysql_async::Error) -> StoringError {
        self.shard.storing_failed(error)
    }
}

#[async_trait]
impl Storing for StoringOver {
    async fn tables(&mut self) -> Result<Vec<TableId>, StoringError> {
        sql::tables(&mut self.conn).await.map_err(|error| self.failed(&error))
    }

    async fn make_table(&mut self, table: TableId) -> Result<(), StoringError> {
        self.conn.query_drop(schema::results_table(table)).await.map_err(|error| self.failed(&error))
    }

    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let state = steps::lock_state(&mut self.conn, self.shard.lane, &self.shard.dataset).await;
        let state = state.map_err(|error| self.failed(&error))?;
        self.after = state.map_or(0, |begun| begun.commits);
        self.rows.clear();
        Ok(state)
    }

    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        if !self.shard.stock {
            return Ok(Vec::new());
        }
        stock::take_untold(&mut self.conn).await.map_err(|error| self.failed(&error))
    }

    async fn insert(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
        ignoring: bool,
    ) -> Result<Inserted, StoringError> {
        match self.conn.query_drop(sql::insert(self.shard.lane, table, results, ignoring)).await {
            Ok(()) => {
                if self.shard.rooms.is_some() {
                    self.rows.extend(results.iter().copied());
                }
                Ok(Inserted::All)
            }
            Err(error) if has_code(&error, code::DUPLICATE) => Ok(Inserted::Duplicate),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        sql::alike(&mut self.conn, table, results).await.map_err(|error| self.failed(&error))
    }

    async fn park(
        &mut self,
        table: TableId,
        result: &CouponResult,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoringError> {
        let parked = sql::park(&mut self.conn, self.shard.lane, table, result, reason, now).await;
        parked.map_err(|error| self.failed(&error))
    }

    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError> {
        let told = self.shard.rooms.map(|places| rooms::entries(places, &self.rows, self.after));
        let noted = note_and_commit(&mut self.conn, self.shard.lane, note, &told.unwrap_or_default()).await;
        noted.map_err(|error| self.failed(&error))
    }

    async fn close(self: Box<Self>) {
        let _ = self.conn.disconnect().await;
    }
}

/// Writes the markers, the outbox entries, the entries for the room index and the shard's sums, and commits.
async fn note_and_commit(
    conn: &mut Conn,
    lane: Lane,
    note: &Note<'_>,
    told: &str,
) -> mysql_async::Result<()> {
    let now = note.now.millis();
    for marker in note.markers {
        let row = (&marker.id, now);
        let replace = lane.insert("REPLACE INTO markers (marker_id, commit_time) VALUES (?, ?)");
        conn.exec_drop(replace, row).await?;
    }
    if !note.markers.is_empty() {
        let old = (note.markers_from.millis(),);
        conn.exec_drop(lane.only("DELETE FROM markers WHERE commit_time < ?"), old).await?;
    }
    // The server does one after the other, and stops at the first that fails.
    let mut all = steps::entries(lane, note.entries, note.now) + told;
    // A time later than now came from a clock that was wrong.
    let Note { outbox_id, closes, sent, added, late, messages, received, .. } = note;
    if *late > 0 {
        all += &format!("UPDATE move_state SET late = late + {late} WHERE id = 1; ");
    }
    all += &format!(
        "UPDATE shard_state SET outbox_id = {outbox_id}, closed_epoch = GREATEST(closed_epoch, {closes}), \
         as_of = IF(as_of > {now}, {sent}, GREATEST(as_of, {sent})), results = results + {added}, \
         messages = messages + {messages}, received = received + {received}, commits = commits + 1 WHERE {lane} AND id = {FORMAT}; COMMIT"
    );
    conn.query_drop(all).await
}
