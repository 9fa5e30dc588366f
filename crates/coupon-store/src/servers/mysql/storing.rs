//! Transactions that store rows on a shard.

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, GateCount, TableId, Timestamp, schema};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shard::ShardDatabase;
use super::{code, has_code, steps};
use crate::servers::format;
use crate::servers::seam::{Alike, Begun, Inserted, Note, Storing, StoringError};
use crate::servers::{rooms, sql, stock};

/// A connection that commits nothing by itself.
pub(super) struct StoringOver {
    shard: ShardDatabase,
    conn: Conn,
    /// The generation of the connection.
    generation: u64,
    /// The number of transactions before the one under way.
    after: u64,
    /// The rows that went in, where there is a room index to write entries for.
    rows: Vec<CouponResult>,
}

impl StoringOver {
    pub(super) const fn new(shard: ShardDatabase, conn: Conn, generation: u64) -> Self {
        Self { shard, conn, generation, after: 0, rows: Vec::new() }
    }
}

/// Waits for an answer over a connection of a generation, for as long as that is used.
async fn while_used<T>(
    shard: &ShardDatabase,
    generation: u64,
    asked: impl Future<Output = mysql_async::Result<T>>,
) -> Result<T, StoringError> {
    let answer = shard.database.unless_given_up(generation, asked).await;
    answer.map_err(|error| shard.storing_failed(&error))
}

#[async_trait]
impl Storing for StoringOver {
    async fn tables(&mut self) -> Result<Vec<TableId>, StoringError> {
        while_used(&self.shard, self.generation, sql::tables(&mut self.conn)).await
    }

    async fn make_table(&mut self, table: TableId) -> Result<(), StoringError> {
        while_used(&self.shard, self.generation, self.conn.query_drop(schema::results_table(table))).await
    }

    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let asked = steps::lock_state(&mut self.conn, &self.shard.dataset, self.shard.gates);
        let state = while_used(&self.shard, self.generation, asked).await?;
        self.after = state.map_or(0, |begun| begun.commits);
        self.rows.clear();
        Ok(state)
    }

    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        if !self.shard.stock {
            return Ok(Vec::new());
        }
        while_used(&self.shard, self.generation, stock::take_untold(&mut self.conn)).await
    }

    async fn insert(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
        ignoring: bool,
    ) -> Result<Inserted, StoringError> {
        let asked = self.conn.query_drop(sql::insert(table, results, ignoring));
        match self.shard.database.unless_given_up(self.generation, asked).await {
            Ok(()) => {
                if self.shard.rooms.is_some() {
                    self.rows.extend(results.iter().copied());
                }
                Ok(Inserted::All)
            }
            Err(error) if has_code(&error, code::DUPLICATE) => Ok(Inserted::Duplicate),
            Err(error) => Err(self.shard.storing_failed(&error)),
        }
    }

    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        while_used(&self.shard, self.generation, sql::alike(&mut self.conn, table, results)).await
    }

    async fn park(
        &mut self,
        table: TableId,
        result: &CouponResult,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoringError> {
        let asked = sql::park(&mut self.conn, table, result, reason, now);
        while_used(&self.shard, self.generation, asked).await
    }

    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError> {
        let told = self.shard.rooms.map(|places| rooms::entries(places, &self.rows, self.after));
        let told = told.unwrap_or_default();
        let committed = note_and_commit(&mut self.conn, note, &told, self.shard.gates);
        while_used(&self.shard, self.generation, committed).await
    }

    async fn close(self: Box<Self>) {
        let _ = self.conn.disconnect().await;
    }
}

/// Writes the markers, the outbox entries, the entries for the room index and the shard's sums, and commits.
async fn note_and_commit(
    conn: &mut Conn,
    note: &Note<'_>,
    told: &str,
    gates: GateCount,
) -> mysql_async::Result<()> {
    let now = note.now.millis();
    for marker in note.markers {
        let row = (&marker.id, now);
        conn.exec_drop("REPLACE INTO markers (marker_id, commit_time) VALUES (?, ?)", row).await?;
    }
    if !note.markers.is_empty() {
        let old = (note.markers_from.millis(),);
        conn.exec_drop("DELETE FROM markers WHERE commit_time < ?", old).await?;
    }
    // The server does one after the other, and stops at the first that fails.
    let mut all = steps::entries(note.entries, note.now) + told;
    // A time later than now came from a clock that was wrong.
    let Note { outbox_id, closed, sent, added, late, messages, received, .. } = note;
    if *late > 0 {
        all += &format!("UPDATE move_state SET late = late + {late} WHERE id = 1; ");
    }
    let of_several = if gates.is_several() {
        format!("closed_epochs = '{}', ", closed.of_several())
    } else {
        String::new()
    };
    all += &format!(
        "UPDATE shard_state SET outbox_id = {outbox_id}, closed_epoch = GREATEST(closed_epoch, {}), {of_several}\
         as_of = IF(as_of > {now}, {sent}, GREATEST(as_of, {sent})), results = results + {added}, \
         messages = messages + {messages}, received = received + {received}, commits = commits + 1 WHERE id = {}; COMMIT",
        closed.of_all(),
        format::of(gates)
    );
    conn.query_drop(all).await
}
